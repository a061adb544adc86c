/*
 * golden: reads the stored numbers of tests/golden/tiny (made by tools/reference/golden_model.py) and measures how far
 * ours are from them. For tests only: anything unexpected fails the test at once.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "support/support.h"

#define GOLDEN_DIR RLLC_SOURCE_DIR "/tests/golden/tiny/"

/* The numbers of a .npy file of <f4 or <f8, as doubles; *n may be NULL. Free with free. */
static inline double *golden_array(const char *name, int64_t *n) {
    char path[1024], descr[8];
    snprintf(path, sizeof path, GOLDEN_DIR "%s", name);
    rllc_mapping map;
    int n_dims = 0;
    int64_t shape[8], count = 1;
    size_t offset = 0;
    assert_ok(rllc_mapping_open(&map, path));
    assert_ok(rllc_npy_parse(&map, path, descr, &n_dims, shape, &offset));
    for (int d = 0; d < n_dims; d++) count *= shape[d];
    double *out = test_memory(count, sizeof *out);
    bool wide = strcmp(descr, "<f8") == 0;
    assert_true(wide || strcmp(descr, "<f4") == 0);
    for (int64_t i = 0; i < count; i++) {
        float narrow;
        if (wide) memcpy(&out[i], map.data + offset + (size_t)i * 8, 8);
        else memcpy(&narrow, map.data + offset + (size_t)i * 4, 4), out[i] = narrow;
    }
    rllc_mapping_close(&map);
    if (n != NULL) *n = count;
    return out;
}

/* The token ids of a .npy file, all rows one after another; shape [steps, rows, n_ctx], steps 1 for two dimensions. */
static inline int32_t *golden_tokens(const char *name, int64_t shape[3]) {
    char path[1024];
    snprintf(path, sizeof path, GOLDEN_DIR "%s", name);
    rllc_rows rows;
    assert_ok(rllc_rows_open(&rows, path, 0));
    int32_t *out = test_memory(rows.rows * rows.n_ctx, sizeof *out);
    for (int64_t r = 0; r < rows.rows; r++) rllc_rows_get(&rows, r, out + r * rows.n_ctx);
    memcpy(shape, rows.shape, sizeof rows.shape);
    rllc_rows_close(&rows);
    return out;
}

static inline void golden_load_model(rllc_model *m, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, GOLDEN_DIR "%s/model.safetensors", name);
    assert_ok(rllc_model_load(m, path));
}

/* A safetensors file of F32 or F64 as a flat vector in the model's layout; tensors not in the file get `absent`. */
static inline double *golden_vector(const rllc_model *m, const char *name, double absent) {
    char path[1024];
    snprintf(path, sizeof path, GOLDEN_DIR "%s", name);
    rllc_safetensors file;
    assert_ok(rllc_safetensors_open(&file, path));
    double *out = test_memory(m->size, sizeof *out);
    for (int64_t i = 0; i < m->size; i++) out[i] = absent;
    int64_t found = 0;
    for (int64_t p = 0; p < m->n_parameters; p++) {
        const rllc_parameter *parameter = &m->parameters[p];
        const rllc_tensor_view *t = rllc_safetensors_find(&file, parameter->name);
        if (t == NULL) continue;
        assert_int_equal(t->n, parameter->n);
        assert_true(t->dtype == RLLC_F64 || t->dtype == RLLC_F32);
        for (int64_t i = 0; i < t->n; i++) {
            float narrow;
            if (t->dtype == RLLC_F64) memcpy(&out[parameter->offset + i], (const char *)t->data + i * 8, 8);
            else memcpy(&narrow, (const char *)t->data + i * 4, 4), out[parameter->offset + i] = narrow;
        }
        found++;
    }
    assert_int_equal(found, file.n); /* every tensor of the file has its place */
    rllc_safetensors_close(&file);
    return out;
}

/* ---- distances ------------------------------------------------------------------------------------------- */

/* How far numbers are from the truth, in units of the truth's largest entry. */
typedef struct golden_error {
    double worst;         /* largest error over everything compared */
    const char *worst_at; /* tensor or quantity */
    int64_t n, n_close;   /* entries compared; entries within 1e-6 */
} golden_error;

static inline double golden_scale(int64_t n, const double *truth) {
    double scale = 0;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(truth[i]));
    return scale;
}

/* Errors beyond `allowance`, in units of `scale`. */
static inline void golden_compare_on(golden_error *e, const char *name, int64_t n, const float *ours,
                                     const double *truth, double scale, double allowance) {
    for (int64_t i = 0; i < n; i++) {
        double distance = fabs((double)ours[i] - truth[i]);
        double error = distance <= allowance ? 0 : (distance - allowance) / scale;
        if (!(error <= e->worst)) e->worst = error, e->worst_at = name; /* a NaN is the worst of all */
        e->n_close += error <= 1e-6;
    }
    e->n += n;
}

static inline void golden_compare(golden_error *e, const char *name, int64_t n, const float *ours,
                                  const double *truth) {
    golden_compare_on(e, name, n, ours, truth, golden_scale(n, truth), 0);
}

static inline void golden_compare_beyond(golden_error *e, const char *name, int64_t n, const float *ours,
                                         const double *truth, double allowance) {
    golden_compare_on(e, name, n, ours, truth, golden_scale(n, truth), allowance);
}

/* b_K adds q.b_K to every score of a row, which softmax does not see: its gradient is 0 exactly, and what arithmetic
 * leaves of it has no scale of its own. */
static inline bool golden_is_key_bias(const char *name) {
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".b_K") == 0;
}

/* Gradients tensor by tensor, each on its own scale (b_K on its layer's b_Q's). */
static inline void golden_compare_gradient(golden_error *e, const rllc_model *m, const float *ours,
                                           const double *truth) {
    for (int64_t p = 0; p < m->n_parameters; p++) {
        const rllc_parameter *t = &m->parameters[p];
        double scale = golden_scale(t->n, truth + t->offset);
        if (golden_is_key_bias(t->name)) {
            char query[64];
            snprintf(query, sizeof query, "blocks.%d.attn.b_Q", t->layer);
            const rllc_parameter *q = rllc_model_find(m, query);
            assert_non_null(q);
            scale = golden_scale(q->n, truth + q->offset);
        }
        golden_compare_on(e, t->name, t->n, ours + t->offset, truth + t->offset, scale, 0);
    }
}

static inline float *golden_narrow(int64_t n, const double *x) {
    float *out = test_memory(n, sizeof *out);
    for (int64_t i = 0; i < n; i++) out[i] = (float)x[i];
    return out;
}

static inline void golden_print(const char *what, const golden_error *e) {
    printf("    %-34s max error %.1e (%s), %.2f %% of %lld within 1e-6\n", what, e->worst,
           e->worst_at != NULL ? e->worst_at : "-", 100.0 * (double)e->n_close / (double)(e->n ? e->n : 1),
           (long long)e->n);
}

#endif
