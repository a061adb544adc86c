# bench_step: times one step on a given checkpoint and batch; bench/side_by_side.sh gives other programs the same.
add_executable(bench_step bench/step.c)
target_link_libraries(bench_step PRIVATE ${RLLC_LINKED})
