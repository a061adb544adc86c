/* From the names that a user gives to the files to read, in a fixed order. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/input.h"

typedef struct file_list {
    char **files;
    int64_t n, capacity;
    double total;
    bool unknown; /* one has no size */
} file_list;

/* The folders above the one being read, to see that a link does not lead back. */
typedef struct above {
    const struct above *next;
    dev_t device;
    ino_t number;
} above;

static rllc_status add_file(file_list *l, const char *path, const struct stat *info) {
    rllc_status status = RLLC_OK;
    char *copy;
    if (l->n == l->capacity) {
        int64_t wider = l->capacity > 0 ? l->capacity * 2 : 64;
        RLLC_TRY(rllc_grow(&l->files, l->capacity, wider, sizeof *l->files));
        l->capacity = wider;
    }
    copy = strdup(path);
    if (!copy) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    l->files[l->n++] = copy;
    if (info && S_ISREG(info->st_mode)) {
        l->total += (double)info->st_size;
    } else {
        l->unknown = true;
    }
done:
    return status;
}

static rllc_status add_folder(file_list *l, const char *path, const struct stat *info, const above *parents) {
    rllc_status status = RLLC_OK;
    char **names = NULL;
    int64_t n = 0;
    rllc_string child = {0};
    above here = {parents, info->st_dev, info->st_ino};
    for (const above *a = parents; a; a = a->next) {
        if (a->device == info->st_dev && a->number == info->st_ino) {
            return rllc_fail(RLLC_EINPUT, "%s: this link leads back to a folder above it; remove it or name the files",
                             path);
        }
    }
    RLLC_TRY(rllc_folder_list(path, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        struct stat child_info;
        if (names[i][0] == '.') continue;
        rllc_string_clear(&child);
        RLLC_TRY(rllc_string_printf(&child, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", names[i]));
        if (stat(child.data, &child_info) != 0) {
            status = rllc_fail(RLLC_ENOTFOUND, "%s: cannot be read: a link to nothing, or no permission", child.data);
            goto done;
        }
        if (S_ISDIR(child_info.st_mode)) RLLC_TRY(add_folder(l, child.data, &child_info, &here));
        if (S_ISREG(child_info.st_mode)) RLLC_TRY(add_file(l, child.data, &child_info));
    }
done:
    rllc_names_free(names, n);
    rllc_string_release(&child);
    return status;
}

static int by_path(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static rllc_status add_source(file_list *l, const char *path) {
    struct stat info;
    if (strcmp(path, "-") == 0) return add_file(l, path, NULL);
    if (*path == '\0') return rllc_fail(RLLC_EUSAGE, "a source is empty; join files and folders with single commas");
    if (stat(path, &info) != 0)
        return rllc_fail(RLLC_ENOTFOUND, "%s: there is no such file or folder to read text from", path);
    if (!S_ISDIR(info.st_mode)) return add_file(l, path, &info);
    int64_t first = l->n;
    rllc_status status = add_folder(l, path, &info, NULL);
    if (status == RLLC_OK && l->n == first)
        status = rllc_fail(RLLC_EINPUT, "%s: the folder holds no files to read text from", path);
    if (status == RLLC_OK) qsort(l->files + first, (size_t)(l->n - first), sizeof *l->files, by_path);
    return status;
}

rllc_status rllc_data_sources(const char *sources, char ***files, int64_t *n, double *total) {
    rllc_status status = RLLC_OK;
    file_list l = {0};
    rllc_string part = {0};
    struct stat info;
    *files = NULL;
    *n = 0;
    if (!sources || *sources == '\0') {
        return rllc_fail(RLLC_EUSAGE, "no text was named: give files, folders, or - for standard input");
    }
    bool single = stat(sources, &info) == 0; /* a name may hold a comma */
    for (const char *at = sources; at;) {
        const char *comma = single ? NULL : strchr(at, ',');
        rllc_string_clear(&part);
        RLLC_TRY(rllc_string_add_bytes(&part, at, comma ? (size_t)(comma - at) : strlen(at)));
        RLLC_TRY(add_source(&l, rllc_string_text(&part)));
        at = comma ? comma + 1 : NULL;
    }
    *files = l.files;
    *n = l.n;
    *total = l.unknown ? 0.0 : l.total;
    l = (file_list){0};
done:
    rllc_string_release(&part);
    rllc_names_free(l.files, l.n);
    return status;
}
