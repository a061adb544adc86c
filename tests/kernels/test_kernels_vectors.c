/* Kernels on rows and vectors that lie between the products: copies, scalings, sums, gathers; each against ref. */
#include "kernels_test.h"

typedef struct matrices {
    int64_t rows, c, ldx, ldy;
    float *s, *x, *y; /* [rows], [rows, c] at ldx and at ldy */
    int32_t *ids;     /* [rows] of 0 .. rows - 1, some of them twice */
} matrices;

typedef enum operation { COPY, SCALE, ADD_SCALED, ADD, DOTS, GATHER, SCATTER, N_OPERATIONS } operation;
static const char *const names[] = {"copy", "scale", "add scaled", "add", "dots", "gather", "scatter"};

static int32_t ids[512];

static matrices make(int64_t rows, int64_t c, int64_t pad_x, int64_t pad_y) {
    matrices m = {.rows = rows, .c = c, .ldx = c + pad_x, .ldy = c + pad_y, .s = normal_array(rows, 1, 1), .ids = ids};
    if (m.ldy == 0) m.ldy = 1; /* room for one dot a row */
    m.x = normal_array(rows * m.ldx, 2, 1);
    m.y = normal_array(rows * m.ldy, 3, 1);
    for (int64_t r = 0; r < rows; r++) ids[r] = (int32_t)(r * 5 % ((rows + 1) / 2));
    return m;
}

/* Rows `first` to `first + rows` of the operation: into a copy of all of y, or of DOTS into out[first ..]. */
static void apply(const rllc_kernels *k, operation o, const matrices *m, int64_t first, int64_t rows, float *out) {
    const float *x = m->x + first * m->ldx, *s = m->s + first;
    float *to = out + first * m->ldy;
    switch (o) {
    case COPY: k->copy_rows(rows, m->c, x, m->ldx, to, m->ldy); break;
    case SCALE: k->scale_rows(rows, m->c, s, x, m->ldx, to, m->ldy); break;
    case ADD_SCALED: k->add_scaled_rows(rows, m->c, s, x, m->ldx, to, m->ldy); break;
    case ADD: k->add_rows(rows, m->c, x, m->ldx, to, m->ldy); break;
    case DOTS: k->row_dots(rows, m->c, x, m->ldx, m->y + first * m->ldy, m->ldy, out + first); break;
    case GATHER: k->gather_rows(rows, m->c, m->ids + first, m->x, m->ldx, to, m->ldy); break;
    case SCATTER: k->scatter_rows(rows, m->c, m->ids + first, x, m->ldx, out, m->ldy); break;
    case N_OPERATIONS: break;
    }
}

static float *run(const rllc_kernels *k, operation o, const matrices *m) {
    float *out = copy_array(m->y, m->rows * m->ldy);
    apply(k, o, m, 0, m->rows, out);
    return out;
}

static double tolerance_of(operation o, int64_t c) {
    if (o == DOTS) return 1e-6 * sqrt((double)c + 1);
    return o == ADD_SCALED ? 1e-6 : 0; /* the others round once, in every table, or not at all */
}

/* The whole of y is compared: what lies between the rows stays as it was. */
static void test_row_kernels_agree_with_ref(void **state) {
    (void)state;
    const int64_t rows[] = {0, 1, 2, 9, 64}, widths[] = {0, 1, 3, 4, 8, 15, 16, 17, 31, 32, 48, 65, 96, 257};
    const int64_t pads[][2] = {{0, 0}, {3, 1}, {0, 5}};
    for (size_t n = 0; n < 5 * 14 * 3; n++) {
        const int64_t *pad = pads[n % 3];
        matrices m = make(rows[n / 42], widths[n / 3 % 14], pad[0], pad[1]);
        for (operation o = 0; o < N_OPERATIONS; o++) {
            const float *expected = run(&rllc_kernels_ref, o, &m);
            FOR_EACH_FAST_TABLE(k) {
                ASSERT_AT_MOST(distance(run(k, o, &m), expected, m.rows * m.ldy), tolerance_of(o, m.c),
                               "%s: %s, %ld rows of %ld", k->name, names[o], (long)m.rows, (long)m.c);
            }
        }
        release_arrays();
    }
}

/* A row that stands at stride 0 is given to all: how biases are laid out and added. */
static void test_row_kernels_repeat_a_row(void **state) {
    (void)state;
    const int64_t widths[] = {1, 15, 16, 19, 64, 130};
    const operation operations[] = {COPY, SCALE, ADD_SCALED, ADD};
    for (size_t i = 0; i < 6 * 4; i++) {
        const operation o = operations[i % 4];
        matrices m = make(6, widths[i / 4], 0, 1), one = m;
        one.ldx = 0; /* and the numbers behind the row are others */
        m.x = copy_array(one.x, 6 * m.ldx);
        for (int64_t r = 1; r < 6; r++) memcpy(m.x + r * m.ldx, m.x, (size_t)m.c * sizeof *m.x);
        FOR_EACH_TABLE(k) {
            assert_true(same_bits(run(k, o, &one), run(k, o, &m), 6 * m.ldy));
        }
        release_arrays();
    }
}

