/* The engine on a kernel table whose memory the host cannot touch: the bits of an ordinary engine, and a fence that
 * holds. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/model.h"
#include "support/fenced.h"

/* ---- the fence ------------------------------------------------------------------------------------------------- */

enum { ARGUMENTS = 11, ROOM = 1 << 15 };

typedef struct call {
    const rllc_kernels *k;
    float *p[ARGUMENTS]; /* what the slot is given for its arrays, in the order of its arguments */
} call;

static void call_gemm(const call *c) {
    c->k->gemm(false, false, 3, 4, 5, 1, c->p[0], 5, c->p[1], 4, 1, c->p[2], 4);
}
static void call_layer_norm_forward(const call *c) {
    c->k->layer_norm_forward(3, 4, c->p[0], c->p[1], c->p[2], 1e-5, c->p[3], c->p[4], c->p[5]);
}
static void call_layer_norm_backward(const call *c) {
    c->k->layer_norm_backward(3, 4, c->p[0], c->p[1], c->p[2], c->p[3], c->p[4], c->p[5], c->p[6], c->p[7]);
}
static void call_attention_forward(const call *c) {
    c->k->attention_forward(3, 4, 1, c->p[0], c->p[1], c->p[2], 4, c->p[3], 4, c->p[4], c->p[5]);
}
static void call_attention_backward(const call *c) {
    c->k->attention_backward(3, 4, 1, c->p[0], c->p[1], c->p[2], 4, c->p[3], c->p[4], 4, c->p[5], c->p[6], c->p[7],
                             c->p[8], 4, c->p[9]);
}
static void call_cross_entropy(const call *c) {
    c->k->cross_entropy(3, 4, c->p[0], 4, (int32_t *)c->p[1], 1, c->p[2], c->p[3]);
}
static void call_log_softmax(const call *c) {
    c->k->log_softmax(3, 4, c->p[0], 4);
}
static void call_kl_divergence(const call *c) {
    c->k->kl_divergence(3, 4, c->p[0], 4, c->p[1], 5, (int32_t *)c->p[2], 1, c->p[3]);
}
static void call_low_rank_loss(const call *c) {
    const rllc_low_rank x = {.rows = 3,
                             .v = 4,
                             .n = 2,
                             .a = c->p[0],
                             .lda = 4,
                             .a_scale = c->p[1],
                             .y = c->p[2],
                             .ldy = 2,
                             .b = c->p[3],
                             .ldb = 4,
                             .c = c->p[4],
                             .lse = c->p[5],
                             .targets = (int32_t *)c->p[6],
                             .gradient_scale = 1,
                             .loss = c->p[7],
                             .dy = c->p[8],
                             .lddy = 2,
                             .g = c->p[9],
                             .m = c->p[10],
                             .scratch = c->p[0] + ROOM / 2};
    c->k->low_rank_loss(&x);
}
static void call_zero(const call *c) {
    c->k->zero(5, c->p[0]);
}
static void call_multiply(const call *c) {
    c->k->multiply(5, 2, c->p[0], c->p[1], c->p[2]);
}
static void call_divide(const call *c) {
    c->k->divide(5, c->p[0], c->p[1], c->p[2]);
}
static void call_copy_rows(const call *c) {
    c->k->copy_rows(3, 4, c->p[0], 0, c->p[1], 5);
}
static void call_scale_rows(const call *c) {
    c->k->scale_rows(3, 4, c->p[0], c->p[1], 4, c->p[2], 5);
}
static void call_add_scaled_rows(const call *c) {
    c->k->add_scaled_rows(3, 4, c->p[0], c->p[1], 0, c->p[2], 5);
}
static void call_row_dots(const call *c) {
    c->k->row_dots(3, 4, c->p[0], 4, c->p[1], 5, c->p[2]);
}
static void call_gather_rows(const call *c) {
    c->k->gather_rows(3, 4, (int32_t *)c->p[0], c->p[1], 4, c->p[2], 5);
}
static void call_scatter_rows(const call *c) {
    c->k->scatter_rows(3, 4, (int32_t *)c->p[0], c->p[1], 4, c->p[2], 5);
}
static void call_add(const call *c) {
    c->k->add(5, c->p[0], c->p[1]);
}
static void call_add_rows(const call *c) {
    c->k->add_rows(3, 4, c->p[0], 0, c->p[1], 5);
}
static void call_column_sum(const call *c) {
    c->k->column_sum(3, 4, c->p[0], 4, c->p[1]);
}
static void call_adamw(const call *c) {
    const rllc_adamw_step s = {.lr = 1, .eps = 1, .correction1 = 1, .correction2 = 1};
    c->k->adamw(5, &s, c->p[0], c->p[1], c->p[2], c->p[3]);
}
static void call_sgld(const call *c) {
    const rllc_sgld_step s = {.lr = 1, .noise_level = 1};
    c->k->sgld(5, &s, c->p[0], c->p[1], c->p[2], c->p[3]);
}
static void call_normals(const call *c) {
    const rllc_stream s = rllc_stream_make(1, "test", 0, 0);
    c->k->normals(&s, 0, 5, c->p[0]);
}
static void call_sum_squares(const call *c) {
    (void)c->k->sum_squares(5, c->p[0]);
}
static void call_upload(const call *c) {
    const float x[5] = {0};
    c->k->upload(sizeof x, x, c->p[0]);
}
static void call_download(const call *c) {
    float x[5];
    c->k->download(sizeof x, c->p[0], x);
}
static void call_release(const call *c) {
    c->k->release(c->p[0]);
}

