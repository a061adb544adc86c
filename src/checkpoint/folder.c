/* Where checkpoints lie: <folder>/step<N>, step_<N> or checkpoint-<N>, each with a model.safetensors. */
#include "checkpoint/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_FILE "model.safetensors"

/* The step in a folder's name, -1 if it has none. */
static int64_t step_of(const char *name) {
    static const char *const prefixes[] = {"step_", "step", "checkpoint-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) != 0 || name[n] == '\0') continue;
        int64_t value = 0;
        const char *c = name + n;
        while (*c >= '0' && *c <= '9' && !__builtin_mul_overflow(value, (int64_t)10, &value) &&
               !__builtin_add_overflow(value, (int64_t)(*c - '0'), &value)) {
            c++;
        }
        if (*c == '\0') return value;
    }
    return -1;
}

static rllc_status set_path(rllc_string *out, const char *folder, const char *name) {
    rllc_string_clear(out);
    return rllc_string_printf(out, "%s%s%s", folder, folder[0] && folder[strlen(folder) - 1] != '/' ? "/" : "", name);
}

/* Whether folder/name is a folder with a model file, whose path is left in `file`. */
static rllc_status holds_model(const char *folder, const char *name, rllc_string *file, bool *yes) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(set_path(file, folder, name));
    RLLC_TRY(rllc_string_add(file, "/" MODEL_FILE));
    *yes = rllc_file_exists(rllc_string_text(file)) && !rllc_is_folder(rllc_string_text(file));
done:
    return status;
}

static int by_value(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

rllc_status rllc_checkpoint_steps(const char *folder, int64_t **steps, int64_t *n) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n_names = 0, count = 0, *found = NULL;
    rllc_string file = {0};
    *steps = NULL;
    *n = 0;
    RLLC_TRY(rllc_folder_list(folder, &names, &n_names));
    RLLC_TRY(rllc_alloc(&found, n_names, sizeof *found));
    for (int64_t i = 0; i < n_names; i++) {
        bool yes = false;
        const int64_t step = step_of(names[i]);
        if (step >= 0) RLLC_TRY(holds_model(folder, names[i], &file, &yes));
        if (yes) found[count++] = step;
    }
    if (count > 1) qsort(found, (size_t)count, sizeof *found, by_value);
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || found[i] != found[i - 1]) found[(*n)++] = found[i];
    }
    *steps = found;
    found = NULL;
done:
    rllc_free(found);
    rllc_names_free(names, n_names);
    rllc_string_release(&file);
    return status;
}

/* Looks in `folder` for the folder of this step, whichever way it is spelled. */
static rllc_status find_step(const char *folder, int64_t step, rllc_string *file, bool *found) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n = 0;
    *found = false;
    if (!rllc_is_folder(folder)) return RLLC_OK;
    RLLC_TRY(rllc_folder_list(folder, &names, &n));
    for (int64_t i = 0; i < n && !*found; i++) {
        if (step_of(names[i]) == step) RLLC_TRY(holds_model(folder, names[i], file, found));
    }
done:
    rllc_names_free(names, n);
    return status;
}

/* "run/step100" where no such folder is: run/checkpoints/step100, and the other spellings in both places. */
static rllc_status find_in_run(const char *path, rllc_string *file, bool *found) {
    rllc_status status = RLLC_OK;
    rllc_string parent = {0}, checkpoints = {0};
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    RLLC_TRY(rllc_string_add_bytes(&parent, path + start, end - start));
    const int64_t step = step_of(rllc_string_text(&parent));
    rllc_string_clear(&parent);
    RLLC_TRY(rllc_string_add_bytes(&parent, start > 0 ? path : ".", start > 0 ? start : 1));
    RLLC_TRY(set_path(&checkpoints, parent.data, "checkpoints"));
    *found = false;
    if (step >= 0) RLLC_TRY(find_step(parent.data, step, file, found));
    if (step >= 0 && !*found) RLLC_TRY(find_step(checkpoints.data, step, file, found));
done:
    rllc_string_release(&parent);
    rllc_string_release(&checkpoints);
    return status;
}

/* A folder without a model file: say what it holds instead. */
static rllc_status fail_folder(const char *path) {
    rllc_status status = RLLC_OK;
    rllc_string inner = {0};
    int64_t *steps = NULL, n = 0;
    RLLC_TRY(set_path(&inner, path, "model.safetensors.index.json"));
    if (rllc_file_exists(inner.data)) {
        status = rllc_fail(RLLC_EUNSUPPORTED,
                           "%s: a model in several files (model.safetensors.index.json) is not "
                           "supported; save it as one " MODEL_FILE,
                           path);
        goto done;
    }
    RLLC_TRY(set_path(&inner, path, "checkpoints"));
    const char *where = rllc_is_folder(inner.data) ? inner.data : path;
    RLLC_TRY(rllc_checkpoint_steps(where, &steps, &n));
    if (n > 0) {
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: holds %" PRId64 " checkpoints, steps %" PRId64 " to %" PRId64 "; name one of "
                           "them, for example %s/step%" PRId64,
                           path, n, steps[0], steps[n - 1], where, steps[n - 1]);
    } else {
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: the folder has no " MODEL_FILE " and no step folders; name a checkpoint "
                           "file or its folder",
                           path);
    }
done:
    rllc_free(steps);
    rllc_string_release(&inner);
    return status;
}

rllc_status rllc_checkpoint_find(const char *path, rllc_string *model_file) {
    rllc_status status = RLLC_OK;
    rllc_string file = {0};
    bool found = rllc_file_exists(path) && !rllc_is_folder(path);
    if (found) return rllc_string_add(model_file, path);
    if (rllc_is_folder(path)) {
        RLLC_TRY(set_path(&file, path, MODEL_FILE));
        found = rllc_file_exists(rllc_string_text(&file)) && !rllc_is_folder(rllc_string_text(&file));
        if (!found) RLLC_TRY(fail_folder(path));
    } else {
        RLLC_TRY(find_in_run(path, &file, &found));
    }
    if (found) {
        RLLC_TRY(rllc_string_add(model_file, rllc_string_text(&file)));
    } else {
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: no such checkpoint; expected a safetensors file, a folder with " MODEL_FILE
                           ", or a step of a run such as run/step1000",
                           path);
    }
done:
    rllc_string_release(&file);
    return status;
}
