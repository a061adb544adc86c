/* The presets of `rllc run`: configurations as the YAML that a user would write. */
#include <string.h>

#include "cli/config.h"

typedef struct preset {
    const char *name, *text;
} preset;

/* clang-format off */

/* A recipe of its own, not the paper's: sinusoidally initialised positions and copied spans in half of the rows let a
   108,000-parameter model grow an induction head within minutes, which natural text alone does not. */
static const char demo[] =
    "output: demo\n"
    "seeds: [1]\n"
    "tokenizer: {vocab_size: 512, train_bytes: 4000000}\n"
    "corpora:\n"
    "  mix: {sources: demo/text, repeat_fraction: 0.5}\n"
    "  natural: {sources: demo/text}\n"
    "  code: {sources: demo/text/code}\n"
    "model: {n_layers: 2, d_model: 64, n_heads: 4, d_head: 16, n_ctx: 64, positions_init: sinusoidal, "
    "positions_amplitude: 2}\n"
    "optimizer: {lr: 6e-3, weight_decay: 0.05}\n"
    "training: {corpus: mix, steps: 12000, batch_size: 16, checkpoints: '0,100,200..12000:200', "
    "validation_rows: 1024}\n"
    "scores: {score_samples: 1000}\n"
    "sampling:\n"
    "  corpora: [mix, code, natural]\n"
    "  checkpoints: '0,100,200,400,600,1200,1800,2400,3000,3600,4800,6000,9000,12000'\n"
    "  components: heads\n"
    "  nbeta: 30\n"
    "  localization: 200\n"
    "  lr: 1e-3\n"
    "  num_chains: 4\n"
    "  num_draws: 100\n"
    "  batch_size: 16\n";

/* The demo's recipe for a larger model. */
static const char small[] =
    "output: small\n"
    "seeds: [1]\n"
    "tokenizer: {vocab_size: 1000, train_bytes: 8000000}\n"
    "corpora:\n"
    "  mix: {sources: demo/text, repeat_fraction: 0.5}\n"
    "  code: {sources: demo/text/code}\n"
    "model: {n_layers: 2, d_model: 128, n_heads: 8, d_head: 16, n_ctx: 128, positions_init: sinusoidal, "
    "positions_amplitude: 2}\n"
    "optimizer: {lr: 4e-3, weight_decay: 0.05}\n"
    "training: {corpus: mix, steps: 40000, batch_size: 16, checkpoints: '0,100,200..2000:200,3000..40000:1000', "
    "validation_rows: 1024}\n"
    "scores: {score_samples: 2000}\n"
    "sampling:\n"
    "  checkpoints: '0,100,400,1000,2000,4000,6000,8000,12000,16000,24000,32000,40000'\n"
    "  components: heads\n"
    "  num_draws: 100\n";

/* Wang et al. 2025: training, checkpoints and SGLD settings. The text is yours to give. */
static const char paper[] =
    "output: paper\n"
    "seeds: [1]\n"
    "tokenizer: {vocab_size: 5000}\n"
    "corpora:\n"
    "  pile: {}\n"
    "  github: {}\n"
    "model: {n_layers: 2, d_model: 256, n_heads: 8, d_head: 32, n_ctx: 1024}\n"
    "optimizer: {lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.05}\n"
    "training: {corpus: pile, steps: 50000, batch_size: 100, "
    "checkpoints: '0,100,200..10000:200,10400..20000:400,21000..50000:1000'}\n"
    "scores: {score_samples: 10000}\n"
    "sampling:\n"
    "  components: heads,full\n"
    "  lr: 1e-3\n"
    "  nbeta: 30\n"
    "  localization: 200\n"
    "  num_chains: 4\n"
    "  num_draws: 200\n"
    "  num_burnin_steps: 0\n"
    "  batch_size: 32\n"
    "  num_init_loss_batches: 16\n"
    "  seed: 100\n";

/* clang-format on */

static const preset presets[] = {{"demo", demo}, {"small", small}, {"paper", paper}};
enum { N_PRESETS = (int)(sizeof presets / sizeof presets[0]) };

rllc_status rllc_preset_text(const char *name, const char **text) {
    const char *names[N_PRESETS];
    *text = NULL;
    for (int i = 0; i < N_PRESETS; i++) {
        names[i] = presets[i].name;
        if (strcmp(name, names[i]) == 0) *text = presets[i].text;
    }
    if (*text) return RLLC_OK;
    const char *nearest = rllc_nearest(name, names, N_PRESETS);
    return rllc_fail(RLLC_EUSAGE, "there is no preset '%s'; %s%s%s", name, nearest ? "did you mean '" : "there are ",
                     nearest ? nearest : "demo, small and paper", nearest ? "'?" : "");
}
