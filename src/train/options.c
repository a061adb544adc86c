/* Options of training. */
#include "rllc/train.h"

static const rllc_option options[] = {
    RLLC_OPTION(rllc_train_options, steps, RLLC_INTEGER, "50000", 0, 1e12, NULL, "updates", "how far to train"),
    RLLC_OPTION(rllc_train_options, batch_size, RLLC_INTEGER, "100", 1, 1e9, NULL, "sequences", "sequences an update"),
    RLLC_OPTION(rllc_train_options, checkpoints, RLLC_TEXT, "0,100,200..10000:200,10400..20000:400,21000..50000:1000",
                RLLC_UNBOUNDED, NULL, "steps",
                "grid of checkpoints (0,1..512:x2 doubles); 0 and the last are always kept"),
    RLLC_OPTION(rllc_train_options, validation_every, RLLC_INTEGER, "100", 0, 1e12, NULL, "steps",
                "how often the curves get a point; 0 = at checkpoints only"),
    RLLC_OPTION(rllc_train_options, validation_rows, RLLC_INTEGER, "512", 0, 1e12, NULL, "sequences",
                "validation sequences used, spread evenly over the split; 0 = all"),
    RLLC_OPTION(rllc_train_options, keep_all_optimizer_states, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "keep AdamW's moments with every checkpoint, not only the latest"),
    RLLC_OPTION(rllc_train_options, save_every_seconds, RLLC_INTEGER, "60", 0, 1e9, NULL, "seconds",
                "also save a state to go on from this often; 0 = at checkpoints only"),
};

const rllc_option_table rllc_train_option_table = {"training", "how long to train, and what to keep", options,
                                                   sizeof options / sizeof options[0]};
