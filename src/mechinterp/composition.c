/* Composition scores of pairs of heads, through products of the heads' own width, and what chance gives. */
#include "mechinterp/composition.h"

#include <math.h>
#include <string.h>

const char *const rllc_composition_names[RLLC_COMPOSITIONS] = {"composition_k", "composition_q", "composition_v"};

enum { QUERY, KEY, VALUE, OUTPUT, MATRICES };
static const char *const tensor_of[MATRICES] = {"W_Q", "W_K", "W_V", "W_O"};

/** Which of a head's matrices meets the residual stream first, and which stands behind it (E120). */
static const int reads_with[RLLC_COMPOSITIONS] = {KEY, QUERY, VALUE};
static const int behind[RLLC_COMPOSITIONS] = {QUERY, KEY, OUTPUT};

/* What the scores of all pairs need: Gram matrices of every head, the matrices of the two heads in hand. */
typedef struct scorer {
    const rllc_model *m;
    bool folded;
    int64_t C, D, H, heads;
    double *written;          /* [heads, D, D] Gram matrix of W_V */
    double *read;             /* [heads, D, D] Gram matrix of the matrix behind the reading one */
    double *size_from;        /* [heads] ||W_V W_O||_F */
    double *size_to;          /* [heads] Frobenius norm of the product that reads */
    double *left, *right;     /* [C, D] */
    double *product, *turned; /* [D, D] */
} scorer;

static rllc_status scorer_init(scorer *s, const rllc_model *m, bool folded) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &m->options;
    *s = (scorer){.m = m, .folded = folded, .C = o->d_model, .D = o->d_head, .H = o->n_heads};
    s->heads = o->n_layers * o->n_heads;
    RLLC_TRY(rllc_alloc(&s->written, s->heads * s->D * s->D, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->read, s->heads * s->D * s->D, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->size_from, s->heads, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->size_to, s->heads, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->left, s->C * s->D, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->right, s->C * s->D, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->product, s->D * s->D, sizeof(double)));
    RLLC_TRY(rllc_alloc(&s->turned, s->D * s->D, sizeof(double)));
done:
    return status;
}

static void scorer_release(scorer *s) {
    rllc_free(s->written);
    rllc_free(s->read);
    rllc_free(s->size_from);
    rllc_free(s->size_to);
    rllc_free(s->left);
    rllc_free(s->right);
    rllc_free(s->product);
    rllc_free(s->turned);
}

static const float *weights_of(const rllc_model *m, int64_t layer, const char *tensor) {
    return m->weights + rllc_model_find(m, rllc_intern_printf("blocks.%lld.%s", (long long)layer, tensor))->offset;
}

/** x <- (I - 1 1^T / C) diag(gain) x: what the LayerNorm before x does besides dividing by sigma. */
static void fold(double *x, const float *gain, int64_t C, int64_t D) {
    for (int64_t d = 0; d < D; d++) {
        double mean = 0;
        for (int64_t c = 0; c < C; c++) mean += (x[c * D + d] *= (double)gain[c]);
        mean /= (double)C;
        for (int64_t c = 0; c < C; c++) x[c * D + d] -= mean;
    }
}

/** A matrix of a head as [C, D], W_O transposed, folded if it reads the residual stream. */
static void fetch(const scorer *s, int64_t head, int matrix, double *out) {
    const int64_t C = s->C, D = s->D, layer = head / s->H;
    const float *w = weights_of(s->m, layer, rllc_intern_printf("attn.%s", tensor_of[matrix])) + head % s->H * C * D;
    for (int64_t c = 0; c < C; c++)
        for (int64_t d = 0; d < D; d++) out[c * D + d] = (double)(matrix == OUTPUT ? w[d * C + c] : w[c * D + d]);
    if (s->folded && matrix != OUTPUT) fold(out, weights_of(s->m, layer, "ln1.w"), C, D);
}

/** out [D, D] = a^T b. */
static void multiply(const scorer *s, const double *a, const double *b, double *out) {
    const int64_t D = s->D;
    memset(out, 0, (size_t)(D * D) * sizeof *out);
    for (int64_t c = 0; c < s->C; c++)
        for (int64_t i = 0; i < D; i++)
            for (int64_t j = 0; j < D; j++) out[i * D + j] += a[c * D + i] * b[c * D + j];
}

static double inner(const scorer *s, const double *a, const double *b) {
    double sum = 0;
    for (int64_t i = 0; i < s->D * s->D; i++) sum += a[i] * b[i];
    return sum > 0 ? sum : isnan(sum) ? sum : 0;
}

