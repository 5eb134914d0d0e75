# weir_add_bpf(<target> <name>.bpf.c [DEPENDS headers...])
#
# Compiles a BPF object and makes an object library <target> that carries its
# bytes as weir_bpf_<name> .. weir_bpf_<name>_end. A depfile makes a change to any
# shared header rebuild the object and everything made of it.
find_program(WEIR_CLANG NAMES clang clang-14 clang-15 clang-16 REQUIRED)
find_program(WEIR_LLVM_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 REQUIRED)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  set(WEIR_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(WEIR_BPF_ARCH arm64)
else()
  set(WEIR_BPF_ARCH ${CMAKE_SYSTEM_PROCESSOR})
endif()

function(weir_add_bpf target source)
  get_filename_component(file ${source} NAME)
  string(REGEX REPLACE "\\.bpf\\.c$" "" name ${file})
  string(MAKE_C_IDENTIFIER ${name} id)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(carrier ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.carrier.c)
  set(input ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${WEIR_CLANG} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${WEIR_BPF_ARCH}
            -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations
            -I${CMAKE_SOURCE_DIR}/sdk/include -I${CMAKE_SOURCE_DIR}/sdk/bpf
            -I${CMAKE_CURRENT_SOURCE_DIR} -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${object}.d -MT ${object} -c ${input} -o ${object}
    COMMAND ${WEIR_LLVM_STRIP} -g ${object}
    DEPENDS ${input} DEPFILE ${object}.d
    COMMENT "BPF ${name}.bpf.o" VERBATIM)
  file(CONFIGURE OUTPUT ${carrier} CONTENT [[
/* Carries the bytes of @name@.bpf.o. Generated. */
__asm__(".section .rodata\n.balign 16\n"
        ".hidden weir_bpf_@id@\n.global weir_bpf_@id@\nweir_bpf_@id@:\n"
        ".incbin \"@object@\"\n"
        ".hidden weir_bpf_@id@_end\n.global weir_bpf_@id@_end\nweir_bpf_@id@_end:\n.byte 0\n"
        ".text\n");
extern const char weir_bpf_carrier_@id@;
]] @ONLY)
  add_library(${target} OBJECT ${carrier})
  set_source_files_properties(${carrier} PROPERTIES OBJECT_DEPENDS ${object})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()