static const struct {
    const char *name;
    void (*run)(const call *c);
    int arguments;
} slots[] = {{"gemm", call_gemm, 3},
             {"layer_norm_forward", call_layer_norm_forward, 6},
             {"layer_norm_backward", call_layer_norm_backward, 8},
             {"attention_forward", call_attention_forward, 6},
             {"attention_backward", call_attention_backward, 10},
             {"cross_entropy", call_cross_entropy, 4},
             {"log_softmax", call_log_softmax, 1},
             {"kl_divergence", call_kl_divergence, 4},
             {"low_rank_loss", call_low_rank_loss, 11},
             {"zero", call_zero, 1},
             {"multiply", call_multiply, 3},
             {"divide", call_divide, 3},
             {"copy_rows", call_copy_rows, 2},
             {"scale_rows", call_scale_rows, 3},
             {"add_scaled_rows", call_add_scaled_rows, 3},
             {"row_dots", call_row_dots, 3},
             {"gather_rows", call_gather_rows, 3},
             {"scatter_rows", call_scatter_rows, 3},
             {"add", call_add, 2},
             {"add_rows", call_add_rows, 2},
             {"column_sum", call_column_sum, 2},
             {"adamw", call_adamw, 4},
             {"sgld", call_sgld, 4},
             {"normals", call_normals, 1},
             {"sum_squares", call_sum_squares, 1},
             {"upload", call_upload, 1},
             {"download", call_download, 1},
             {"release", call_release, 1}};

/* The signal that ends a child which runs f, 0 if it lives; what it says on stderr into `said`. */
static int signal_of(void (*f)(const call *c), const call *c, char *said, size_t size) {
    int ends[2], status = 0;
    ssize_t n = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        f(c);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t more; (more = read(ends[0], said + n, size - 1 - (size_t)n)) > 0;) n += more;
    said[n] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static call make_call(void) {
    call c = {.k = rllc_fenced_kernels(rllc_kernels_get())};
    assert_false(c.k->host_memory);
    for (int i = 0; i < ARGUMENTS; i++) {
        c.p[i] = c.k->allocate(ROOM * sizeof(float));
        assert_non_null(c.p[i]);
    }
    return c;
}

static void end_call(const call *c) {
    for (int i = 0; i < ARGUMENTS; i++) c->k->release(c->p[i]);
}

