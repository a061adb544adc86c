# The commit a build is made from, for rllc_commit(): found again at each build, and written only when it changed, so
# that an unchanged tree recompiles nothing. Outside git, or inside somebody else's repository, it is "unknown".
# Run with -P (with SOURCE and OUTPUT set) it writes the header; included by CMakeLists.txt it arranges for that.
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(commit "unknown")
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-toplevel --short=12 HEAD
                    OUTPUT_VARIABLE lines ERROR_QUIET RESULT_VARIABLE failed)
    string(REGEX MATCH "^([^\n]*)\n([0-9a-f]+)\n$" matched "${lines}")
    set(top "${CMAKE_MATCH_1}")
    set(head "${CMAKE_MATCH_2}")
    if(NOT failed AND matched)
      file(REAL_PATH "${top}" top)
      file(REAL_PATH "${SOURCE}" source)
      if(top STREQUAL source)
        execute_process(COMMAND ${GIT} -C ${SOURCE} --no-optional-locks status --porcelain --untracked-files=no
                        OUTPUT_VARIABLE changes ERROR_QUIET)
        set(commit "${head}")
        if(NOT changes STREQUAL "")
          string(APPEND commit "+")
        endif()
      endif()
    endif()
  endif()
  set(header "#define RLLC_COMMIT \"${commit}\"\n")
  set(before "")
  if(EXISTS "${OUTPUT}")
    file(READ "${OUTPUT}" before)
  endif()
  if(NOT before STREQUAL header)
    file(WRITE "${OUTPUT}" "${header}")
  endif()
  return()
endif()

set(RLLC_GENERATED ${CMAKE_BINARY_DIR}/generated)
add_custom_target(rllc_commit BYPRODUCTS ${RLLC_GENERATED}/rllc_commit.h
  COMMAND ${CMAKE_COMMAND} -D SOURCE=${CMAKE_SOURCE_DIR} -D OUTPUT=${RLLC_GENERATED}/rllc_commit.h
          -P ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "" VERBATIM)
add_dependencies(rllc_base rllc_commit)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/base/provenance.c PROPERTIES
  COMPILE_DEFINITIONS RLLC_HAS_COMMIT INCLUDE_DIRECTORIES ${RLLC_GENERATED})
