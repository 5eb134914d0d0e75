# Warnings and sanitizers, the same for every target.
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                    -Wpointer-arith -Wvla -fno-common -fno-strict-aliasing)
if(WEIR_WERROR)
  add_compile_options(-Werror)
endif()
add_compile_definitions(_GNU_SOURCE)
if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEIR_SANITIZE})
  if(WEIR_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # The fences order accesses that the kernel shares; it is not under ThreadSanitizer anyway.
    add_compile_options(-Wno-tsan)
  endif()
endif()
if(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
# Assertions on internal state stay on in production: no NDEBUG.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