/* Row by row gives the bits of all at once, at any alignment. (Scatter: the rows of one target in the same order.) */
static void test_row_kernels_do_not_depend_on_company(void **state) {
    (void)state;
    const int64_t widths[] = {1, 7, 16, 40, 129};
    for (size_t n = 0; n < 5; n++) {
        matrices m = make(12, widths[n], 2, 1), moved = m;
        moved.x = shifted_array(m.x, 12 * m.ldx);
        moved.y = shifted_array(m.y, 12 * m.ldy);
        for (operation o = 0; o < N_OPERATIONS; o++) {
            FOR_EACH_TABLE(k) {
                const float *whole = run(k, o, &m);
                float *alone = shifted_array(m.y, 12 * m.ldy);
                for (int64_t r = 0; r < 12; r++) apply(k, o, &moved, r, 1, alone);
                assert_true(same_bits(alone, whole, 12 * m.ldy));
            }
        }
        release_arrays();
    }
}

/* y[ids[r]] gathers x[r] in the order of r: 1e8 + 1 - 1e8 is 0 in floats, 1e8 - 1e8 + 1 is 1. */
static void test_scatter_rows_adds_in_order(void **state) {
    (void)state;
    const int32_t to[] = {1, 0, 1, 0, 1, 0};
    const float x[] = {1e8f, 1e8f, 1, -1e8f, -1e8f, 1};
    FOR_EACH_TABLE(k) {
        float y[2] = {0, 0};
        k->scatter_rows(6, 1, to, x, 1, y, 1);
        assert_true(y[0] == 1 && y[1] == 0);
    }
}

static void test_vector_kernels_agree_with_ref(void **state) {
    (void)state;
    for (int64_t n = 0; n < 70; n++) {
        const float *x = normal_array(n, 5, 1), *y = normal_array(n, 6, 1);
        float *product = array(n + 1), *quotient = array(n + 1);
        rllc_kernels_ref.multiply(n, -0.3, x, y, product);
        rllc_kernels_ref.divide(n, x, y, quotient);
        FOR_EACH_FAST_TABLE(k) {
            float *out = array(n + 1);
            k->multiply(n, -0.3, x, y, out);
            ASSERT_AT_MOST(distance(out, product, n + 1), 3e-7 * (1 + largest(product, n)), "%s: multiply", k->name);
            for (int64_t i = 0; i < n; i++) { /* a number alone has the same bits */
                float one;
                k->multiply(1, -0.3, x + i, y + i, &one);
                assert_true(same_bits(&one, out + i, 1));
            }
            k->divide(n, x, y, out);
            assert_true(distance(out, quotient, n + 1) == 0);
            k->zero(n, out);
            for (int64_t i = 0; i < n; i++) assert_true(out[i] == 0);
            assert_true(isnan(out[n]));
        }
        release_arrays();
    }
}

/* Zero divisors, infinities and NaN come through as ref has them. */
static void test_divide_has_the_infinities_of_floats(void **state) {
    (void)state;
    const float x[] = {1, -1, 0, INFINITY, NAN, 1}, y[] = {0, 0, 0, INFINITY, 1, INFINITY};
    FOR_EACH_TABLE(k) {
        float out[6];
        k->divide(6, x, y, out);
        assert_true(out[0] == INFINITY && out[1] == -INFINITY && isnan(out[2]) && isnan(out[3]) && isnan(out[4]));
        assert_true(out[5] == 0);
    }
}

/* What is uploaded comes down again, from zeroed, aligned memory. */
static void test_memory_of_every_table(void **state) {
    (void)state;
    FOR_EACH_TABLE(k) {
        float *memory = k->allocate(100 * sizeof(float)), down[100];
        assert_non_null(memory);
        assert_true((uintptr_t)memory % 64 == 0);
        k->download(sizeof down, memory, down);
        for (int i = 0; i < 100; i++) assert_true(down[i] == 0);
        const float *x = normal_array(100, 7, 1);
        k->upload(sizeof down, x, memory);
        k->download(sizeof down, memory, down);
        assert_true(same_bits(down, x, 100));
        k->release(memory);
        k->release(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_row_kernels_agree_with_ref, teardown),
        cmocka_unit_test_teardown(test_row_kernels_repeat_a_row, teardown),
        cmocka_unit_test_teardown(test_row_kernels_do_not_depend_on_company, teardown),
        cmocka_unit_test_teardown(test_scatter_rows_adds_in_order, teardown),
        cmocka_unit_test_teardown(test_vector_kernels_agree_with_ref, teardown),
        cmocka_unit_test_teardown(test_divide_has_the_infinities_of_floats, teardown),
        cmocka_unit_test_teardown(test_memory_of_every_table, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
