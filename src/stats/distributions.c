/* stats: quantiles of the normal and of Student's distribution, to nearly the last digit of a double. */
#include <float.h>
#include <math.h>

#include "rllc/stats.h"

static const double pi = 3.14159265358979323846, half_root_two = 0.70710678118654752440;

double rllc_normal_cdf(double x) {
    return 0.5 * erfc(-x * half_root_two);
}

/* Lower tail, p < 1/2: a guess good to 4.5e-4 (Abramowitz & Stegun 26.2.23), then Halley's steps, which cube the error.
   What is left is taken where nothing cancels: against p in the tail, against 1/2 - p in the middle. */
static double lower_normal_quantile(double p) {
    const double t = sqrt(-2 * log(p));
    double x = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
    for (int i = 0; i < 3; i++) {
        const double left = p < 0.25 ? rllc_normal_cdf(x) / p - 1 : (0.5 * erf(x * half_root_two) + (0.5 - p)) / p;
        const double step = left * exp(x * x / 2 + log(p)) * sqrt(2 * pi);
        x -= step / (1 + x * step / 2);
    }
    return x;
}

double rllc_normal_quantile(double p) {
    if (!(p >= 0 && p <= 1)) return NAN;
    if (p == 0 || p == 1) return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5) return 0;
    return p < 0.5 ? lower_normal_quantile(p) : -lower_normal_quantile(1 - p);
}

/* ---- Student ----------------------------------------------------------------------------------------------------- */

/** Gamma(a + 1/2) / Gamma(a); its series in 1/a is taken where the next term is below 1e-15. */
static double gamma_ratio(double a) {
    static const double series[] = {1.0,           -1.0 / 8,        1.0 / 128,       5.0 / 1024,
                                    -21.0 / 32768, -399.0 / 262144, 869.0 / 4194304, 39325.0 / 33554432};
    double sum = 0, factor = 1; /* at a < 40 the recursion R(a) = R(a + 1) a / (a + 1/2) comes first */
    for (; a < 40; a++) factor *= a / (a + 0.5);
    for (int k = (int)(sizeof series / sizeof *series) - 1; k >= 0; k--) sum = sum / a + series[k];
    return factor * sqrt(a) * sum;
}

/** The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method. */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m < 100000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        h *= d * c;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        h *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON) break;
    }
    return h;
}

/** log(1 + e^x) */
static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/** P(T > t) and P(0 < T < t) at t = sqrt(df) e^v, and -d P(T > t) / dv. */
typedef struct tail {
    double beyond, within, slope;
} tail;

static tail student_tail(double v, double df) {
    const double a = df / 2, log_x = -softplus(2 * v), log_y = -softplus(-2 * v); /* x = df / (df + t^2), y = 1 - x */
    const double x = exp(log_x), y = exp(log_y);
    const double density = gamma_ratio(a) / sqrt(pi) * exp(a * log_x + log_y / 2); /* x^a y^(1/2) / B(a, 1/2) */
    tail r = {.slope = density};
    if (x < (a + 1) / (a + 2.5)) {
        r.beyond = density * beta_fraction(a, 0.5, x) / (2 * a);
        r.within = 0.5 - r.beyond;
    } else {
        r.within = density * beta_fraction(0.5, a, y);
        r.beyond = 0.5 - r.within;
    }
    return r;
}

/** t > 0 with P(T > t) = p: Newton's steps for log P in log t (in the middle for log of what is missing to 1/2), which
 *  are kept inside a shrinking bracket. */
static double upper_student_quantile(double p, double df) {
    double low = -709, high = 709, v = log(-rllc_normal_quantile(p)) - log(df) / 2;
    for (int i = 0; i < 200; i++) {
        const tail r = student_tail(v, df);
        const bool outer = p < 0.25;
        const double wanted = outer ? p : 0.5 - p, have = outer ? r.beyond : r.within;
        const bool too_far = outer ? have < wanted : have > wanted;
        if (too_far)
            high = v;
        else
            low = v;
        const double newton = v + (outer ? 1 : -1) * log(have / wanted) * have / r.slope;
        const double next = newton > low && newton < high ? newton : low / 2 + high / 2;
        const double moved = fabs(next - v);
        v = next;
        if (moved <= 2 * DBL_EPSILON * fmax(1, fabs(v))) break;
    }
    return v > 708.99 ? INFINITY : sqrt(df) * exp(v); /* beyond what a double holds */
}

/** Cornish and Fisher's expansion about the normal quantile z (Abramowitz & Stegun 26.7.5). It errs by about
 *  (z^2 / df)^5 / 5000, and is taken where the continued fraction would lose digits to 1 - x = t^2 / (df + t^2). */
static double expanded_student_quantile(double z, double df) {
    const double q = z * z, one = (q + 1) / 4, two = ((5 * q + 16) * q + 3) / 96;
    const double three = (((3 * q + 19) * q + 17) * q - 15) / 384;
    const double four = ((((79 * q + 776) * q + 1482) * q - 1920) * q - 945) / 92160;
    return z * (1 + (one + (two + (three + four / df) / df) / df) / df);
}

double rllc_student_quantile(double p, double df) {
    if (!(p >= 0 && p <= 1) || !(df > 0)) return NAN;
    if (p == 0 || p == 1) return p == 0 ? -INFINITY : INFINITY;
    if (p == 0.5) return 0;
    const double z = rllc_normal_quantile(p);
    if (isinf(df)) return z;
    if (df >= 1000 && z * z < 1.5e-3 * df) return expanded_student_quantile(z, df);
    return p < 0.5 ? -upper_student_quantile(p, df) : upper_student_quantile(1 - p, df);
}
