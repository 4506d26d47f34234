#include <stdio.h>

#include <skive/context.h>

int main(void) {
    skive_context *ctx = NULL;
    if (skive_context_create(NULL, &ctx) != SKIVE_OK) return 1;
    printf("skive %s on %s, %d threads\n", skive_version(), skive_cpu_isa_name(), skive_context_threads(ctx));
    skive_context_free(ctx);
    return 0;
}
