/* report, inside: estimates as curves over training, what figures share, and the pieces of the page. */
#ifndef RLLC_REPORT_INTERNAL_H
#define RLLC_REPORT_INTERNAL_H

#include "rllc/report.h"

/* ---- estimates as curves --------------------------------------------------------------------------------- */

/** One component's estimates over training, under one setting, by step. */
typedef struct rllc_report_curve {
    const char *component, *label; /* "l0h3", "0:3" */
    const char *name;              /* "wrLLC" */
    int layer, head;               /* -1, -1 if not a single head */
    bool full;                     /* every weight moves */
    int64_t first, n;              /* points first .. first+n-1 of the arrays below */
} rllc_report_curve;

/** Curves that may be compared: one training seed, one corpus, one set of options. */
typedef struct rllc_report_setting {
    uint64_t seed;
    int64_t corpus_id;
    const char *corpus; /* its name; "mix (2)" for a second setting of the same seed and name; "mix to 1a2b3c4d" for
                           losses relative to a reference model */
    bool refined_data;  /* not the training corpus, or not its own next tokens */
    const char *loss_kind, *options_json;
    int64_t last_step;
    rllc_report_curve *curves; /* full, heads, others */
    int64_t n_curves;
} rllc_report_setting;

typedef struct rllc_report_curves {
    rllc_store_estimate *estimates; /* as the store lists them */
    rllc_store_cell *cells;
    int64_t n;
    int64_t *order;                   /* [n_points]: point -> index of its estimate */
    double *step, *mean, *low, *high; /* [n_points]; low, high: one sd over chains, NaN without */
    int64_t n_points;
    int64_t n_replaced; /* estimates left out: an older checkpoint of the same step */
    rllc_report_curve *curves;
    rllc_report_setting *settings; /* by seed, training corpus first, corpus */
    int64_t n_settings;
} rllc_report_curves;

rllc_status rllc_report_curves_load(rllc_report_curves *c, rllc_store *store) RLLC_MUST_USE;
void rllc_report_curves_release(rllc_report_curves *c);
/** Layer and head of "l0h3"; false for other components. */
bool rllc_report_head(const char *component, int *layer, int *head);
/** The series of a curve, with its band. */
rllc_series rllc_report_series(const rllc_report_curves *c, const rllc_report_curve *curve, int color);
/** The seeds in the settings, ascending: one allocation, rllc_free. */
rllc_status rllc_report_seeds(const rllc_report_curves *c, uint64_t **seeds, int64_t *n) RLLC_MUST_USE;

/** Whether the setting's loss is of the next token. */
bool rllc_report_is_next_token(const rllc_report_setting *s);

/* ---- what figures share ---------------------------------------------------------------------------------- */

/** "Seed 1, corpus mix (the training corpus): sgld, 4 chains of 200 draws, ..." for a caption; settings that differ in
 *  seed and corpus only are named together. */
rllc_status rllc_report_describe(const rllc_report_setting *const *settings, int64_t n, rllc_string *out) RLLC_MUST_USE;
/** Panels a row: all of up to three, else two or three so that rows are full. */
int rllc_report_columns(int64_t n_panels);
/** The order in which scores tell a story; those without a place in it come last, by name. */
int rllc_report_score_rank(const char *metric);
/** "previous_token" -> "previous token"; interned. */
const char *rllc_report_words(const char *metric);
/** Appends a part of a file stem: letters, digits and dots of the text, "-" for the rest. */
rllc_status rllc_report_add_stem(rllc_string *out, const char *text) RLLC_MUST_USE;
/** Draws into the context's folder and notes the stem; a failure of gnuplot is noted in the context instead. */
rllc_status rllc_report_draw(const rllc_report_context *c, const rllc_figure *f, rllc_string *stems) RLLC_MUST_USE;
/** Gives panels one y range that holds all their data; zero belongs to it if `zero`. */
void rllc_report_share_y(rllc_panel *panels, int64_t n, bool zero);
/** One figure for each setting with heads, a panel a layer: of the training corpus or of the others. */
rllc_status rllc_report_draw_heads(const rllc_report_context *c, bool refined_data, rllc_string *stems) RLLC_MUST_USE;
/**
 * Means of at most `most` groups of neighbours, evenly wide in x (or in log(x + 1)); fewer points than that stay as
 * they are. x and y are overwritten; returns the new number of points.
 */
int64_t rllc_report_thin(double *x, double *y, int64_t n, int64_t most, bool log_x);

/* ---- JSON of unknown shape ------------------------------------------------------------------------------- */

/** The first value under this key anywhere in the tree, depth first; NULL if there is none. */
const rllc_json *rllc_report_find(const rllc_json *j, const char *key);
/** Parses text of the store; NULL (no failure) if it is not JSON. */
rllc_json *rllc_report_parse(const char *text);
/** A scalar as people write it: strings bare, numbers short; "" for other kinds. */
rllc_status rllc_report_add_scalar(rllc_string *out, const rllc_json *j) RLLC_MUST_USE;

/* ---- the page -------------------------------------------------------------------------------------------- */

/** What became of one figure of the registry. */
typedef struct rllc_report_made {
    const rllc_report_figure *figure;
    rllc_string stems;   /* one a line; empty if missing or failed */
    rllc_string missing; /* why there is none */
    rllc_status undrawn; /* why not, when it has data: gnuplot's failure; RLLC_OK otherwise */
} rllc_report_made;

/** Everything the page shows, loaded once. */
typedef struct rllc_report_data {
    rllc_store *store;
    rllc_report_curves curves;
    rllc_store_cell *cells;
    rllc_store_corpus *corpora;
    rllc_store_checkpoint *checkpoints;
    rllc_store_score *scores;
    int64_t n_cells, n_corpora, n_checkpoints, n_scores, n_training;
} rllc_report_data;

rllc_status rllc_report_data_load(rllc_report_data *d, rllc_store *store) RLLC_MUST_USE;
void rllc_report_data_release(rllc_report_data *d);

/** The whole page. figures: the folder of the SVG files. */
rllc_status rllc_report_page(const rllc_report_data *d, const rllc_report_made *made, int n_made, const char *figures,
                             rllc_string *out) RLLC_MUST_USE;
/* Its sections, in order. */
rllc_status rllc_report_add_notes(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;
rllc_status rllc_report_add_trust(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;
rllc_status rllc_report_add_figures(rllc_string *out, const rllc_report_made *made, int n_made,
                                    const char *figures) RLLC_MUST_USE;
rllc_status rllc_report_add_values(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;
rllc_status rllc_report_add_method(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;
rllc_status rllc_report_add_corpora(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;
rllc_status rllc_report_add_provenance(rllc_string *out, const rllc_report_data *d) RLLC_MUST_USE;

/** Style and script of the page. */
extern const char *const rllc_report_css;
extern const char *const rllc_report_js;

/* ---- numbers for people ---------------------------------------------------------------------------------- */

/** 1234567 -> "1,234,567". */
rllc_status rllc_report_add_count(rllc_string *out, int64_t value) RLLC_MUST_USE;
/** A number with this many decimals, a true minus sign, "–" for NaN. */
rllc_status rllc_report_add_number(rllc_string *out, double value, int decimals) RLLC_MUST_USE;
/** "2 h 05 min", "3 min 20 s", "4.2 s". */
rllc_status rllc_report_add_duration(rllc_string *out, double seconds) RLLC_MUST_USE;
/** Decimals that suit a value with an error of this size: 0..5. */
int rllc_report_decimals(double error);

#endif
