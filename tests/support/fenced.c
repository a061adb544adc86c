/* The fence: one region whose pages are open while a kernel runs that was given them, and closed otherwise. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/fenced.h"

#define FENCED_BYTES ((size_t)1 << 28)
#define FENCED_PAGE ((size_t)4096)
enum { FENCED_BLOCKS = 1 << 12, FENCED_PARTS = 16 };

typedef struct fenced_block {
    char *at;
    size_t bytes, room; /* asked for, and whole pages */
    bool live;
} fenced_block;

static struct {
    const rllc_kernels *inner;
    pthread_t owner;
    char *region;
    size_t used; /* whole pages */
    int n_blocks;
    bool open;
    struct {
        char *at; /* whole pages */
        size_t bytes;
    } parts[FENCED_PARTS];
    int n_parts; /* what the call in preparation may touch */
    fenced_block blocks[FENCED_BLOCKS];
} fenced;

/* ---- the fence ------------------------------------------------------------------------------------------- */

static void fenced_die(const char *slot, const char *argument, const char *what) {
    fprintf(stderr, "fenced kernels: %s: %s %s\n", slot, argument, what);
    abort();
}

static void fenced_protect(const char *slot, int protection) {
    for (int i = 0; i < fenced.n_parts; i++)
        if (mprotect(fenced.parts[i].at, fenced.parts[i].bytes, protection) != 0)
            fenced_die(slot, "memory", "cannot be opened or closed");
}

/* The pages of the arrays that were checked since the last call, and no others. */
static void fenced_open(const char *slot) {
    if (!pthread_equal(fenced.owner, pthread_self())) fenced_die(slot, "call", "from a second thread");
    if (fenced.open) fenced_die(slot, "call", "inside another");
    fenced.open = true;
    fenced_protect(slot, PROT_READ | PROT_WRITE);
}

static void fenced_close(const char *slot) {
    fenced_protect(slot, PROT_NONE);
    fenced.n_parts = 0;
    fenced.open = false;
}

/* The next call may touch these bytes. */
static void fenced_admit(const char *slot, const char *p, size_t bytes) {
    const size_t first = (size_t)(p - fenced.region) / FENCED_PAGE * FENCED_PAGE;
    if (fenced.n_parts == FENCED_PARTS) fenced_die(slot, "call", "has too many arrays");
    fenced.parts[fenced.n_parts].at = fenced.region + first;
    fenced.parts[fenced.n_parts++].bytes = (size_t)(p - fenced.region) + bytes - first;
}

static fenced_block *fenced_find(const void *memory) {
    const char *p = memory;
    for (int i = 0; i < fenced.n_blocks; i++) {
        fenced_block *b = &fenced.blocks[i];
        if (b->live && p >= b->at && p < b->at + b->bytes) return b;
    }
    return NULL;
}

static void fenced_check_bytes(const char *slot, const char *argument, const void *p, size_t bytes) {
    if (bytes == 0) return;
    const fenced_block *b = fenced_find(p);
    if (b == NULL) {
        const char *at = p;
        const bool ours = at >= fenced.region && at < fenced.region + FENCED_BYTES;
        fenced_die(slot, argument, p == NULL ? "is NULL" : ours ? "was released" : "is not memory of this table");
    }
    if (bytes > (size_t)(b->at + b->bytes - (const char *)p)) fenced_die(slot, argument, "runs past its allocation");
    fenced_admit(slot, p, bytes);
}

/* n numbers of 4 bytes, floats or ids. */
static void fenced_check(const char *slot, const char *argument, const void *p, int64_t n) {
    fenced_check_bytes(slot, argument, p, n > 0 ? 4 * (size_t)n : 0);
}

static int64_t fenced_extent(int64_t rows, int64_t columns, int64_t ld) {
    return rows > 0 && columns > 0 ? (rows - 1) * ld + columns : 0;
}

