/* What the files of this room share: element types and the header scanner. */
#ifndef RLLC_CHECKPOINT_INTERNAL_H
#define RLLC_CHECKPOINT_INTERNAL_H

#include "rllc/checkpoint.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is little-endian and used in place");

/** Largest header the format allows, bytes. */
#define RLLC_CHECKPOINT_MAX_HEADER 100000000

/** An element type the format knows. */
typedef struct rllc_checkpoint_dtype {
    const char *name;
    int bits; /* of one element */
    rllc_dtype code;
} rllc_checkpoint_dtype;

/** The type of this name; NULL if the format's list has none. A larger address sorts first in a written file. */
const rllc_checkpoint_dtype *rllc_checkpoint_dtype_named(const char *name);
/** The type of a view: by code, or by dtype_name for RLLC_OTHER; NULL if unknown. */
const rllc_checkpoint_dtype *rllc_checkpoint_dtype_of(const rllc_tensor_view *t);

/** Product of the dimensions; false if one is negative or the product of those that are not 0 overflows. */
bool rllc_checkpoint_count(const int64_t *shape, int n_dims, int64_t *n);
/** Bytes of n elements; false on overflow or if they do not fill whole bytes. */
bool rllc_checkpoint_size(int64_t n, int bits, int64_t *size);

/** A name fit for a message: at most about 80 bytes, control characters replaced. Returns buffer. */
const char *rllc_checkpoint_shown(char buffer[96], const char *name);

/** Position in the JSON text of a header; `origin` is the byte of the file where the text begins. */
typedef struct rllc_checkpoint_scan {
    const char *path;
    const unsigned char *text;
    size_t n, at, origin;
} rllc_checkpoint_scan;

/** Records "path: byte B: found ..., expected <expected>". */
rllc_status rllc_checkpoint_scan_fail(const rllc_checkpoint_scan *s, const char *expected);
/** Skips white space; true if the next byte is c, which is then taken. */
bool rllc_checkpoint_scan_take(rllc_checkpoint_scan *s, char c);
/** Skips white space; true at the end of the text. */
bool rllc_checkpoint_scan_ended(rllc_checkpoint_scan *s);
rllc_status rllc_checkpoint_scan_expect(rllc_checkpoint_scan *s, char c, const char *expected) RLLC_MUST_USE;
/** Decodes a string into out (NUL-terminated; never longer than its JSON text). A NUL inside is refused. */
rllc_status rllc_checkpoint_scan_string(rllc_checkpoint_scan *s, char *out, size_t *length,
                                        const char *expected) RLLC_MUST_USE;
/** A non-negative integer without sign, fraction or exponent, below 2^63. */
rllc_status rllc_checkpoint_scan_integer(rllc_checkpoint_scan *s, int64_t *out) RLLC_MUST_USE;

/** Parses the header text into s->tensors (names in `names`, not yet interned; data and size relative to `block`) and
 *  s->metadata. `names` has room for the text. */
rllc_status rllc_checkpoint_parse_header(rllc_safetensors *s, rllc_checkpoint_scan *scan, char *names,
                                         const unsigned char *block, size_t block_size) RLLC_MUST_USE;

/** Converts elements first .. first+n-1 of a float type to float32; false if the type has no float32 form. */
bool rllc_checkpoint_convert(const rllc_tensor_view *t, int64_t first, int64_t n, float *out);

#endif
