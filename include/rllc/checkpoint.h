/*
 * checkpoint: named tensors <-> safetensors files. Knows tensors, not models.
 */
#ifndef RLLC_CHECKPOINT_H
#define RLLC_CHECKPOINT_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RLLC_MAX_DIMS 8

typedef enum { RLLC_F32, RLLC_F64, RLLC_F16, RLLC_BF16, RLLC_I32, RLLC_I64, RLLC_OTHER } rllc_dtype;

/** A tensor in an open file (data points into the mapping) or to be written. */
typedef struct rllc_tensor_view {
    const char *name; /* interned */
    rllc_dtype dtype;
    int n_dims;
    int64_t shape[RLLC_MAX_DIMS];
    int64_t n; /* elements */
    const void *data; /* possibly unaligned in another writer's file: read it with rllc_tensor_to_float or memcpy */
    size_t size;            /* bytes; filled by open, needed by write for RLLC_OTHER alone */
    const char *dtype_name; /* as in the file, "BOOL"; interned; filled by open, needed by write for RLLC_OTHER alone */
} rllc_tensor_view;

typedef struct rllc_safetensors {
    rllc_mapping mapping;
    rllc_tensor_view *tensors; /* in file order */
    int64_t n;
    rllc_json *metadata; /* object of strings; NULL if absent */
    const char *path;    /* interned */
} rllc_safetensors;

/**
 * Opens and checks the whole header: its length, UTF-8, JSON, no duplicate names, known fields, shape x type = bytes
 * without overflow, tensors that tile the data block without hole, overlap or tail. A file that lies is RLLC_EINPUT
 * with the byte or tensor at fault. A type outside rllc_dtype is kept as RLLC_OTHER.
 */
rllc_status rllc_safetensors_open(rllc_safetensors *s, const char *path) RLLC_MUST_USE;
void rllc_safetensors_close(rllc_safetensors *s);
const rllc_tensor_view *rllc_safetensors_find(const rllc_safetensors *s, const char *name); /* NULL if absent */
/** Copies to float32, converting F64 (to nearest), F16 and BF16 (exactly); other types are RLLC_EUNSUPPORTED, a finite
 *  F64 beyond float32's range is RLLC_ENOTFINITE. out [t->n]. */
rllc_status rllc_tensor_to_float(const rllc_tensor_view *t, float *out) RLLC_MUST_USE;

/** Writes the file whole. Order as the safetensors library writes it (decreasing alignment, then name).
 *  metadata: object of strings or NULL; {"format":"pt"} is added unless it has that key. Equal input, equal bytes. */
rllc_status rllc_safetensors_write(const char *path, const rllc_tensor_view *tensors, int64_t n,
                                   const rllc_json *metadata) RLLC_MUST_USE;

/** Identity of the weights: hash over the set of (name, shape, float32 bytes), whatever the order; metadata excluded.
 *  Types without a float32 form enter with their own name and bytes. */
rllc_hash rllc_tensors_hash(const rllc_tensor_view *tensors, int64_t n);

/** The model file named by a path: the file itself, a folder with model.safetensors, or a step of a run ("run/step100"
 *  finds run/checkpoints/step100, step_100 or checkpoint-100). Appends the path. */
rllc_status rllc_checkpoint_find(const char *path, rllc_string *model_file) RLLC_MUST_USE;
/** Steps present under `folder` as step<N>, step_<N>, checkpoint-<N> folders with a model file; sorted, each once.
 *  Free with rllc_free. */
rllc_status rllc_checkpoint_steps(const char *folder, int64_t **steps, int64_t *n) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
