/*
 * The folder of a run: checkpoints/step<N>/ for the grid, resume/step<N>/ for states between. A step folder is written
 * under a hidden name and renamed, so it is there whole or not at all; what it supersedes goes only afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "rllc/checkpoint.h"
#include "train/trainer.h"

#define OPTIMIZER_FILE "optimizer.safetensors"
#define PARTIAL ".partial-step" /* followed by the step */

static const char *parent_of(const rllc_trainer *t, bool checkpoint) {
    return rllc_intern_printf("%s/%s", t->job->folder, checkpoint ? "checkpoints" : "resume");
}

static const char *step_folder(const char *parent, int64_t step) {
    return rllc_intern_printf("%s/step%lld", parent, (long long)step);
}

/* ---- the lock -------------------------------------------------------------------------------------------- */

rllc_status rllc_train_folder_open(rllc_trainer *t) {
    const char *path = rllc_intern_printf("%s/.lock", t->job->folder);
    const rllc_status status = rllc_make_folders(t->job->folder);
    if (status != RLLC_OK) return status;
    t->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (t->lock < 0) return rllc_fail(RLLC_EIO, "%s: %s", path, strerror(errno));
    if (flock(t->lock, LOCK_EX | LOCK_NB) == 0) return RLLC_OK; /* given back by the kernel however the process ends */
    if (errno == EWOULDBLOCK)
        return rllc_fail(RLLC_EFAIL,
                         "%s: another process is training in this folder; wait for it or use another folder",
                         t->job->folder);
    return rllc_fail(RLLC_EIO, "%s: %s", path, strerror(errno));
}

void rllc_train_folder_close(rllc_trainer *t) {
    if (t->lock >= 0) (void)close(t->lock);
    t->lock = -1;
}

/* ---- removing -------------------------------------------------------------------------------------------- */

static rllc_status remove_file(const char *path) {
    if (unlink(path) == 0 || errno == ENOENT) return RLLC_OK;
    return rllc_fail(RLLC_EIO, "%s: cannot be removed: %s", path, strerror(errno));
}

/** Removes a folder of files. */
static rllc_status remove_folder(const char *path) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_folder_list(path, &names, &n));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(remove_file(rllc_intern_printf("%s/%s", path, names[i])));
    if (rmdir(path) != 0) status = rllc_fail(RLLC_EIO, "%s: cannot be removed: %s", path, strerror(errno));
done:
    rllc_names_free(names, n);
    return status;
}

/** Removes what an interrupted process was writing. */
static rllc_status remove_partial(const char *parent) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n = 0;
    if (!rllc_is_folder(parent)) return RLLC_OK;
    RLLC_TRY(rllc_folder_list(parent, &names, &n));
    for (int64_t i = 0; i < n; i++)
        if (strncmp(names[i], PARTIAL, strlen(PARTIAL)) == 0)
            RLLC_TRY(remove_folder(rllc_intern_printf("%s/%s", parent, names[i])));
done:
    rllc_names_free(names, n);
    return status;
}

/** Removes a step folder as it was made, whole or not at all: hidden first, so that an interruption leaves no half of
 * it. */
static rllc_status remove_step(const char *parent, int64_t step) {
    const char *path = step_folder(parent, step),
               *hidden = rllc_intern_printf("%s/" PARTIAL "%lld", parent, (long long)step);
    if (rename(path, hidden) != 0) return rllc_fail(RLLC_EIO, "%s: cannot be removed: %s", path, strerror(errno));
    return remove_folder(hidden);
}

static rllc_status list_steps(const char *parent, int64_t **steps, int64_t *n) {
    *steps = NULL;
    *n = 0;
    return rllc_is_folder(parent) ? rllc_checkpoint_steps(parent, steps, n) : RLLC_OK;
}

/** After step `kept` is safe: older optimizer states go (unless all are kept), and resume states but `kept`'s own. */
static rllc_status drop_superseded(const rllc_trainer *t, int64_t kept, bool is_checkpoint) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n = 0;
    const char *checkpoints = parent_of(t, true), *resume = parent_of(t, false);
    if (is_checkpoint && !t->job->options.keep_all_optimizer_states) {
        RLLC_TRY(list_steps(checkpoints, &steps, &n));
        for (int64_t i = 0; i < n; i++)
            if (steps[i] < kept)
                RLLC_TRY(remove_file(rllc_intern_printf("%s/" OPTIMIZER_FILE, step_folder(checkpoints, steps[i]))));
        rllc_free(steps);
        steps = NULL;
    }
    RLLC_TRY(list_steps(resume, &steps, &n));
    for (int64_t i = 0; i < n; i++)
        if (is_checkpoint || steps[i] != kept) RLLC_TRY(remove_step(resume, steps[i]));
    if (is_checkpoint) (void)rmdir(resume); /* absent, or not empty: both are fine */
done:
    rllc_free(steps);
    return status;
}

/* ---- saving ---------------------------------------------------------------------------------------------- */

/** Makes a rename inside the folder durable. */
static rllc_status sync_folder(const char *path) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* EINVAL: a file system without it */
    const int problem = errno;
    if (fd >= 0) (void)close(fd);
    return good ? RLLC_OK : rllc_fail(RLLC_EIO, "%s: %s", path, strerror(problem));
}

