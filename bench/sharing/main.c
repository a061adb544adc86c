/*
 * bench_sharing: what sharing minibatches between chains does to the error of an estimate and to its cost. One thread.
 *
 *   bench_sharing quadratic REPEATS [FIGURE_FOLDER]     against the exact law, over the size of the minibatch noise
 *   bench_sharing samples REPEATS                       targets of rllc potential with minibatches of a finite sample
 *   bench_sharing transformer CHECKPOINT TOKENS REPEATS two heads of a trained model; minibatches of 16, 4 and 1
 *   bench_sharing speed SECONDS                         tokens per second and base passes of each mode
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study.h"

static int usage(void) {
    fprintf(stderr,
            "usage: bench_sharing quadratic REPEATS [FIGURE_FOLDER] | samples REPEATS | transformer CHECKPOINT TOKENS "
            "REPEATS | speed SECONDS\n");
    return 2;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    const double number = argc > 2 ? atof(argv[argc > 4 ? 4 : 2]) : 0;
    rllc_status status;
    if (number <= 0) return usage();
    if (strcmp(what, "speed") == 0) {
        status = study_speed(number);
    } else {
        if (number < 4) return usage(); /* a spread with an error of its own */
        study_print_header();
        if (strcmp(what, "quadratic") == 0)
            status = study_quadratic((int64_t)number, argc > 3 ? argv[3] : NULL);
        else if (strcmp(what, "samples") == 0)
            status = study_samples((int64_t)number);
        else if (strcmp(what, "transformer") == 0 && argc == 5)
            status = study_transformer(argv[2], argv[3], (int64_t)number);
        else
            return usage();
    }
    if (status == RLLC_OK) return 0;
    fprintf(stderr, "bench_sharing: %s\n", rllc_error_detail());
    return rllc_status_exit_code(status);
}
