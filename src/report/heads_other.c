/* report figure: the weight- and data-refined LLC of every head over training, on every other corpus. */
#include "report/internal.h"

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    return rllc_report_draw_heads(c, true, stems);
}

const rllc_report_figure rllc_report_figure_heads_other = {
    .name = "heads_other",
    .title = "wdrLLC of every head, on other corpora",
    .summary = "The same heads and the same checkpoints, with the loss taken over data that the model was not trained "
               "on (or on one part of its training mixture), or over a reference model\xE2\x80\x99s answers "
               "(\xE2\x80\x9Cto\xE2\x80\x9D and its hash). A head that stands higher here than on the training "
               "corpus, relative to the others, matters more for this kind of text. The trained weights need not be a "
               "minimum of this loss, so estimates may be negative.",
    .draw = draw,
};