static rllc_status write_new(const rllc_trainer *t, const char *parent, const char *final) {
    rllc_status status = RLLC_OK;
    const char *partial = rllc_intern_printf("%s/" PARTIAL "%lld", parent, (long long)t->step);
    RLLC_TRY(rllc_make_folders(partial));
    status = rllc_train_state_write(t, partial);
    if (status == RLLC_OK && rename(partial, final) != 0)
        status = rllc_fail(RLLC_EIO, "%s: %s", final, strerror(errno));
    if (status == RLLC_OK) return sync_folder(parent);
    /* keep the first failure's sentence: cleaning up a full disk may fail as well */
    const char *detail = rllc_intern(rllc_error_detail());
    if (rllc_is_folder(partial) && remove_folder(partial) != RLLC_OK) return rllc_fail(status, "%s", detail);
done:
    return status;
}

/** A step folder that a damaged or foreign newer state left behind: its files are replaced one by one, each whole. */
static rllc_status write_again(const rllc_trainer *t, const char *final) {
    const rllc_status status =
        remove_file(rllc_intern_printf("%s/" OPTIMIZER_FILE, final)); /* incomplete until the end */
    return status == RLLC_OK ? rllc_train_state_write(t, final) : status;
}

rllc_status rllc_train_folder_save(rllc_trainer *t, bool checkpoint) {
    rllc_status status = RLLC_OK;
    const char *parent = parent_of(t, checkpoint), *final = step_folder(parent, t->step);
    RLLC_TRY(rllc_make_folders(parent));
    RLLC_TRY(rllc_is_folder(final) ? write_again(t, final) : write_new(t, parent, final));
    t->saved_step = t->step;
    t->saved_at = rllc_now();
    RLLC_TRY(drop_superseded(t, t->step, checkpoint));
    return RLLC_OK;
done:
    if (t->saved_step < 0) return rllc_fail_within(status, "step %lld could not be saved", (long long)t->step);
    return rllc_fail_within(status,
                            "step %lld could not be saved, the state of step %lld is intact and training will go on "
                            "from it",
                            (long long)t->step, (long long)t->saved_step);
}

/* ---- going on -------------------------------------------------------------------------------------------- */

typedef struct candidate {
    int64_t step;
    bool checkpoint;
} candidate;

static int newest_first(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->step != y->step) return x->step < y->step ? 1 : -1;
    return (int)y->checkpoint - (int)x->checkpoint;
}

/** Step folders of either kind with an optimizer state, newest first. *n_folders counts those without one too. */
static rllc_status find_candidates(const rllc_trainer *t, candidate **out, int64_t *n, int64_t *n_folders) {
    rllc_status status = RLLC_OK;
    int64_t *steps[2] = {NULL, NULL}, count[2] = {0, 0};
    candidate *list = NULL;
    *out = NULL;
    *n = 0;
    for (int k = 0; k < 2; k++) RLLC_TRY(list_steps(parent_of(t, k == 1), &steps[k], &count[k]));
    *n_folders = count[0] + count[1];
    RLLC_TRY(rllc_alloc(&list, *n_folders, sizeof *list));
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < count[k]; i++)
            if (rllc_file_exists(
                    rllc_intern_printf("%s/" OPTIMIZER_FILE, step_folder(parent_of(t, k == 1), steps[k][i]))))
                list[(*n)++] = (candidate){steps[k][i], k == 1};
    qsort(list, (size_t)*n, sizeof *list, newest_first);
    *out = list;
    list = NULL;
done:
    for (int k = 0; k < 2; k++) rllc_free(steps[k]);
    rllc_free(list);
    return status;
}

/** Another run's, or one this program cannot judge: falling back to an older state would not help. */
static bool is_final(rllc_status status) {
    return status == RLLC_EMISMATCH || status == RLLC_EUNSUPPORTED || status == RLLC_ENOMEM;
}

rllc_status rllc_train_folder_resume(rllc_trainer *t) {
    rllc_status status = RLLC_OK;
    candidate *list = NULL;
    int64_t n = 0, n_folders = 0;
    t->saved_step = -1;
    for (int k = 0; k < 2; k++) RLLC_TRY(remove_partial(parent_of(t, k == 1)));
    RLLC_TRY(find_candidates(t, &list, &n, &n_folders));
    for (int64_t i = 0; i < n && t->saved_step < 0; i++) {
        status = rllc_train_state_read(t, step_folder(parent_of(t, list[i].checkpoint), list[i].step));
        if (is_final(status)) goto done;
        if (status != RLLC_OK) {
            rllc_report_message(t->job->monitor, "step %lld cannot be gone on from (%s); trying the state before it",
                                (long long)list[i].step, rllc_error_detail());
            continue;
        }
        t->saved_step = t->step;
        t->saved_at = rllc_now();
        if (list[i].checkpoint) t->n_records = 0; /* those are in that checkpoint's folder */
        if (i == 0) RLLC_TRY(drop_superseded(t, t->step, list[i].checkpoint));
    }
    status = RLLC_OK;
    if (t->saved_step < 0 && n_folders > 0)
        status = rllc_fail(RLLC_EINPUT,
                           "%s: there are %lld saved steps but none is a complete training state (%s); use "
                           "another folder",
                           t->job->folder, (long long)n_folders, n ? rllc_error_detail() : "no " OPTIMIZER_FILE);
done:
    rllc_free(list);
    return status;
}

rllc_status rllc_train_folder_checkpoints(const rllc_trainer *t, int64_t last,
                                          rllc_status (*visit)(rllc_trainer *, int64_t, const char *),
                                          rllc_trainer *context) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n = 0;
    const char *parent = parent_of(t, true);
    RLLC_TRY(list_steps(parent, &steps, &n));
    for (int64_t i = 0; i < n && steps[i] <= last; i++)
        if (rllc_file_exists(rllc_intern_printf("%s/trainer_state.json", step_folder(parent, steps[i]))))
            RLLC_TRY(visit(context, steps[i], step_folder(parent, steps[i])));
done:
    rllc_free(steps);
    return status;
}