/* In a wrapper, whose name without "fenced_" is the slot: checks of its arguments, then the call. */
#define FENCED_VECTOR(p, n) fenced_check(slot, #p, p, n)
#define FENCED_MATRIX(p, rows, columns, ld) fenced_check(slot, #p, p, fenced_extent(rows, columns, ld))
#define FENCED_CALL(...)                                                                                               \
    do {                                                                                                               \
        fenced_open(slot);                                                                                             \
        fenced.inner->__VA_ARGS__;                                                                                     \
        fenced_close(slot);                                                                                            \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void *fenced_allocate(size_t bytes) {
    const size_t room = (bytes + FENCED_PAGE - 1) / FENCED_PAGE * FENCED_PAGE + (bytes == 0) * FENCED_PAGE;
    fenced_block *b = NULL;
    for (int i = 0; i < fenced.n_blocks && b == NULL; i++) {
        if (!fenced.blocks[i].live && fenced.blocks[i].room >= room) b = &fenced.blocks[i];
    }
    if (b == NULL) {
        if (room > FENCED_BYTES - fenced.used || fenced.n_blocks == FENCED_BLOCKS) return NULL;
        b = &fenced.blocks[fenced.n_blocks++];
        *b = (fenced_block){.at = fenced.region + fenced.used, .room = room};
        fenced.used += room;
    }
    b->bytes = bytes;
    b->live = true;
    fenced_admit("allocate", b->at, b->room);
    fenced_open("allocate");
    memset(b->at, 0, b->room);
    fenced_close("allocate");
    return b->at;
}

static void fenced_release(void *memory) {
    if (memory == NULL) return;
    for (int i = 0; i < fenced.n_blocks; i++) {
        if (fenced.blocks[i].at != memory || !fenced.blocks[i].live) continue;
        fenced.blocks[i].live = false;
        return;
    }
    fenced_die("release", "memory", "was not allocated here, or is released already");
}

int rllc_fenced_live(void) {
    int live = 0;
    for (int i = 0; i < fenced.n_blocks; i++) live += fenced.blocks[i].live;
    return live;
}

static void fenced_check_host(const char *slot, const void *host, size_t bytes) {
    const char *p = host;
    if (bytes > 0 && p >= fenced.region && p < fenced.region + FENCED_BYTES) {
        fenced_die(slot, "host", "is memory of this table");
    }
}

static void fenced_upload(size_t bytes, const void *host, void *memory) {
    const char *slot = "upload";
    fenced_check_host(slot, host, bytes);
    fenced_check_bytes(slot, "memory", memory, bytes);
    FENCED_CALL(upload(bytes, host, memory));
}

static void fenced_download(size_t bytes, const void *memory, void *host) {
    const char *slot = "download";
    fenced_check_host(slot, host, bytes);
    fenced_check_bytes(slot, "memory", memory, bytes);
    FENCED_CALL(download(bytes, memory, host));
}

/* ---- matrices and rows ----------------------------------------------------------------------------------- */

static void fenced_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                        const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    const char *slot = "gemm";
    if (m > 0 && n > 0) FENCED_MATRIX(a, ta ? k : m, ta ? m : k, lda);
    if (m > 0 && n > 0) FENCED_MATRIX(b, tb ? n : k, tb ? k : n, ldb);
    FENCED_MATRIX(c, m, n, ldc);
    FENCED_CALL(gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc));
}

static void fenced_layer_norm_forward(int64_t rows, int64_t c, const float *x, const float *w, const float *b,
                                      double eps, float *y, float *mean, float *rstd) {
    const char *slot = "layer_norm_forward";
    FENCED_MATRIX(x, rows, c, c);
    if (w != NULL || b != NULL) {
        FENCED_VECTOR(w, c);
        FENCED_VECTOR(b, c);
    }
    FENCED_MATRIX(y, rows, c, c);
    FENCED_VECTOR(mean, rows);
    FENCED_VECTOR(rstd, rows);
    FENCED_CALL(layer_norm_forward(rows, c, x, w, b, eps, y, mean, rstd));
}

