/* plane: a pilot and its recommendation as files: figure, table, YAML. For calibrate. */
#ifndef RLLC_CLI_PLANE_H
#define RLLC_CLI_PLANE_H

#include "cli/recommend.h"

/** What was calibrated, and where its files go. */
typedef struct rllc_plane {
    const rllc_pilot *pilot;
    const rllc_recommendation *advice;
    const char *component, *corpus, *folder;
    int64_t step;
} rllc_plane;

/** plane.svg (with .csv and .gp): estimate and predicted bias over lr, a panel for each nbeta. */
rllc_status rllc_plane_draw(const rllc_plane *f) RLLC_MUST_USE;
/** points.csv: every number of every point, one line each. */
rllc_status rllc_plane_write_csv(const rllc_plane *f) RLLC_MUST_USE;
/**
 * The recommendation as YAML for `rllc run`: the run's whole configuration with the sampler's keys replaced, or without
 * one (config NULL) these keys alone, in the section `sampling`. The reasons stand above as comments.
 */
rllc_status rllc_plane_write_yaml(const rllc_plane *f, const char *config, const char *path) RLLC_MUST_USE;

void rllc_plane_print_table(const rllc_plane *f);
rllc_status rllc_plane_print_json(const rllc_plane *f) RLLC_MUST_USE;

#endif
