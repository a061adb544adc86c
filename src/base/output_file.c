/* Files that appear whole or not at all: written beside their place, made durable, then renamed. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rllc/base.h"

static rllc_status cannot(const char *path, const char *what, int error) {
    return rllc_fail(error == ENOMEM ? RLLC_ENOMEM : RLLC_EIO, "%s: cannot %s: %s", path, what, strerror(error));
}

/* Where the bytes shall stand: links are followed, so that a link stays one; only a regular file may be replaced. */
static rllc_status resolve_target(const char *path, char **target) {
    struct stat info;
    *target = NULL;
    if (*path == '\0') return rllc_fail(RLLC_EINPUT, "the name of a file to write is empty");
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) return rllc_fail(RLLC_EIO, "%s: is a folder, so no file can be written there", path);
        if (!S_ISREG(info.st_mode)) {
            return rllc_fail(RLLC_EIO, "%s: is a device or pipe, expected a regular file, to be replaced whole", path);
        }
        *target = realpath(path, NULL);
        return *target ? RLLC_OK : cannot(path, "resolve", errno);
    }
    if (errno != ENOENT) return cannot(path, "write", errno);
    *target = strdup(path);
    return *target ? RLLC_OK : cannot(path, "write", ENOMEM);
}

/* Makes a new file "<path>.tmp.<pid>.<n>" that nobody else has. */
static rllc_status open_temporary(rllc_output_file *f) {
    static atomic_ulong counter;
    int file = -1;
    do {
        free(f->temporary);
        unsigned long n = atomic_fetch_add(&counter, 1);
        if (asprintf(&f->temporary, "%s.tmp.%ld.%lu", f->path, (long)getpid(), n) < 0) {
            f->temporary = NULL;
            return cannot(f->path, "write", ENOMEM);
        }
        file = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (file < 0 && (errno == EEXIST || errno == EINTR));
    if (file >= 0) f->stream = fdopen(file, "wb");
    if (f->stream) return RLLC_OK;
    int error = errno;
    if (file >= 0) {
        close(file);
        unlink(f->temporary);
    }
    return cannot(f->path, "create", error);
}

static void release(rllc_output_file *f) {
    free(f->path);
    free(f->temporary);
    *f = (rllc_output_file){0};
}

rllc_status rllc_output_file_open(rllc_output_file *f, const char *path) {
    *f = (rllc_output_file){0};
    rllc_status status = resolve_target(path, &f->path);
    if (status == RLLC_OK) status = open_temporary(f);
    if (status != RLLC_OK) release(f);
    return status;
}

/* fsync where the file system knows it: some network and FUSE ones answer EINVAL or ENOTSUP. 0 or an errno. */
static int sync_file(int file) {
    while (fsync(file) != 0) {
        if (errno == EINTR) continue;
        return errno == EINVAL || errno == ENOTSUP ? 0 : errno;
    }
    return 0;
}

static int sync_folder_of(const char *path) {
    char *copy = strdup(path);
    if (!copy) return ENOMEM;
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (folder < 0) return errno == EACCES ? 0 : errno; /* one may write there but not read: no way to sync the entry */
    int error = sync_file(folder);
    close(folder);
    return error;
}

/* Flushes, syncs and closes the stream; 0 or the first error. */
static int finish_stream(FILE *stream) {
    const int before = errno; /* of a write that just failed, when the caller comes here to have it named */
    errno = 0;
    int error = fflush(stream) != 0 ? (errno ? errno : EIO) : 0;
    if (ferror(stream)) {
        const bool names_it = before == ENOSPC || before == EFBIG || before == EDQUOT;
        if (names_it || !error) error = names_it ? before : EIO;
    }
    if (!error) error = sync_file(fileno(stream));
    if (fclose(stream) != 0 && !error) error = errno ? errno : EIO;
    return error;
}

rllc_status rllc_output_file_commit(rllc_output_file *f) {
    if (!f->stream) return rllc_fail(RLLC_EIO, "a file was committed that is not open");
    int error = finish_stream(f->stream);
    if (!error && rename(f->temporary, f->path) != 0) error = errno;
    if (error) unlink(f->temporary);
    else error = sync_folder_of(f->path);
    rllc_status status = error ? cannot(f->path, "write", error) : RLLC_OK;
    release(f);
    return status;
}

void rllc_output_file_abort(rllc_output_file *f) {
    if (f->stream) {
        fclose(f->stream);
        unlink(f->temporary);
    }
    release(f);
}

rllc_status rllc_file_write(const char *path, const void *bytes, size_t n) {
    rllc_output_file f;
    rllc_status status = rllc_output_file_open(&f, path);
    if (status != RLLC_OK) return status;
    errno = 0;
    if (n > 0 && fwrite(bytes, 1, n, f.stream) != n) {
        status = cannot(path, "write", errno ? errno : EIO);
        rllc_output_file_abort(&f);
        return status;
    }
    return rllc_output_file_commit(&f);
}