static void fenced_layer_norm_backward(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd,
                                       const float *w, const float *dy, float *dx, float *dw, float *db) {
    const char *slot = "layer_norm_backward";
    FENCED_MATRIX(x, rows, c, c);
    FENCED_VECTOR(mean, rows);
    FENCED_VECTOR(rstd, rows);
    FENCED_VECTOR(w, c);
    FENCED_MATRIX(dy, rows, c, c);
    FENCED_MATRIX(dx, rows, c, c);
    if (dw != NULL || db != NULL) {
        FENCED_VECTOR(dw, c);
        FENCED_VECTOR(db, c);
    }
    FENCED_CALL(layer_norm_backward(rows, c, x, mean, rstd, w, dy, dx, dw, db));
}

static int64_t fenced_attention_scratch(int64_t t, int64_t d) {
    return fenced.inner->attention_scratch(t, d);
}

static void fenced_attention_forward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                                     int64_t ld, float *z, int64_t ldz, float *lse, float *scratch) {
    const char *slot = "attention_forward";
    FENCED_MATRIX(q, t, d, ld);
    FENCED_MATRIX(k, t, d, ld);
    FENCED_MATRIX(v, t, d, ld);
    FENCED_MATRIX(z, t, d, ldz);
    FENCED_VECTOR(lse, t);
    FENCED_VECTOR(scratch, fenced_attention_scratch(t, d));
    FENCED_CALL(attention_forward(t, d, scale, q, k, v, ld, z, ldz, lse, scratch));
}

static void fenced_attention_backward(int64_t t, int64_t d, double scale, const float *q, const float *k,
                                      const float *v, int64_t ld, const float *z, const float *dz, int64_t ldz,
                                      const float *lse, float *dq, float *dk, float *dv, int64_t ldd, float *scratch) {
    const char *slot = "attention_backward";
    FENCED_MATRIX(q, t, d, ld);
    FENCED_MATRIX(k, t, d, ld);
    FENCED_MATRIX(v, t, d, ld);
    FENCED_MATRIX(z, t, d, ldz);
    FENCED_MATRIX(dz, t, d, ldz);
    FENCED_VECTOR(lse, t);
    FENCED_MATRIX(dq, t, d, ldd);
    FENCED_MATRIX(dk, t, d, ldd);
    FENCED_MATRIX(dv, t, d, ldd);
    FENCED_VECTOR(scratch, fenced_attention_scratch(t, d));
    FENCED_CALL(attention_backward(t, d, scale, q, k, v, ld, z, dz, ldz, lse, dq, dk, dv, ldd, scratch));
}

static void fenced_cross_entropy(int64_t rows, int64_t v, float *logits, int64_t ld, const int32_t *targets,
                                 double gradient_scale, float *loss, float *lse) {
    const char *slot = "cross_entropy";
    FENCED_MATRIX(logits, rows, v, ld);
    FENCED_VECTOR(targets, rows);
    FENCED_VECTOR(loss, rows);
    if (lse != NULL) FENCED_VECTOR(lse, rows);
    FENCED_CALL(cross_entropy(rows, v, logits, ld, targets, gradient_scale, loss, lse));
}

static void fenced_log_softmax(int64_t rows, int64_t v, float *logits, int64_t ld) {
    const char *slot = "log_softmax";
    FENCED_MATRIX(logits, rows, v, ld);
    FENCED_CALL(log_softmax(rows, v, logits, ld));
}

static void fenced_kl_divergence(int64_t rows, int64_t v, float *logits, int64_t ld, const float *reference,
                                 int64_t ldr, const int32_t *targets, double gradient_scale, float *loss) {
    const char *slot = "kl_divergence";
    FENCED_MATRIX(logits, rows, v, ld);
    FENCED_MATRIX(reference, rows, v, ldr);
    FENCED_VECTOR(targets, rows);
    FENCED_VECTOR(loss, rows);
    FENCED_CALL(kl_divergence(rows, v, logits, ld, reference, ldr, targets, gradient_scale, loss));
}

static int64_t fenced_low_rank_scratch(int64_t rows, int64_t v, int64_t n) {
    return fenced.inner->low_rank_scratch(rows, v, n);
}

