/* The class of each code point, spread out from the ranges of unicode_classes.def when first asked for. */
#include <pthread.h>
#include <string.h>

#include "data/text.h"

typedef struct range {
    uint32_t first, last;
    unsigned char class;
} range;

#define L(first, last) {first, last, RLLC_DATA_LETTER},
#define N(first, last) {first, last, RLLC_DATA_NUMBER},
#define S(first, last) {first, last, RLLC_DATA_SPACE},
static const range ranges[] = {
#include "unicode_classes.def"
};
#undef L
#undef N
#undef S

static unsigned char classes[RLLC_DATA_CODE_POINTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void spread(void) {
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        memset(classes + ranges[i].first, ranges[i].class, ranges[i].last - ranges[i].first + 1);
    }
}

const unsigned char *rllc_data_classes(void) {
    pthread_once(&once, spread);
    return classes;
}