static void test_fenced_slots_refuse_host_memory_and_released_memory(void **state) {
    (void)state;
    char said[400];
    static float host[ROOM];
    call c = make_call();
    float *gone = c.k->allocate(ROOM * sizeof(float));
    c.k->release(gone);
    for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
        if (signal_of(slots[s].run, &c, said, sizeof said) != 0) fail_msg("%s: %s", slots[s].name, said);
        for (int i = 0; i < slots[s].arguments; i++)
            for (int kind = 0; kind < 2; kind++) {
                call bad = c;
                bad.p[i] = kind ? gone : host;
                const int signal = signal_of(slots[s].run, &bad, said, sizeof said);
                if (signal != SIGABRT || !strstr(said, slots[s].name))
                    fail_msg("%s with array %d %s: signal %d, '%s'", slots[s].name, i,
                             kind ? "released" : "of the host", signal, said);
            }
    }
    end_call(&c);
}

static void read_outside(const call *c) {
    const volatile float *p = c->p[3];
    (void)p[7];
}
static void write_outside(const call *c) {
    c->p[3][7] = 1;
}
static void read_after_a_kernel(const call *c) {
    for (size_t s = 0; s + 1 < sizeof slots / sizeof *slots; s++) slots[s].run(c);
    read_outside(c);
}
static void read_after_release(const call *c) {
    c->k->release(c->p[3]);
    read_outside(c);
}
static void add_beyond_the_end(const call *c) {
    c->k->add(ROOM, c->p[0], c->p[1] + 1);
}
static void gather_beyond_the_end(const call *c) {
    const int32_t ids[3] = {0, ROOM / 4, 1};
    c->k->upload(sizeof ids, ids, c->p[0]);
    call_gather_rows(c);
}

static void test_fenced_memory_is_closed_outside_of_kernels(void **state) {
    (void)state;
    char said[400];
    call c = make_call();
    assert_int_equal(signal_of(read_outside, &c, said, sizeof said), SIGSEGV);
    assert_int_equal(signal_of(write_outside, &c, said, sizeof said), SIGSEGV);
    assert_int_equal(signal_of(read_after_a_kernel, &c, said, sizeof said), SIGSEGV);
    assert_int_equal(signal_of(read_after_release, &c, said, sizeof said), SIGSEGV);
    assert_int_equal(signal_of(add_beyond_the_end, &c, said, sizeof said), SIGABRT);
    assert_int_equal(signal_of(gather_beyond_the_end, &c, said, sizeof said), SIGABRT);
    end_call(&c);
}

/* What is taken again is zero, as the header says. */
static void test_fenced_memory_is_zero_when_allocated(void **state) {
    (void)state;
    const rllc_kernels *k = rllc_fenced_kernels(rllc_kernels_get());
    float x[100];
    for (int round = 0; round < 3; round++) {
        float *memory = k->allocate(sizeof x);
        k->download(sizeof x, memory, x);
        for (int i = 0; i < 100; i++) assert_true(x[i] == 0);
        for (int i = 0; i < 100; i++) x[i] = (float)i;
        k->upload(sizeof x, x, memory);
        k->release(memory);
    }
}

/* ---- the engine -------------------------------------------------------------------------------------------------- */

enum { ROWS = 37, T = 17, V = 43, H = 4, MOST = 16, NUMBERS = 1 << 17 }; /* ROWS * T: three blocks */

typedef struct results {
    float *numbers;
    int64_t n;
} results;

static void keep(results *r, const void *x, int64_t n) {
    assert_true(r->n + n <= NUMBERS);
    memcpy(r->numbers + r->n, x, (size_t)n * sizeof *r->numbers);
    r->n += n;
}

static float *floats(int64_t n) {
    float *p = calloc((size_t)n, sizeof *p);
    assert_non_null(p);
    return p;
}

static void make_model(rllc_model *m, int layers, int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = layers, o.d_model = 32, o.n_heads = H, o.d_head = 8, o.n_ctx = T, o.d_vocab = V;
    o.normalization = normalization;
    assert_int_equal(rllc_model_init(m, &o), RLLC_OK);
    rllc_model_randomize(m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] += 0.2F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
}

