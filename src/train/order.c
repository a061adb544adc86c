/* Which row an update shows. No state: (seed, visit) is enough, so going on needs only the step. */
#include "train/trainer.h"

int64_t rllc_train_row(uint64_t seed, int64_t n_rows, int64_t visit) {
    const rllc_stream stream = rllc_stream_make(seed, "order", 0, 0);
    const uint64_t n = (uint64_t)n_rows, epoch = (uint64_t)visit / n;
    uint32_t word[4];
    rllc_stream_block(&stream, epoch, word);
    const uint64_t key = (uint64_t)word[0] | (uint64_t)word[1] << 32;
    return (int64_t)rllc_permute((uint64_t)visit % n, n, key);
}
