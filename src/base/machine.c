/* What the system calls its processor. */
#include "base/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void skv_machine_processor(skive_context *ctx, char *out, size_t size) {
    static const char *const keys[] = {"model name", "CPU part", "uarch", "processor "};
    void *bytes = NULL;
    size_t n = 0;
    struct utsname u;
    if (skv_file_read(ctx, "/proc/cpuinfo", 0, &bytes, &n) == SKIVE_OK) {
        const char *text = bytes;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            const char *at = strstr(text, keys[i]), *colon = at ? strchr(at, ':') : NULL;
            if (!colon) continue;
            colon += strspn(colon + 1, " \t") + 1;
            (void)snprintf(out, size, "%.*s", (int)strcspn(colon, "\n\t"), colon);
            skv_free(ctx, bytes);
            return;
        }
        skv_free(ctx, bytes);
    }
    skive_context_clear(ctx);
    (void)snprintf(out, size, "%s", uname(&u) == 0 ? u.machine : "unknown processor");
}
