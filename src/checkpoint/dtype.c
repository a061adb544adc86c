/* Element types of safetensors files, and the sizes that follow from type and shape. */
#include "checkpoint/internal.h"

#include <string.h>

static const rllc_checkpoint_dtype dtypes[] = {
#define RLLC_DTYPE(name, bits, code) {name, bits, code},
#include "checkpoint/dtypes.def"
#undef RLLC_DTYPE
};

#define N_DTYPES (sizeof dtypes / sizeof dtypes[0])

const rllc_checkpoint_dtype *rllc_checkpoint_dtype_named(const char *name) {
    for (size_t i = 0; i < N_DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    }
    return NULL;
}

const rllc_checkpoint_dtype *rllc_checkpoint_dtype_of(const rllc_tensor_view *t) {
    if (t->dtype == RLLC_OTHER) return t->dtype_name ? rllc_checkpoint_dtype_named(t->dtype_name) : NULL;
    for (size_t i = 0; i < N_DTYPES; i++) {
        if (dtypes[i].code == t->dtype) return &dtypes[i];
    }
    return NULL;
}

bool rllc_checkpoint_count(const int64_t *shape, int n_dims, int64_t *n) {
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < n_dims; i++) {
        if (shape[i] < 0) return false;
        if (shape[i] == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(product, shape[i], &product)) {
            return false;
        }
    }
    *n = empty ? 0 : product;
    return true;
}

bool rllc_checkpoint_size(int64_t n, int bits, int64_t *size) {
    int64_t total;
    if (__builtin_mul_overflow(n, (int64_t)bits, &total) || total % 8 != 0) return false;
    *size = total / 8;
    return true;
}

const char *rllc_checkpoint_shown(char buffer[96], const char *name) {
    const size_t limit = 80;
    size_t n = strlen(name);
    const bool cut = n > limit;
    if (cut) {
        n = limit;
        while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80) n--; /* not inside a UTF-8 character */
    }
    for (size_t i = 0; i < n; i++) buffer[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7F ? '?' : name[i];
    memcpy(buffer + n, cut ? "..." : "", cut ? 4 : 1);
    return buffer;
}