/** Gram matrices and norms of every head: ||A B^T||^2 = tr(A^T A B^T B). */
static void prepare(scorer *s, int kind) {
    const int64_t square = s->D * s->D;
    for (int64_t h = 0; h < s->heads; h++) {
        double *written = s->written + h * square, *read = s->read + h * square;
        fetch(s, h, VALUE, s->left);
        fetch(s, h, OUTPUT, s->right);
        multiply(s, s->left, s->left, written);
        multiply(s, s->right, s->right, s->product);
        s->size_from[h] = sqrt(inner(s, written, s->product));
        fetch(s, h, reads_with[kind], s->left);
        fetch(s, h, behind[kind], s->right);
        multiply(s, s->left, s->left, s->product);
        multiply(s, s->right, s->right, read);
        s->size_to[h] = sqrt(inner(s, s->product, read));
    }
}

/** tr(W M R M^T), W and R symmetric (E121). */
static double sandwiched(scorer *s, const double *W, const double *M, const double *R) {
    const int64_t D = s->D;
    double sum = 0;
    for (int64_t i = 0; i < D; i++) /* turned = M R */
        for (int64_t j = 0; j < D; j++) {
            double x = 0;
            for (int64_t k = 0; k < D; k++) x += M[i * D + k] * R[k * D + j];
            s->turned[i * D + j] = x;
        }
    for (int64_t i = 0; i < D; i++)
        for (int64_t j = 0; j < D; j++)
            for (int64_t k = 0; k < D; k++) sum += W[i * D + k] * M[k * D + j] * s->turned[i * D + j];
    return sum > 0 ? sum : isnan(sum) ? sum : 0;
}

/** The score of two heads: `left` holds W_O^T of the first, `right` what the second reads with. */
static double score(scorer *s, int64_t from, int64_t to) {
    const int64_t square = s->D * s->D;
    const double size = s->size_from[from] * s->size_to[to];
    if (size == 0) return 0;
    multiply(s, s->left, s->right, s->product);
    return sqrt(sandwiched(s, s->written + from * square, s->product, s->read + to * square)) / size;
}

static rllc_status check(const rllc_model *m, int64_t heads, const double *out) {
    const int64_t H = m->options.n_heads;
    for (int64_t from = 0; from < heads; from++)
        for (int64_t to = (from / H + 1) * H; to < heads; to++)
            if (!isfinite(out[from * heads + to]))
                return rllc_fail(
                    RLLC_ENOTFINITE,
                    "the composition of heads %lld:%lld and %lld:%lld is not finite: the weights hold a NaN "
                    "or an infinity",
                    (long long)(from / H), (long long)(from % H), (long long)(to / H), (long long)(to % H));
    return RLLC_OK;
}

rllc_status rllc_composition_scores(const rllc_model *m, int kind, bool folded, double *out) {
    rllc_status status = RLLC_OK;
    scorer s;
    if (folded && m->options.normalization != RLLC_NORM_LN)
        return rllc_fail(RLLC_EUSAGE, "the model has no LayerNorm to fold into its heads");
    RLLC_TRY(scorer_init(&s, m, folded));
    prepare(&s, kind);
    for (int64_t i = 0; i < s.heads * s.heads; i++) out[i] = NAN;
    for (int64_t to = s.H; to < s.heads; to++) {
        fetch(&s, to, reads_with[kind], s.right);
        for (int64_t from = 0; from / s.H < to / s.H; from++) {
            fetch(&s, from, OUTPUT, s.left);
            out[from * s.heads + to] = score(&s, from, to);
        }
    }
    RLLC_TRY(check(m, s.heads, out));
done:
    scorer_release(&s);
    return status;
}

/* ---- chance ------------------------------------------------------------------------------------------------ */

/** E tr((X^T X)^2) / E (tr X^T X)^2 of X = A B^T, A [m, D] and B [n, D] of independent standard normals (E125). */
static double purity(double m, double n, double D) {
    return ((m + 1) * (n + 1) + D * (m + n + 1) + 2) / (m * n * D + 2 * (m + n + D + 1));
}

double rllc_composition_chance(const rllc_model_options *o, int kind, bool folded) {
    const double C = (double)o->d_model, D = (double)o->d_head, mean = 1 / C;
    const double reading = folded ? C - 1 : C; /* centred columns have C - 1 free entries */
    if (C < 3) return sqrt(mean);
    const double p = purity(reading, C, D), q = kind == RLLC_COMPOSITION_V ? p : purity(reading, reading, D);
    const double square = (C + 1 - 2 * (p + q) + 2 * C * p * q) / (C * (C - 1) * (C + 2)); /* E124 */
    const double variance = square - mean * mean;
    if (!(variance > 0)) return sqrt(mean);
    const double sum = mean * (1 - mean) / variance - 1, a = mean * sum; /* E126 */
    return exp(lgamma(a + 0.5) - lgamma(a) + lgamma(sum) - lgamma(sum + 0.5));
}
