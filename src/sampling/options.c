/* Options of a sampling group. */
#include <stdlib.h>
#include <string.h>

#include "group.h"

#define OPTION(...) RLLC_OPTION(rllc_sampling_options, __VA_ARGS__)

static const rllc_option options[] = {
    OPTION(components, RLLC_TEXT, "heads", RLLC_UNBOUNDED, NULL, "",
           "what moves: heads, layers, full, embed, pos_embed, unembed, l0, l0h3, 'l0 attn', a tensor, unions with +"),
    OPTION(batches, RLLC_TEXT, "streams=2", RLLC_UNBOUNDED, NULL, "",
           "which chains share minibatches: shared, streams=K, independent; fixed: one for all chains and steps"),
    OPTION(token_losses, RLLC_CHOICE, "summary", RLLC_UNBOUNDED, "summary,draw,token", "",
           "stored per draw: the mean loss; its mean at each position; every token's"),
    OPTION(mala, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "",
           "sgld: record the acceptance that a Metropolis rule would give; two more vectors a chain"),
    OPTION(curvature_probes, RLLC_INTEGER, "1", 0, 1000, NULL, "",
           "random vectors behind the bias budget; 0 = do not measure the curvature"),
    OPTION(curvature_steps, RLLC_INTEGER, "8", 2, 1000, NULL, "", "Lanczos steps for each of them"),
    OPTION(loss, RLLC_TEXT, "next_token", RLLC_UNBOUNDED, NULL, "",
           "next_token: cross-entropy of the next token; reference: KL divergence from a reference model; or both"),
    OPTION(reference, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
           "for the loss `reference`: a checkpoint with the same vocabulary, as a file or folder"),
    OPTION(commit_seconds, RLLC_INTEGER, "60", 0, 86400, NULL, "s", "time between commits to the store"),
};
#undef OPTION

const rllc_option_table rllc_sampling_option_table = {"sampling", "checkpoint x component x corpus x chain", options,
                                                      sizeof options / sizeof *options};

rllc_status rllc_sampling_losses(const char *list, bool *next_token, bool *reference) {
    *next_token = list == NULL;
    *reference = false;
    for (const char *p = list; p && *p; p += strspn(p, ", ")) {
        const size_t n = strcspn(p, ", ");
        bool *one = n == 10 && strncmp(p, "next_token", n) == 0  ? next_token
                    : n == 9 && strncmp(p, "reference", n) == 0 ? reference
                                                                : NULL;
        if (!one)
            return rllc_fail(RLLC_EINPUT, "loss: found '%.*s', expected next_token, reference or both", (int)n, p);
        *one = true;
        p += n;
    }
    if (*next_token || *reference) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "loss: none given, expected next_token, reference or both");
}

rllc_status rllc_job_losses(const rllc_sampling_job *job, bool *next_token, bool *reference) {
    const rllc_status status = rllc_sampling_losses(job->options.loss, next_token, reference);
    if (status != RLLC_OK || !*reference || job->reference) return status;
    return rllc_fail(RLLC_EUSAGE, "the loss 'reference' is relative to a model: name its checkpoint as reference");
}

const char *rllc_loss_kind(const rllc_model *reference) {
    return reference ? rllc_intern_printf("reference:%s", rllc_model_hash(reference).hex) : rllc_intern("next_token");
}

rllc_status rllc_batches_streams(const char *batches, int64_t num_chains, int64_t *streams) {
    char *end;
    if (strcmp(batches, "shared") == 0 || strcmp(batches, "fixed") == 0) {
        *streams = 1;
    } else if (strcmp(batches, "independent") == 0) {
        *streams = num_chains;
    } else if (strncmp(batches, "streams=", 8) == 0 && (*streams = strtol(batches + 8, &end, 10)) >= 1 && !*end) {
        if (*streams > num_chains) *streams = num_chains;
    } else {
        return rllc_fail(RLLC_EINPUT, "batches: found '%s', expected shared, streams=K (K >= 1), independent or fixed", batches);
    }
    return RLLC_OK;
}
