/* Looking an architecture up and building it. */
#include "zoo/zoo.h"

#include <stdio.h>
#include <string.h>

#define X(id) extern const skv_zoo skv_zoo_##id;
#include "zoo/zoo.inc"
#undef X

static const skv_zoo *const all[] = {
#define X(id) &skv_zoo_##id,
#include "zoo/zoo.inc"
#undef X
};
enum { COUNT = sizeof all / sizeof all[0], NAME_MAX_LENGTH = 32 };

size_t skive_zoo_count(void) { return COUNT; }
const char *skive_zoo_name(size_t i) { return i < COUNT ? all[i]->name : NULL; }
const char *skive_zoo_brief(size_t i) { return i < COUNT ? all[i]->brief : NULL; }

skive_zoo_options skive_zoo_options_default(void) {
    return (skive_zoo_options){
        .size = sizeof(skive_zoo_options), .rank = 3, .dims = {1, 28, 28}, .classes = 10, .seed = 1};
}

SKV_FAMILY(zoo, all, "built-in network")

const skv_option skv_zoo_width_options[1] = {{.name = "width",
                                              .type = SKV_OPTION_REAL,
                                              .most = 64,
                                              .above = true,
                                              .fallback = 1,
                                              .brief = "factor on the number of channels of each layer"}};

static skive_status parse(skv_zoo_env *e, const skv_zoo *z, const char *spec, skv_option_values *out) {
    const char *colon = strchr(spec, ':');
    char owner[NAME_MAX_LENGTH + 16];
    (void)snprintf(owner, sizeof owner, "network '%s'", z->name);
    SKV_TRY(skv_options_parse(e->ctx, owner, z->options, z->n_options, colon ? colon + 1 : NULL, out));
    e->values = out;
    e->width = skv_option_index(z->options, z->n_options, "width") < z->n_options ? skv_option_real(out, "width") : 1;
    return SKIVE_OK;
}

static skive_status check_options(skive_context *ctx, const skv_zoo *z, const skive_zoo_options *o) {
    if (o->classes < 1 || o->rank < 1 || o->rank >= SKIVE_MAX_RANK) {
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "a network needs at least 1 class and samples of rank 1 to %d",
                        SKIVE_MAX_RANK - 1);
    }
    if (z->sample_rank && z->sample_rank != o->rank) {
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, z->name,
                           "network '%s' needs samples of rank %d, but the data has rank %d", z->name, z->sample_rank,
                           o->rank);
    }
    for (int d = 0; d < o->rank; d++) {
        if (o->dims[d] < 1)
            return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "sample dimension %d is %lld", d, (long long)o->dims[d]);
    }
    return SKIVE_OK;
}

static skive_status build(skv_zoo_env *e, const skv_zoo *z, skive_graph *g) {
    skive_type type = skive_type_make(SKIVE_F32, 1, (const int64_t[]){-1});
    skive_value *input, *logits;
    type.rank = e->options->rank + 1;
    type.dims[0] = (skive_dim){-1, "N"};
    for (int d = 0; d < e->options->rank; d++) type.dims[d + 1] = (skive_dim){e->options->dims[d], NULL};
    SKV_TRY(skive_graph_add_input(g, "input", &type, &input));
    e->b = skv_build(g);
    logits = z->build(e, input);
    if (e->b.status != SKIVE_OK) {
        return skv_fail_prefix(e->ctx, e->b.status, "network '%s' on samples of this size", z->name);
    }
    SKV_TRY(skv_value_rename(logits, "logits"));
    SKV_TRY(skive_graph_add_output(g, logits));
    return skive_graph_infer(g);
}

skive_status skive_zoo_build(skive_context *ctx, const char *spec, const skive_zoo_options *options,
                             skive_graph **out) {
    SKV_NEED(ctx, "ctx, spec, out", ctx, spec, out);
    skive_zoo_options o = skive_zoo_options_default();
    *out = NULL;
    SKV_TRY(skv_options_take(ctx, "skive_zoo_options", options, &o, sizeof o));
    skv_zoo_env e = {.ctx = ctx, .options = &o};
    const size_t index = skv_family_find(&skv_zoo_family, spec);
    skv_option_values values;
    skive_graph *g = NULL;
    if (index == SIZE_MAX)
        return skv_fail_unknown(ctx, SKIVE_ERR_NOT_FOUND, spec, "built-in network", spec, skive_zoo_name);
    const skv_zoo *z = all[index];
    SKV_TRY(parse(&e, z, spec, &values));
    SKV_TRY(check_options(ctx, z, e.options));
    SKV_TRY(skive_graph_create(ctx, z->name, &g));
    const skive_status status = build(&e, z, g);
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        return status;
    }
    *out = g;
    return SKIVE_OK;
}