static const int32_t *make_tokens(void) {
    static int32_t ids[ROWS * T];
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < ROWS * T; i++) ids[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    return ids;
}

/* Every set of outputs that can be asked for. */
static void evaluate(rllc_engine *e, const rllc_model *m, results *r) {
    for (int want = 0; want < 8; want++) {
        float *losses = floats(ROWS * (T - 1)), *logits = floats(ROWS * T * V), *gradient = floats(m->size);
        rllc_evaluation out = {.token_losses = want & 1 ? losses : NULL,
                               .logits = want & 2 ? logits : NULL,
                               .gradient = want & 4 ? gradient : NULL};
        assert_int_equal(rllc_engine_evaluate(e, m->weights, make_tokens(), ROWS, &out), RLLC_OK);
        keep(r, &out.loss, 2);
        if (want & 1) keep(r, losses, ROWS * (T - 1));
        if (want & 4) keep(r, gradient, m->size);
        if (want == 2 || want == 7) keep(r, logits, ROWS * T * V);
        free(losses), free(logits), free(gradient);
    }
}

/* Members in an order that mixes the paths; every third without a gradient. Twice, the second time from other weights,
 * so that nothing of the first call is left over. */
static void lockstep(rllc_engine *e, const rllc_model *m, results *r) {
    static const char *const names[] = {"l0h0",      "full",      "l1h0",       "embed", "l2h3", "unembed", "l0h0+l0h1",
                                        "l1h2+l1h3", "pos_embed", "ln_final.w", "l0h2",  "l0h0", "l1",      "l1h0"};
    rllc_component components[MOST];
    rllc_member members[MOST];
    int64_t n = 0;
    int last = 0, earlier = 0, plain = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rllc_component *c = &components[n];
        if (rllc_component_parse(c, m, names[i]) != RLLC_OK) continue; /* a layer or norm this model lacks */
        const bool low = rllc_component_flops(m, c) < rllc_component_plain_flops(m, c);
        *(low ? names[i][1] - '0' == m->options.n_layers - 1 ? &last : &earlier : &plain) += 1;
        members[n] = (rllc_member){.component = c, .free = floats(c->size), .token_losses = floats(ROWS * (T - 1))};
        if (n % 3 != 2) members[n].gradient = floats(c->size);
        n++;
    }
    assert_true(last > 0 && plain > 2 && (earlier > 0) == (m->options.n_layers > 1));
    float *base = floats(m->size), *losses = floats(ROWS * (T - 1));
    for (int round = 0; round < 2; round++) {
        double loss;
        for (int64_t i = 0; i < m->size; i++) base[i] = m->weights[i] * (1 + 0.1F * (float)round);
        for (int64_t i = 0; i < n; i++) {
            const rllc_component *c = members[i].component;
            const rllc_stream s = rllc_stream_make(11, "displace", (uint32_t)i, (uint32_t)round);
            float *to = (float *)(uintptr_t)members[i].free;
            for (int64_t j = 0; j < c->n_ranges; to += c->ranges[j++].n)
                for (int64_t k = 0; k < c->ranges[j].n; k++) {
                    const int64_t at = c->ranges[j].first + k;
                    to[k] = base[at] + 0.3F * (float)(rllc_stream_uniform(&s, (uint64_t)at) - 0.5);
                }
        }
        assert_int_equal(rllc_engine_lockstep(e, base, make_tokens(), ROWS, members, n, &loss, losses), RLLC_OK);
        keep(r, &loss, 2);
        keep(r, losses, ROWS * (T - 1));
        for (int64_t i = 0; i < n; i++) {
            keep(r, &members[i].loss, 2);
            keep(r, members[i].token_losses, ROWS * (T - 1));
            if (members[i].gradient) keep(r, members[i].gradient, members[i].component->size);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)members[i].free), free(members[i].gradient), free(members[i].token_losses);
        rllc_component_release(&components[i]);
    }
    free(base), free(losses);
}

