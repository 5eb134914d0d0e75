# weir_add_plugin(<name> SOURCES c... [BPF bpf.c] [EVENTS h...] [TESTS c...] [LIBS target...] [NOINSTALL])
#
# The only call in a plugin's CMakeLists: the module with hidden visibility, its
# BPF object, its unit test against the test host, the conformance test, install.
# The same in Weir's own tree and in a project that has found the installed SDK.

# Nothing of Weir's is linked, so whatever is left undefined is a mistake, found
# here rather than when the daemon loads it. (Sanitizers leave symbols open.)
if(WEIR_SANITIZE OR WEIR_FUZZ)
  set(WEIR_MODULE_LINK_OPTIONS)
else()
  set(WEIR_MODULE_LINK_OPTIONS LINKER:-z,defs)
endif()

function(weir_add_plugin name)
  cmake_parse_arguments(P "NOINSTALL" "BPF" "SOURCES;EVENTS;TESTS;LIBS" ${ARGN})
  if(P_UNPARSED_ARGUMENTS OR NOT P_SOURCES)
    message(FATAL_ERROR "weir_add_plugin(${name}): needs SOURCES, and knows BPF, EVENTS, TESTS, LIBS, NOINSTALL; not: ${P_UNPARSED_ARGUMENTS}")
  endif()
  set(target plugin-${name})
  add_library(${target} MODULE ${P_SOURCES})
  target_link_libraries(${target} PRIVATE Weir::sdk ${P_LIBS})
  target_link_options(${target} PRIVATE ${WEIR_MODULE_LINK_OPTIONS})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} C_VISIBILITY_PRESET hidden
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
  if(P_BPF)
    weir_add_bpf(${target}-bpf ${P_BPF})
    target_link_libraries(${target} PRIVATE ${target}-bpf)
  endif()
  if(P_NOINSTALL) # for tests and benchmarks: not among those a user finds
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins-bench)
  else()
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/weir/plugins)
  endif()
  if(NOT WEIR_TESTS)
    return()
  endif()
  if(P_TESTS AND TARGET Weir::testhost AND TARGET PkgConfig::CMOCKA)
    # The test is linked with the plugin's own sources and the test host.
    add_executable(test-${name} ${P_TESTS} ${P_SOURCES})
    target_include_directories(test-${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(test-${name} PRIVATE Weir::sdk Weir::testhost PkgConfig::CMOCKA ${P_LIBS})
    if(P_BPF)
      target_link_libraries(test-${name} PRIVATE ${target}-bpf)
    endif()
    add_test(NAME plugin/${name} COMMAND test-${name})
    set_tests_properties(plugin/${name} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  elseif(P_TESTS)
    message(STATUS "No unit test of ${name}: the SDK was installed without its test host, or cmocka is missing (apt install libcmocka-dev)")
  endif()
  set(layout)
  if(P_EVENTS)
    weir_add_layout(${target}-layout object ${P_EVENTS})
    set(layout --layout ${object})
  endif()
  if(TARGET Weir::conformance) # installed; in the tree tests/conformance does it
    add_test(NAME conformance/${name} COMMAND Weir::conformance ${layout} $<TARGET_FILE:${target}>)
    set_tests_properties(conformance/${name} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
  endif()
  set_property(GLOBAL APPEND PROPERTY WEIR_PLUGINS ${name})
  set_property(GLOBAL PROPERTY WEIR_PLUGIN_LAYOUT_${name} "${layout}")
endfunction()