/* The struct itself is the host's. */
static void fenced_low_rank_loss(const rllc_low_rank *x) {
    const char *slot = "low_rank_loss";
    FENCED_MATRIX(x->a, x->rows, x->v, x->lda);
    if (x->a_scale != NULL) FENCED_VECTOR(x->a_scale, x->rows);
    FENCED_MATRIX(x->y, x->rows, x->n, x->ldy);
    FENCED_MATRIX(x->b, x->n, x->v, x->ldb);
    FENCED_VECTOR(x->c, x->v);
    FENCED_VECTOR(x->lse, x->rows);
    FENCED_VECTOR(x->targets, x->rows);
    FENCED_VECTOR(x->loss, x->rows);
    if (x->gradient_scale != 0) {
        FENCED_MATRIX(x->dy, x->rows, x->n, x->lddy);
        FENCED_VECTOR(x->g, x->rows);
        FENCED_MATRIX(x->m, x->v, x->n, x->n);
    }
    FENCED_VECTOR(x->scratch, fenced_low_rank_scratch(x->rows, x->v, x->n));
    FENCED_CALL(low_rank_loss(x));
}

/* ---- rows and vectors ------------------------------------------------------------------------------------ */

static void fenced_zero(int64_t n, float *x) {
    const char *slot = "zero";
    FENCED_VECTOR(x, n);
    FENCED_CALL(zero(n, x));
}

static void fenced_multiply(int64_t n, double alpha, const float *x, const float *y, float *out) {
    const char *slot = "multiply";
    FENCED_VECTOR(x, n);
    FENCED_VECTOR(y, n);
    FENCED_VECTOR(out, n);
    FENCED_CALL(multiply(n, alpha, x, y, out));
}

static void fenced_divide(int64_t n, const float *x, const float *y, float *out) {
    const char *slot = "divide";
    FENCED_VECTOR(x, n);
    FENCED_VECTOR(y, n);
    FENCED_VECTOR(out, n);
    FENCED_CALL(divide(n, x, y, out));
}

static void fenced_copy_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    const char *slot = "copy_rows";
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_CALL(copy_rows(rows, c, x, ldx, y, ldy));
}

static void fenced_scale_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                              int64_t ldy) {
    const char *slot = "scale_rows";
    FENCED_VECTOR(s, rows);
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_CALL(scale_rows(rows, c, s, x, ldx, y, ldy));
}

static void fenced_add_scaled_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                                   int64_t ldy) {
    const char *slot = "add_scaled_rows";
    FENCED_VECTOR(s, rows);
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_CALL(add_scaled_rows(rows, c, s, x, ldx, y, ldy));
}

static void fenced_row_dots(int64_t rows, int64_t c, const float *x, int64_t ldx, const float *y, int64_t ldy,
                            float *out) {
    const char *slot = "row_dots";
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_VECTOR(out, rows);
    FENCED_CALL(row_dots(rows, c, x, ldx, y, ldy, out));
}

/* How many rows the ids reach. */
static int64_t fenced_rows_of(const char *slot, int64_t rows, const int32_t *ids) {
    int64_t reached = 0;
    FENCED_VECTOR(ids, rows);
    fenced_open(slot);
    for (int64_t r = 0; r < rows; r++) {
        if (ids[r] < 0) fenced_die(slot, "ids", "holds a negative one");
        if (ids[r] >= reached) reached = (int64_t)ids[r] + 1;
    }
    fenced_close(slot);
    return reached;
}

static void fenced_gather_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                               int64_t ldy) {
    const char *slot = "gather_rows";
    const int64_t reached = fenced_rows_of(slot, rows, ids);
    FENCED_VECTOR(ids, rows);
    FENCED_MATRIX(x, reached, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_CALL(gather_rows(rows, c, ids, x, ldx, y, ldy));
}

static void fenced_scatter_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                                int64_t ldy) {
    const char *slot = "scatter_rows";
    const int64_t reached = fenced_rows_of(slot, rows, ids);
    FENCED_VECTOR(ids, rows);
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, reached, c, ldy);
    FENCED_CALL(scatter_rows(rows, c, ids, x, ldx, y, ldy));
}

static void fenced_add(int64_t n, const float *x, float *y) {
    const char *slot = "add";
    FENCED_VECTOR(x, n);
    FENCED_VECTOR(y, n);
    FENCED_CALL(add(n, x, y));
}

