/* Recipes of tables and texts, as a model may carry them: the first byte chooses the kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skive/data.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char table[] = "a,b,t,y\n1,u,one two,0\n2,v,three,1\n3,u,one,0\n";
    if (size == 0) return 0;
    skive_context *ctx = fuzz_context((size_t)64 << 20);
    skive_dataset_options o = skive_dataset_options_default();
    skive_dataset *set = NULL;
    char spec[4096], *recipe = malloc(size);
    if (!recipe) abort();
    memcpy(recipe, data + 1, size - 1);
    recipe[size - 1] = '\0';
    (void)snprintf(spec, sizeof spec, data[0] & 1 ? "csv:%s" : "text:%s,column=t",
                   fuzz_file(0, (const uint8_t *)table, sizeof table - 1));
    o.split = SKIVE_SPLIT_TEST;
    o.preprocessing = recipe;
    fuzz_check_message(ctx, skive_dataset_open(ctx, spec, &o, &set));
    skive_dataset_free(set);
    free(recipe);
    fuzz_context_end(ctx);
    return 0;
}
