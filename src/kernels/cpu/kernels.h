/* The whole table for one instruction set: a file that defines RLLC_TABLE and RLLC_TABLE_NAME includes this, once. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cross_entropy.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kl_divergence.h"
#include "kernels/cpu/layer_norm.h"
#include "kernels/cpu/low_rank.h"
#include "kernels/cpu/normals.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/tables.h"
#include "kernels/cpu/update.h"
#include "kernels/ref/ref.h"

const rllc_kernels RLLC_TABLE = {
    .name = RLLC_TABLE_NAME,
    .host_memory = true,
    .allocate = rllc_host_allocate,
    .release = rllc_host_release,
    .upload = rllc_host_upload,
    .download = rllc_host_download,
    .gemm = gemm,
    .layer_norm_forward = layer_norm_forward,
    .layer_norm_backward = layer_norm_backward,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_scratch = attention_scratch,
    .cross_entropy = cross_entropy,
    .log_softmax = log_softmax,
    .kl_divergence = kl_divergence,
    .low_rank_loss = low_rank_loss,
    .low_rank_scratch = low_rank_scratch,
    .zero = zero,
    .multiply = multiply,
    .divide = divide,
    .copy_rows = copy_rows,
    .scale_rows = scale_rows,
    .add_scaled_rows = add_scaled_rows,
    .row_dots = row_dots,
    .gather_rows = gather_rows,
    .scatter_rows = scatter_rows,
    .add = add,
    .add_rows = add_rows,
    .column_sum = column_sum,
    .adamw = adamw,
    .sgld = sgld,
    .normals = normals,
    .sum_squares = sum_squares,
};
