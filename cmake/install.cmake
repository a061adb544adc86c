# What `make install` puts under PREFIX: program, library, headers, rllc.pc, manual page; and the target `docs`.
include(GNUInstallDirs)

# librllc.a is static: whoever links it needs what it needs, so the requirements are public.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/rllc.pc @ONLY CONTENT [=[
prefix=${pcfiledir}/../..
libdir=${prefix}/lib
includedir=${prefix}/include

Name: rllc
Description: weight- and data-refined local learning coefficients of small attention-only transformers
Version: @PROJECT_VERSION@
Requires: jansson yaml-0.1 sqlite3 libarchive libzstd libpcre2-8 libxxhash
Libs: -L${libdir} -lrllc -lpthread -lm
Cflags: -I${includedir}
]=])

# lib/, not lib/<machine>/: rllc.pc names it relative to itself.
install(TARGETS rllc RUNTIME DESTINATION bin)
install(TARGETS librllc ARCHIVE DESTINATION lib)
install(DIRECTORY include/rllc DESTINATION include)
install(FILES ${CMAKE_BINARY_DIR}/rllc.pc DESTINATION lib/pkgconfig)
install(FILES LICENSE README.md CITATION.cff CHANGELOG.md DESTINATION share/doc/rllc)
install(DIRECTORY docs/ DESTINATION share/doc/rllc/docs FILES_MATCHING PATTERN "*.md")

# The manual page is made by the program itself, from the tables that parse its flags.
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/rllc.1
  COMMAND rllc help --man > ${CMAKE_BINARY_DIR}/rllc.1.new
  COMMAND ${CMAKE_COMMAND} -E rename ${CMAKE_BINARY_DIR}/rllc.1.new ${CMAKE_BINARY_DIR}/rllc.1
  DEPENDS rllc VERBATIM)
add_custom_target(docs ALL DEPENDS ${CMAKE_BINARY_DIR}/rllc.1)
install(FILES ${CMAKE_BINARY_DIR}/rllc.1 DESTINATION share/man/man1)
