# weir_add_bpf(<target> <name>.bpf.c [DEPENDS headers...])
#
# Compiles a BPF object and makes an object library <target> that carries its
# bytes as weir_bpf_<name> .. weir_bpf_<name>_end. A depfile makes a change to any
# shared header rebuild the object and everything made of it.
#
# Works in Weir's own tree and, installed with the SDK, in any other project.
find_program(WEIR_CLANG NAMES clang clang-14 clang-15 clang-16 clang-19)
find_program(WEIR_LLVM_STRIP NAMES llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 llvm-strip-19)
if(NOT DEFINED WEIR_SDK_INCLUDE_DIR) # else set by WeirConfig.cmake
  set(WEIR_SDK_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR}/../sdk/include)
  set(WEIR_SDK_BPF_DIR ${CMAKE_CURRENT_LIST_DIR}/../sdk/bpf)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  set(WEIR_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(WEIR_BPF_ARCH arm64)
else()
  set(WEIR_BPF_ARCH ${CMAKE_SYSTEM_PROCESSOR})
endif()

# WEIR_BPF_INCLUDES, set by the caller: further directories of headers that both compilers read.
function(weir_bpf_flags ret_flags)
  if(NOT WEIR_CLANG OR NOT WEIR_LLVM_STRIP)
    message(FATAL_ERROR "BPF programs need clang and llvm-strip: apt install clang llvm")
  endif()
  set(includes)
  foreach(dir ${WEIR_BPF_INCLUDES})
    get_filename_component(dir ${dir} ABSOLUTE)
    list(APPEND includes -I${dir})
  endforeach()
  set(${ret_flags} -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_${WEIR_BPF_ARCH}
      -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations
      -I${WEIR_SDK_INCLUDE_DIR} -I${WEIR_SDK_BPF_DIR} -I${CMAKE_CURRENT_SOURCE_DIR} ${includes}
      -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} PARENT_SCOPE)
endfunction()

function(weir_add_bpf target source)
  weir_bpf_flags(flags)
  get_filename_component(file ${source} NAME)
  string(REGEX REPLACE "\\.bpf\\.c$" "" name ${file})
  string(MAKE_C_IDENTIFIER ${name} id)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(carrier ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.carrier.c)
  set(input ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${WEIR_CLANG} ${flags}
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

# weir_add_layout(<target> <ret_object> <header>...)
#
# The structs weir_... of events headers as the BPF compiler lays them out: an
# object of BTF that the conformance test holds against the schemas.
function(weir_add_layout target ret_object)
  weir_bpf_flags(flags)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}.layout.c)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${target}.layout.o)
  set(includes)
  set(globals) # one of each type, so that BTF has it
  set(inputs)
  foreach(header ${ARGN})
    get_filename_component(input ${CMAKE_CURRENT_SOURCE_DIR}/${header} ABSOLUTE) # ../lib, once
    list(APPEND inputs ${input})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${input})
    string(APPEND includes "#include \"${header}\"\n")
    file(STRINGS ${input} lines REGEX "^struct weir_[A-Za-z0-9_]+ [{]")
    foreach(line ${lines})
      string(REGEX REPLACE "^struct (weir_[A-Za-z0-9_]+).*" "\\1" name "${line}")
      string(APPEND globals "struct ${name} *layout_${name};\n")
    endforeach()
  endforeach()
  file(CONFIGURE OUTPUT ${source} CONTENT "${includes}${globals}" @ONLY)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${WEIR_CLANG} ${flags} -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
    COMMAND ${WEIR_LLVM_STRIP} -g ${object}
    DEPENDS ${source} ${inputs} DEPFILE ${object}.d
    COMMENT "BPF layout of ${target}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS ${object})
  set(${ret_object} ${object} PARENT_SCOPE)
endfunction()
