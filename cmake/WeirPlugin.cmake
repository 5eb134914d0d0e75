# weir_add_plugin(<name> SOURCES c... [BPF bpf.c] [EVENTS h...] [TESTS c...] [NOINSTALL])
#
# The only call in a plugin's CMakeLists: the module with hidden visibility, its
# BPF object, its unit test against the test host, the conformance test, install.
# NOINSTALL is for tests and benchmarks: built into plugins-bench, where the daemon
# looks only if plugin_dirs says so.
function(weir_add_plugin name)
  cmake_parse_arguments(P "NOINSTALL" "BPF" "SOURCES;EVENTS;TESTS" ${ARGN})
  set(target plugin-${name})
  add_library(${target} MODULE ${P_SOURCES})
  target_link_libraries(${target} PRIVATE weir-sdk)
  set(dir ${CMAKE_BINARY_DIR}/plugins)
  if(P_NOINSTALL)
    set(dir ${CMAKE_BINARY_DIR}/plugins-bench)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} C_VISIBILITY_PRESET hidden
    LIBRARY_OUTPUT_DIRECTORY ${dir})
  if(P_BPF)
    weir_add_bpf(${target}-bpf ${P_BPF})
    target_link_libraries(${target} PRIVATE ${target}-bpf)
  endif()
  if(NOT P_NOINSTALL)
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/weir/plugins)
  endif()
  if(WEIR_TESTS)
    if(P_TESTS)
      # The test is linked with the plugin's own sources and the test host.
      add_executable(test-${name} ${P_TESTS} ${P_SOURCES})
      target_include_directories(test-${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
      target_link_libraries(test-${name} PRIVATE weir-sdk weir-testhost PkgConfig::CMOCKA)
      if(P_BPF)
        target_link_libraries(test-${name} PRIVATE ${target}-bpf)
      endif()
      add_test(NAME plugin/${name} COMMAND test-${name})
      set_tests_properties(plugin/${name} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77
        WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    endif()
    if(NOT P_NOINSTALL)
      set_property(GLOBAL APPEND PROPERTY WEIR_PLUGINS ${name})
    endif()
  endif()
endfunction()
