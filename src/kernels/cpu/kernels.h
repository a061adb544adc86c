/* The whole table for one instruction set: a file that defines RLLC_TABLE and RLLC_TABLE_NAME includes this, once. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cross_entropy.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/layer_norm.h"
#include "kernels/cpu/normals.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/update.h"

const rllc_kernels RLLC_TABLE = {
    .name = RLLC_TABLE_NAME,
    .gemm = gemm,
    .layer_norm_forward = layer_norm_forward,
    .layer_norm_backward = layer_norm_backward,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_scratch = attention_scratch,
    .cross_entropy = cross_entropy,
    .add = add,
    .add_rows = add_rows,
    .column_sum = column_sum,
    .adamw = adamw,
    .sgld = sgld,
    .normals = normals,
    .sum_squares = sum_squares,
};
