/* judge: the objections to the settings of a pilot. For recommend. */
#ifndef RLLC_CLI_JUDGE_H
#define RLLC_CLI_JUDGE_H

#include "cli/recommend.h"

/** Judges every point: list [p->n]. */
void rllc_judge(const rllc_pilot *p, const rllc_recommend_settings *settings, rllc_judgement *list);

#endif
