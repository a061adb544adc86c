/* Where results come from: the commit of the library, and the machine it runs on. */
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>
#include <xxhash.h>
#include <yaml.h>

#ifdef RLLC_HAS_COMMIT /* written at each build by cmake/commit.cmake */
#include "rllc_commit.h"
#endif
#ifndef RLLC_COMMIT
#define RLLC_COMMIT "unknown"
#endif

#include "rllc/base.h"

const char *rllc_commit(void) {
    return RLLC_COMMIT;
}

/* The value after "key<blanks><separator><blanks>" in the first such line of a small text file of the system, without
   quotes; interned, NULL if it is not there. */
static const char *field_of_file(const char *path, const char *key, char separator) {
    char line[1024];
    const char *value = NULL;
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    size_t length = strlen(key);
    while (!value && fgets(line, sizeof line, file)) {
        char *p = line + length;
        if (strncmp(line, key, length) != 0) continue;
        p += strspn(p, " \t");
        if (*p++ != separator) continue;
        p += strspn(p, " \t\"");
        p[strcspn(p, "\"\n")] = '\0';
        value = rllc_intern(p);
    }
    fclose(file);
    return value;
}

static const char *compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

static int64_t physical_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (int64_t)pages * size : 0;
}

static rllc_status add_system(rllc_json *j) {
    rllc_status status = RLLC_OK;
    struct utsname name;
    if (uname(&name) != 0) memset(&name, 0, sizeof name);
    const char *release = field_of_file("/etc/os-release", "PRETTY_NAME", '=');
    const char *model = field_of_file("/proc/cpuinfo", "model name", ':');
    RLLC_TRY(rllc_json_set(j, "host", rllc_json_string(name.nodename)));
    RLLC_TRY(rllc_json_set(j, "os", rllc_json_string(release ? release : name.sysname)));
    RLLC_TRY(rllc_json_set(j, "kernel", rllc_json_string(name.release)));
    RLLC_TRY(rllc_json_set(j, "architecture", rllc_json_string(name.machine)));
    RLLC_TRY(rllc_json_set(j, "cpu", rllc_json_string(model ? model : "unknown")));
    RLLC_TRY(rllc_json_set(j, "threads", rllc_json_integer(rllc_default_threads())));
    RLLC_TRY(rllc_json_set(j, "memory_bytes", rllc_json_integer(physical_memory())));
done:
    return status;
}

static rllc_status add_libraries(rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_json *libraries = rllc_json_object();
    unsigned v = XXH_versionNumber();
    RLLC_TRY(rllc_json_set(libraries, "glibc", rllc_json_string(gnu_get_libc_version())));
    RLLC_TRY(rllc_json_set(libraries, "jansson", rllc_json_string(jansson_version_str())));
    RLLC_TRY(rllc_json_set(libraries, "libyaml", rllc_json_string(yaml_get_version_string())));
    char xxhash[40];
    snprintf(xxhash, sizeof xxhash, "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
    RLLC_TRY(rllc_json_set(libraries, "xxhash", rllc_json_string(xxhash)));
    rllc_json *finished = libraries;
    libraries = NULL; /* taken over below, also on failure */
    RLLC_TRY(rllc_json_set(j, "libraries", finished));
done:
    rllc_json_free(libraries);
    return status;
}

rllc_status rllc_machine_json(rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "rllc", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "commit", rllc_json_string(rllc_commit())));
    RLLC_TRY(add_system(j));
    RLLC_TRY(rllc_json_set(j, "compiler", rllc_json_string(compiler())));
    RLLC_TRY(add_libraries(j));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}
