/* How long idle threads of GNU OpenMP spin while they wait for work. By default they spin so long that they starve one
 * another as soon as anything else runs on the machine.
 *
 * The only setting for it is the environment variable GOMP_SPINCOUNT, which the runtime reads with getenv in its
 * constructor: after the C library has set up the environment, before any code of the program. A variable set in main
 * or in a constructor comes too late, and one set in .preinit_array is lost when the C library starts. Therefore this
 * getenv replaces that of the C library in the whole process. It answers from the environment, except that
 * GOMP_SPINCOUNT is a short spin if neither it nor OMP_WAIT_POLICY is set. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *in_environment(const char *name) {
    const size_t n = strlen(name);
    for (char **at = environ; at && *at; at++) {
        if (strncmp(*at, name, n) == 0 && (*at)[n] == '=') return *at + n + 1;
    }
    return NULL;
}

__attribute__((visibility("default"))) char *getenv(const char *name) {
    static char spins[] = "10000";
    char *value = in_environment(name);
    if (!value && strcmp(name, "GOMP_SPINCOUNT") == 0 && !in_environment("OMP_WAIT_POLICY")) value = spins;
    return value;
}
