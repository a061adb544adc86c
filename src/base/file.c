/* Files mapped read-only, and folders. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rllc/base.h"

static rllc_status cannot(const char *path, const char *what) {
    int error = errno;
    bool missing = error == ENOENT || error == ENOTDIR;
    return rllc_fail(missing ? RLLC_ENOTFOUND : error == ENOMEM ? RLLC_ENOMEM : RLLC_EIO, "%s: cannot %s: %s", path,
                     what, strerror(error));
}

/* The size of an open regular file; anything else (a folder, a pipe) is refused. */
static rllc_status regular_size(int file, const char *path, size_t *size) {
    struct stat info;
    if (fstat(file, &info) != 0) return cannot(path, "inspect");
    if (S_ISDIR(info.st_mode)) return rllc_fail(RLLC_EINPUT, "%s: is a folder, expected a file", path);
    if (!S_ISREG(info.st_mode)) {
        return rllc_fail(RLLC_EINPUT, "%s: is not a regular file (a pipe or device?), so it cannot be mapped", path);
    }
    *size = (size_t)info.st_size;
    return RLLC_OK;
}

rllc_status rllc_mapping_open(rllc_mapping *m, const char *path) {
    *m = (rllc_mapping){0};
    rllc_status status = RLLC_OK;
    size_t size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without writer must not hang */
    if (file < 0) return cannot(path, "open");
    RLLC_TRY(regular_size(file, path, &size));
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
        if (data == MAP_FAILED) RLLC_TRY(cannot(path, "map"));
        *m = (rllc_mapping){.data = data, .size = size};
    }
done:
    close(file);
    return status;
}

void rllc_mapping_close(rllc_mapping *m) {
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (rllc_mapping){0};
}

bool rllc_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool rllc_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static rllc_status make_folder(const char *path) {
    if (mkdir(path, 0777) == 0) return RLLC_OK;
    int error = errno; /* an existing folder may also answer EROFS or EACCES */
    if (rllc_is_folder(path)) return RLLC_OK;
    return rllc_fail(RLLC_EIO, "%s: cannot make this folder: %s", path,
                     error == EEXIST ? "a file of this name is in the way" : strerror(error));
}

rllc_status rllc_make_folders(const char *path) {
    if (*path == '\0') return rllc_fail(RLLC_EINPUT, "the name of a folder to make is empty");
    char *part = strdup(path);
    if (!part) return rllc_fail(RLLC_ENOMEM, "no memory for the path %s", path);
    rllc_status status = RLLC_OK;
    for (char *p = part + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        RLLC_TRY(make_folder(part));
        *p = '/';
    }
    RLLC_TRY(make_folder(part));
done:
    free(part);
    return status;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static rllc_status add_name(char ***names, int64_t *n, int64_t *capacity, const char *name) {
    if (*n == *capacity) {
        int64_t more = *capacity ? 2 * *capacity : 64;
        rllc_status status = rllc_grow(names, *capacity, more, sizeof **names);
        if (status != RLLC_OK) return status;
        *capacity = more;
    }
    (*names)[*n] = strdup(name);
    if (!(*names)[*n]) return rllc_fail(RLLC_ENOMEM, "no memory for the name of a file");
    ++*n;
    return RLLC_OK;
}

rllc_status rllc_folder_list(const char *path, char ***names, int64_t *n) {
    rllc_status status = RLLC_OK;
    char **list = NULL;
    int64_t count = 0, capacity = 0;
    *names = NULL;
    *n = 0;
    DIR *folder = opendir(path);
    if (!folder) return cannot(path, "list the folder");
    const struct dirent *item;
    while (errno = 0, (item = readdir(folder)) != NULL) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) continue;
        RLLC_TRY(add_name(&list, &count, &capacity, item->d_name));
    }
    if (errno != 0) RLLC_TRY(cannot(path, "list the folder"));
    if (count > 1) qsort(list, (size_t)count, sizeof *list, by_bytes);
    *names = list;
    *n = count;
    list = NULL;
done:
    if (list) rllc_names_free(list, count);
    closedir(folder);
    return status;
}

void rllc_names_free(char **names, int64_t n) {
    for (int64_t i = 0; i < n; i++) free(names[i]);
    rllc_free(names);
}
