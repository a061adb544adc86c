/* The printable character that GPT-2 writes for each byte, and back. */
#include "data/bpe.h"

/* Bytes that are printable in Latin-1 stand for themselves; the other 68 follow from U+0100 on, in order. */
static bool stands_for_itself(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

uint32_t rllc_data_symbol(unsigned char byte) {
    if (stands_for_itself(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;             /* 33 bytes: 00..20 */
    if (byte <= 0xA0) return 0x100u + 33 + byte - 0x7F; /* 34 bytes: 7F..A0 */
    return 0x100u + 67;                                 /* AD */
}

/* The byte of a code point's symbol, -1 if it is no symbol. */
static int byte_of(uint32_t code_point) {
    if (code_point < 0x100) return stands_for_itself(code_point) ? (int)code_point : -1;
    uint32_t k = code_point - 0x100;
    if (k < 33) return (int)k;
    if (k < 67) return (int)(k - 33 + 0x7F);
    return k == 67 ? 0xAD : -1;
}

rllc_status rllc_data_symbols_of(const void *bytes, size_t n, rllc_string *out) {
    const unsigned char *s = bytes;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = rllc_data_symbol(s[i]);
        unsigned char utf8[2] = {(unsigned char)(c < 0x80 ? c : 0xC0 | c >> 6), (unsigned char)(0x80 | (c & 0x3F))};
        rllc_status status = rllc_string_add_bytes(out, utf8, c < 0x80 ? 1 : 2);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

bool rllc_data_bytes_of(const char *symbols, size_t n, unsigned char *out, size_t *m) {
    const unsigned char *s = (const unsigned char *)symbols;
    size_t width;
    *m = 0;
    for (size_t i = 0; i < n; i += width) {
        int byte = byte_of(rllc_data_code_point(s + i, &width));
        if (byte < 0) return false;
        out[(*m)++] = (unsigned char)byte;
    }
    return true;
}
