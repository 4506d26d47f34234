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

bool skive_zoo_usual(size_t i, skive_zoo_options *out) {
    if (i >= COUNT || !out) return false;
    *out = all[i]->usual;
    out->size = sizeof *out;
    out->seed = 1;
    return true;
}

bool skive_zoo_takes_tokens(size_t i) { return i < COUNT && all[i]->takes_tokens; }

SKV_FAMILY(zoo, all, "built-in network")

const skv_option skv_zoo_width_options[1] = {SKV_ZOO_WIDTH};

skive_status skive_zoo_option_text(skive_context *ctx, size_t index, char **out) {
    SKV_NEED(ctx, "ctx, out", ctx, out);
    const skv_zoo *z = index < COUNT ? all[index] : NULL;
    skv_text t;
    skv_text_init(&t, ctx);
    *out = NULL;
    skv_text_add(&t, "%s", "");
    for (size_t i = 0; z && i < z->n_options; i++) {
        const skv_option *o = &z->options[i];
        skv_text fallback;
        skv_text_init(&fallback, ctx);
        skv_option_default_text(o, &fallback);
        skv_text_add(&t, "%s%s: %s (", i ? "\n" : "", o->name, o->brief);
        skv_option_describe(o, true, &t);
        skv_text_add(&t, "%s%s)", fallback.length ? "; default " : "", fallback.length ? fallback.data : "");
        if (fallback.status != SKIVE_OK) t.status = fallback.status;
        skv_text_free(&fallback);
    }
    if (t.status != SKIVE_OK)
        skv_text_free(&t);
    else
        *out = t.data;
    return t.status;
}

static bool has_option(const skv_zoo *z, const char *name) {
    return skv_option_index(z->options, z->n_options, name) < z->n_options;
}

static skive_status parse(skv_zoo_env *e, const skv_zoo *z, const char *spec, skv_option_values *out) {
    const char *colon = strchr(spec, ':');
    char owner[NAME_MAX_LENGTH + 16];
    (void)snprintf(owner, sizeof owner, "network '%s'", z->name);
    SKV_TRY(skv_options_parse(e->ctx, owner, z->options, z->n_options, colon ? colon + 1 : NULL, out));
    e->values = out;
    e->width = has_option(z, "width") ? skv_option_real(out, "width") : 1;
    e->vocabulary = e->options->vocabulary;
    if (has_option(z, "vocabulary") && skv_option_integer(out, "vocabulary") > 0)
        e->vocabulary = skv_option_integer(out, "vocabulary");
    return SKIVE_OK;
}

static skive_status check_tokens(skive_context *ctx, const skv_zoo *z, const skive_zoo_options *o, int64_t vocabulary) {
    if (vocabulary < 0) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "a vocabulary has at least 1 token");
    if (vocabulary == 0) return SKIVE_OK;
    if (!z->takes_tokens)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, z->name,
                           "network '%s' needs samples of numbers, but the data are tokens", z->name);
    if (o->rank != 1)
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, z->name,
                           "network '%s' reads tokens from samples of rank 1, but the data has rank %d", z->name,
                           o->rank);
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
    skive_type type = {.dtype = e->vocabulary ? SKIVE_I64 : SKIVE_F32, .rank = e->options->rank + 1};
    skive_value *input, *output;
    type.dims[0] = (skive_dim){-1, "N"};
    for (int d = 0; d < e->options->rank; d++) type.dims[d + 1] = (skive_dim){e->options->dims[d], NULL};
    SKV_TRY(skive_graph_add_input(g, e->vocabulary ? "tokens" : "input", &type, &input));
    e->b = skive_builder_of(g);
    output = z->build(e, input);
    if (e->b.status != SKIVE_OK) {
        return skv_fail_prefix(e->ctx, e->b.status, "network '%s' on samples of this size", z->name);
    }
    SKV_TRY(skive_value_rename(output, z->output ? z->output : "logits"));
    SKV_TRY(skive_graph_add_output(g, output));
    if (z->output_kind) SKV_TRY(skive_graph_set_meta(g, "skive.output.kind", z->output_kind));
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
    SKV_TRY(check_tokens(ctx, z, e.options, e.vocabulary));
    SKV_TRY(skive_graph_create(ctx, z->name, &g));
    const skive_status status = build(&e, z, g);
    if (status != SKIVE_OK) {
        skive_graph_free(g);
        return status;
    }
    *out = g;
    return SKIVE_OK;
}
