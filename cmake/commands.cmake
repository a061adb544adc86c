# While rooms are being built: a command of commands.def whose file is not there yet says so when called.
file(STRINGS src/cli/commands.def command_lines REGEX "^RLLC_COMMAND")
set(absent "")
foreach(line IN LISTS command_lines)
  string(REGEX MATCH "^RLLC_COMMAND\\(([a-z]+), \"([a-z]+)\", (\".*\")\\)" matched "${line}")
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/src/cli/${CMAKE_MATCH_1}.c)
    string(APPEND absent "const rllc_command rllc_command_${CMAKE_MATCH_1} = {\"${CMAKE_MATCH_2}\", ${CMAKE_MATCH_3}, \"rllc ${CMAKE_MATCH_2}\", \"\", NULL, absent};\n")
  endif()
endforeach()
if(absent)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/absent_commands.c CONTENT "#include \"cli/command.h\"
static rllc_status absent(int argc, const char *const *argv) {
    (void)argc, (void)argv;
    return rllc_fail(RLLC_EUNSUPPORTED, \"this command is not built yet\");
}
${absent}")
  list(APPEND cli_sources ${CMAKE_BINARY_DIR}/absent_commands.c)
endif()
