# The fast kernels: one source compiled for each instruction set, chosen at run time. Nothing of -ffast-math: NaN,
# infinities and signed zeros mean what they say, and the source says which multiply-adds are fused.
set(kernel_options -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math)
set(kernel_options_generic "")
set(kernel_options_avx2 "")
set(kernel_options_avx512 "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(kernel_options_avx2 -mavx2 -mfma)
  set(kernel_options_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma)
endif()
foreach(set generic avx2 avx512)
  set_source_files_properties(src/kernels/cpu/${set}.c PROPERTIES
    COMPILE_OPTIONS "${kernel_options};${kernel_options_${set}}")
endforeach()

# bench_kernels: checks, then times each kernel at the shapes that matter, beside OpenBLAS if that is here.
if(EXISTS ${CMAKE_SOURCE_DIR}/bench/kernels.c)
  add_executable(bench_kernels bench/kernels.c)
  target_link_libraries(bench_kernels PRIVATE rllc_kernels)
  if(OPENBLAS_FOUND)
    target_compile_definitions(bench_kernels PRIVATE RLLC_BENCH_OPENBLAS)
    target_link_libraries(bench_kernels PRIVATE PkgConfig::OPENBLAS)
  endif()
endif()
