/* Lists of transforms: the first byte chooses the shape of a sample and what it is taken for, the rest up to a 0 is the
 * list, and what follows are the values of the sample, whatever numbers they are. */
#include <stdlib.h>
#include <string.h>

#include "data/transform.h"
#include "fuzz.h"

enum { MOST = 3 * 16 * 16, SCRATCH = 4 };

static void run(const skv_transform_list *list, const int64_t dims[3], skv_content content, float *values) {
    static float a[MOST], b[MOST], scratch[SCRATCH * MOST], deviation[MOST];
    skv_transform_run r = {.list = list, .seed = 1, .content = content, .scratch = scratch, .deviation = deviation};
    const size_t n = (size_t)(dims[0] * dims[1] * dims[2]);
    skv_mix how;
    memcpy(r.dims, dims, sizeof r.dims);
    for (size_t i = 0; i < n; i++) deviation[i] = 1;
    for (r.index = 0; r.index < 4; r.index++) {
        memcpy(a, values, n * sizeof *a);
        const float *x = skv_transforms_apply(&r, a, b);
        if (x != a && x != b) abort();
        if (skv_transforms_mix(&r, &how)) skv_mix_samples(&how, dims, r.index & 1, a, b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int64_t shapes[][3] = {{3, 16, 16}, {1, 1, 1},   {1, 5, 9},  {3, 1, 16},
                                        {1, 16, 8},  {2, 1, 200}, {1, 1, 300}};
    skive_context *ctx = fuzz_context((size_t)16 << 20);
    skv_transform_list list;
    char text[512] = "";
    float values[MOST] = {0};
    if (size > 0) {
        const int64_t *dims = shapes[data[0] % SKV_LENGTH(shapes)];
        const skv_content content = (skv_content)(1 + data[0] / 16 % SKV_CONTENT_TABLE);
        const size_t most = size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1;
        memcpy(text, data + 1, most);
        const size_t length = strlen(text), left = size - 1 - length;
        memcpy(values, data + 1 + length, left < sizeof values ? left : sizeof values);
        const skive_status status = skv_transforms_parse(ctx, text, &list);
        fuzz_check_message(ctx, status);
        bool fits = status == SKIVE_OK; /* as skv_transforms_fit asks it */
        for (int i = 0; fits && i < list.count; i++) {
            const skv_transform *t = list.items[i].transform;
            fits = t->on >> content & 1 && (!t->channels || t->channels == dims[0]) && list.scratch <= SCRATCH;
        }
        if (fits) run(&list, dims, content, values);
    }
    fuzz_context_end(ctx);
    return 0;
}
