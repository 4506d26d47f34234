/* grid:GRID. The model sees weights that are rounded to a number grid, with scales found anew in each step; training
 * changes numbers of its own behind them, by the gradient of what the model sees (straight through; Bengio et al. 2013;
 * Jacob et al. 2018). What comes out are the rounded weights. */
#include "tensor/grid.h"
#include "train/train.h"

typedef struct rounded {
    skive_context *ctx;
    skv_quantizer quantizer;
} rounded;

static const skv_option options[] = {
    {.name = "grid",
     .type = SKV_OPTION_TEXT,
     .required = true,
     .brief = "a number grid with its options: int8, int4:32, ternary, bf16 (a comma in them is written \\,)"},
};

static skive_status bind(const skv_rule_site *at, skv_param *p, void **self) {
    rounded *r = NULL;
    SKV_TRY(skv_alloc_array(at->ctx, 1, sizeof *r, &r));
    *self = r;
    r->ctx = at->ctx;
    SKV_TRY(skv_quantizer_parse(at->ctx, skv_option_text(at->values, "grid"), &r->quantizer));
    return skv_param_detach(at->ctx, p);
}

static skive_status show(void *self, skv_param *p) {
    const rounded *r = self;
    skive_tensor view = *skv_value_tensor(p->value);
    view.data = p->seen;
    return skv_quantizer_round(r->ctx, &r->quantizer, &view);
}

/* There are no more different numbers in a group than the grid has codes. */
static bool few(const float *x, int64_t n, int64_t most) {
    for (int64_t i = 0, found = 0; i < n; i++) {
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++) seen = x[k] == x[i];
        found += !seen;
        if (found > most) return false;
    }
    return true;
}

static bool holds(const void *self, const skv_param *p) {
    const skv_quantizer *q = &((const rounded *)self)->quantizer;
    const int64_t group = skv_quantizer_group(q, skv_value_tensor(p->value));
    for (int64_t at = 0; at < p->n; at += group) {
        const int64_t n = p->n - at < group ? p->n - at : group;
        if (!few(p->seen + at, n, (int64_t)q->high - q->low + 1)) return false;
    }
    return true;
}

const skv_rule skv_rule_grid = {
    .name = "grid",
    .brief = "the model sees weights rounded to a number grid, and is trained through the rounding",
    SKV_OPTIONS(options),
    .bind = bind,
    .unbind = skv_rule_unbind_memory,
    .show = show,
    .holds = holds,
    .example = "int4",
    .of_trained = true,
    .knows_numbers = true,
};