static void attention(rllc_engine *e, const rllc_model *m, results *r) {
    int64_t query[ROWS], key[ROWS];
    const int64_t n = ROWS * m->options.n_layers * H;
    float *out = floats(n);
    for (int64_t i = 0; i < ROWS; i++) query[i] = (i * 5 + 3) % T, key[i] = i * 7 % T;
    assert_int_equal(rllc_engine_attention(e, m->weights, make_tokens(), ROWS, query, key, out), RLLC_OK);
    keep(r, out, n);
    free(out);
}

/* The same calls on both engines. Where numbers differ, the first difference is told. */
static void compare(void (*f)(rllc_engine *e, const rllc_model *m, results *r)) {
    for (int layers = 1; layers <= 3; layers++)
        for (int normalization = RLLC_NORM_LN; normalization <= RLLC_NORM_NULL; normalization++) {
            rllc_model m;
            results r[2] = {{.numbers = floats(NUMBERS)}, {.numbers = floats(NUMBERS)}};
            make_model(&m, layers, normalization);
            for (int fenced_one = 0; fenced_one < 2; fenced_one++) {
                rllc_engine *e;
                assert_int_equal(rllc_engine_new(&e, &m, ROWS, 1), RLLC_OK);
                if (fenced_one)
                    assert_int_equal(rllc_engine_set_kernels(e, rllc_fenced_kernels(rllc_kernels_get())), RLLC_OK);
                f(e, &m, &r[fenced_one]);
                rllc_engine_free(e);
            }
            assert_int_equal(rllc_fenced_live(), 0);
            assert_int_equal(r[0].n, r[1].n);
            for (int64_t i = 0; i < r[0].n; i++)
                if (memcmp(&r[0].numbers[i], &r[1].numbers[i], sizeof(float)) != 0)
                    fail_msg("%d layers: number %lld of %lld is %g, behind the fence %g", layers, (long long)i,
                             (long long)r[0].n, (double)r[0].numbers[i], (double)r[1].numbers[i]);
            free(r[0].numbers), free(r[1].numbers);
            rllc_model_release(&m);
        }
}

static void test_fenced_evaluate_gives_the_same_bits(void **state) {
    (void)state;
    compare(evaluate);
}

static void test_fenced_lockstep_gives_the_same_bits(void **state) {
    (void)state;
    compare(lockstep);
}

static void test_fenced_attention_gives_the_same_bits(void **state) {
    (void)state;
    compare(attention);
}

/* Losses relative to a reference model of another shape. */
static void relative_to(void (*f)(rllc_engine *e, const rllc_model *m, results *r), rllc_engine *e, const rllc_model *m,
                        results *r) {
    rllc_model reference;
    make_model(&reference, 2, RLLC_NORM_LN);
    assert_int_equal(rllc_engine_set_reference(e, &reference), RLLC_OK);
    f(e, m, r);
    assert_int_equal(rllc_engine_set_reference(e, NULL), RLLC_OK);
    rllc_model_release(&reference);
}

static void evaluate_relative(rllc_engine *e, const rllc_model *m, results *r) {
    relative_to(evaluate, e, m, r);
}

static void lockstep_relative(rllc_engine *e, const rllc_model *m, results *r) {
    relative_to(lockstep, e, m, r);
}

static void test_fenced_reference_gives_the_same_bits(void **state) {
    (void)state;
    compare(evaluate_relative);
    compare(lockstep_relative);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fenced_slots_refuse_host_memory_and_released_memory),
        cmocka_unit_test(test_fenced_memory_is_closed_outside_of_kernels),
        cmocka_unit_test(test_fenced_memory_is_zero_when_allocated),
        cmocka_unit_test(test_fenced_evaluate_gives_the_same_bits),
        cmocka_unit_test(test_fenced_lockstep_gives_the_same_bits),
        cmocka_unit_test(test_fenced_attention_gives_the_same_bits),
        cmocka_unit_test(test_fenced_reference_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
