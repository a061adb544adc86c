/* scratch: what the tests of data share: cmocka, a folder of their own, files in it, calls that must succeed or fail.
 */
#ifndef TESTS_DATA_SCRATCH_H
#define TESTS_DATA_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/data.h"

/* Fails the test with the recorded detail. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        rllc_status ok_status = (call);                                                                                \
        if (ok_status != RLLC_OK) fail_msg("%s: %s", rllc_status_sentence(ok_status), rllc_error_detail());            \
    } while (0)

/* The call must fail so, and say something with `part` in it. */
#define assert_fails(call, expected, part)                                                                             \
    do {                                                                                                               \
        rllc_status fail_status = (call);                                                                              \
        if (fail_status != (expected) || !strstr(rllc_error_detail(), part)) {                                         \
            fail_msg("%s: '%s'; wanted %s with '%s'", rllc_status_sentence(fail_status),                               \
                     fail_status == RLLC_OK ? "" : rllc_error_detail(), rllc_status_sentence(expected), part);         \
        }                                                                                                              \
    } while (0)

static char scratch_folder[64];

static inline int scratch_setup(void **state) {
    (void)state;
    strcpy(scratch_folder, "/tmp/rllc-data-XXXXXX");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

static inline int scratch_teardown(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
    return system(command);
}

/* The path of a name in the folder; interned, so it may be kept. */
static inline const char *scratch(const char *name) {
    return rllc_intern_printf("%s/%s", scratch_folder, name);
}

static inline const char *scratch_write(const char *name, const void *bytes, size_t n) {
    const char *path = scratch(name);
    if (strchr(name, '/')) {
        char *folder = strdup(path);
        *strrchr(folder, '/') = '\0';
        assert_ok(rllc_make_folders(folder));
        free(folder);
    }
    FILE *f = fopen(path, "wb"); /* not rllc_file_write: thousands of flushes to the disk would take the time */
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline const char *scratch_text(const char *name, const char *text) {
    return scratch_write(name, text, strlen(text));
}

/* A small generator for inputs (not the one under test); the same numbers every time. */
static inline uint32_t scratch_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Appends a code point as UTF-8; surrogates are left out. */
static inline void scratch_add_character(rllc_string *s, uint32_t c) {
    unsigned char u[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (c >= 0xD800 && c < 0xE000) return;
    for (size_t i = n; i-- > 1; c >>= 6) u[i] = (unsigned char)(0x80 | (c & 0x3F));
    u[0] = (unsigned char)(lead[n == 1 ? 0 : n] | c);
    assert_ok(rllc_string_add_bytes(s, u, n));
}

/* Appends n characters of a mixture of kinds: letters, digits, punctuation, all sorts of blanks, any code point. */
static inline void scratch_add_noise(rllc_string *s, uint64_t *state, int n) {
    static const uint32_t blanks[] = {' ',  ' ',    ' ',    '\n',   '\n',   '\t',   '\r', 0x85,
                                      0xA0, 0x1680, 0x180E, 0x2003, 0x3000, 0x200B, 0};
    static const uint32_t bases[] = {0x41, 0x61, 0x30, 0x21, 0xC0, 0x370, 0x660, 0x4E00, 0xAC00, 0x1F300, 0x10C80};
    for (int i = 0; i < n; i++) {
        uint32_t kind = scratch_random(state) % 8, any = scratch_random(state) % 0x110000;
        uint32_t base = bases[scratch_random(state) % (sizeof bases / sizeof bases[0])];
        if (kind < 3) scratch_add_character(s, base + any % 26);
        if (kind == 3) scratch_add_character(s, any);
        if (kind == 4 || kind == 5) scratch_add_character(s, blanks[any % (sizeof blanks / sizeof blanks[0])]);
        if (kind == 6) scratch_add_character(s, "'stmdrevl"[any % 9]);
        if (kind == 7) scratch_add_character(s, 'a' + any % 26);
    }
}

#endif
