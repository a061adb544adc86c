/* The reference table: the definition of every kernel, in plain loops and double accumulation. */
#include "kernels/ref/ref.h"

const rllc_kernels rllc_kernels_ref = {
    .name = "ref",
    .gemm = rllc_ref_gemm,
    .layer_norm_forward = rllc_ref_layer_norm_forward,
    .layer_norm_backward = rllc_ref_layer_norm_backward,
    .attention_forward = rllc_ref_attention_forward,
    .attention_backward = rllc_ref_attention_backward,
    .attention_scratch = rllc_ref_attention_scratch,
    .cross_entropy = rllc_ref_cross_entropy,
    .add = rllc_ref_add,
    .add_rows = rllc_ref_add_rows,
    .column_sum = rllc_ref_column_sum,
    .adamw = rllc_ref_adamw,
    .sgld = rllc_ref_sgld,
    .normals = rllc_ref_normals,
    .sum_squares = rllc_ref_sum_squares,
};