static void fenced_add_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    const char *slot = "add_rows";
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_MATRIX(y, rows, c, ldy);
    FENCED_CALL(add_rows(rows, c, x, ldx, y, ldy));
}

static void fenced_column_sum(int64_t rows, int64_t c, const float *x, int64_t ldx, float *sum) {
    const char *slot = "column_sum";
    FENCED_MATRIX(x, rows, c, ldx);
    FENCED_VECTOR(sum, c);
    FENCED_CALL(column_sum(rows, c, x, ldx, sum));
}

/* ---- updates: the step and the stream are the host's ------------------------------------------------------- */

static void fenced_adamw(int64_t n, const rllc_adamw_step *s, const float *g, float *w, float *m, float *v) {
    const char *slot = "adamw";
    FENCED_VECTOR(g, n);
    FENCED_VECTOR(w, n);
    FENCED_VECTOR(m, n);
    FENCED_VECTOR(v, n);
    FENCED_CALL(adamw(n, s, g, w, m, v));
}

static void fenced_sgld(int64_t n, const rllc_sgld_step *s, const float *g, const float *w0, const float *eta,
                        float *w) {
    const char *slot = "sgld";
    FENCED_VECTOR(g, n);
    FENCED_VECTOR(w0, n);
    if (s->noise_level != 0 || eta != NULL) FENCED_VECTOR(eta, n);
    FENCED_VECTOR(w, n);
    FENCED_CALL(sgld(n, s, g, w0, eta, w));
}

static void fenced_normals(const rllc_stream *s, uint64_t first, int64_t n, float *out) {
    const char *slot = "normals";
    FENCED_VECTOR(out, n);
    FENCED_CALL(normals(s, first, n, out));
}

static double fenced_sum_squares(int64_t n, const float *x) {
    const char *slot = "sum_squares";
    double sum;
    FENCED_VECTOR(x, n);
    fenced_open(slot);
    sum = fenced.inner->sum_squares(n, x);
    fenced_close(slot);
    return sum;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

const rllc_kernels *rllc_fenced_kernels(const rllc_kernels *wrapped) {
    static const rllc_kernels table = {
        .name = "fenced",
        .host_memory = false,
        .allocate = fenced_allocate,
        .release = fenced_release,
        .upload = fenced_upload,
        .download = fenced_download,
        .gemm = fenced_gemm,
        .layer_norm_forward = fenced_layer_norm_forward,
        .layer_norm_backward = fenced_layer_norm_backward,
        .attention_forward = fenced_attention_forward,
        .attention_backward = fenced_attention_backward,
        .attention_scratch = fenced_attention_scratch,
        .cross_entropy = fenced_cross_entropy,
        .log_softmax = fenced_log_softmax,
        .kl_divergence = fenced_kl_divergence,
        .low_rank_loss = fenced_low_rank_loss,
        .low_rank_scratch = fenced_low_rank_scratch,
        .zero = fenced_zero,
        .multiply = fenced_multiply,
        .divide = fenced_divide,
        .copy_rows = fenced_copy_rows,
        .scale_rows = fenced_scale_rows,
        .add_scaled_rows = fenced_add_scaled_rows,
        .row_dots = fenced_row_dots,
        .gather_rows = fenced_gather_rows,
        .scatter_rows = fenced_scatter_rows,
        .add = fenced_add,
        .add_rows = fenced_add_rows,
        .column_sum = fenced_column_sum,
        .adamw = fenced_adamw,
        .sgld = fenced_sgld,
        .normals = fenced_normals,
        .sum_squares = fenced_sum_squares,
    };
    if (!wrapped->host_memory) fenced_die(wrapped->name, "table", "does not compute on the host");
    if (wrapped != fenced.inner && rllc_fenced_live() > 0) fenced_die(wrapped->name, "table", "while memory is in use");
    if (fenced.region == NULL) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *region = mmap(NULL, FENCED_BYTES, PROT_NONE, flags, -1, 0);
        if (region == MAP_FAILED) fenced_die("mmap", "memory", "cannot be reserved");
        fenced.region = region;
        fenced.owner = pthread_self();
    }
    fenced.inner = wrapped;
    return &table;
}
