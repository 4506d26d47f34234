/* See stages.h. */
#include "train/stages.h"

#include <math.h>
#include <string.h>

#include "graph/op.h"
#include "tensor/tensor.h"
#include "train/train.h"

static const skv_option options[] = {
    {.name = "size",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.5,
     .brief = "height and width in the first stage, as a part of those of the model's input"},
    {.name = "strength",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .fallback = 0.25,
     .brief = "strength of dropout, and how often a transform is applied, in the first stage"},
    {.name = "until",
     .type = SKV_OPTION_REAL,
     .most = 1,
     .above = true,
     .fallback = 0.75,
     .brief = "part of the epochs after which the last stage begins"},
    {.name = "stages", .type = SKV_OPTION_INTEGER, .least = 2, .most = 100, .fallback = 4, .brief = "number of stages"},
};

static skive_status parse(skive_context *ctx, const skive_train_options *o, skv_option_values *v) {
    return skv_options_parse(ctx, "progressive", options, SKV_LENGTH(options), o->progressive, v);
}

skive_status skv_stages_check(skive_context *ctx, const skive_train_options *o) {
    skv_option_values v;
    return o->progressive ? parse(ctx, o, &v) : SKIVE_OK;
}

/* The first of the feeds that is an image, and the axis of its height. */
static bool find_image(const skive_graph *model, const skv_feeds *feeds, skv_stages *s) {
    for (size_t i = 0; i < feeds->n; i++) {
        const skv_feed *f = &feeds->items[i];
        if (f->rank != 3 || f->dtype != SKIVE_F32) continue;
        const int channels = skv_input_channel_axis(model, f->index);
        if (channels != 0 && channels != 2) continue;
        s->feed = i;
        s->axis = channels == 0 ? 2 : 1; /* the batch comes first */
        s->height = f->dims[s->axis - 1];
        s->width = f->dims[s->axis];
        return true;
    }
    return false;
}

skive_status skv_stages_find(skive_context *ctx, const skive_train_options *o, const skive_graph *model,
                             const skv_feeds *feeds, skv_stages *out) {
    skv_option_values v;
    *out = (skv_stages){.n = 0};
    if (!o->progressive || o->find_lr) return SKIVE_OK;
    SKV_TRY(parse(ctx, o, &v));
    if (!find_image(model, feeds, out))
        return skv_fail_at(ctx, SKIVE_ERR_DATA, "progressive",
                           "progressive makes images smaller, but no input of the model is one (three axes, with "
                           "channels first or last)");
    out->n = skv_option_integer(&v, "stages");
    out->size = skv_option_real(&v, "size");
    out->strength = skv_option_real(&v, "strength");
    out->until = skv_option_real(&v, "until");
    out->epochs = o->epochs;
    return SKIVE_OK;
}

int64_t skv_stages_at(const skv_stages *s, int epoch) {
    const double done = (double)epoch / (s->until * s->epochs);
    const int64_t stage = (int64_t)floor(done * (double)(s->n - 1) + 1e-9);
    return stage < s->n - 1 ? stage : s->n - 1;
}

static double between(double first, const skv_stages *s, int64_t stage) {
    return first + (1 - first) * (double)stage / (double)(s->n - 1);
}

double skv_stages_strength(const skv_stages *s, int64_t stage) { return between(s->strength, s, stage); }

static int64_t side(const skv_stages *s, int64_t whole, int64_t stage) {
    const int64_t n = llrint(between(s->size, s, stage) * (double)whole);
    return n < 1 ? 1 : n < whole ? n : whole;
}

void skv_stages_tell(skive_context *ctx, const skv_stages *s) {
    skv_text t;
    skv_text_init(&t, ctx);
    for (int epoch = 0; s->n && epoch < s->epochs; epoch++) {
        const int64_t stage = skv_stages_at(s, epoch);
        if (epoch && stage == skv_stages_at(s, epoch - 1)) continue;
        skv_text_add(&t, "%s%lldx%lld from epoch %d on (%.0f %%)", epoch ? ", " : "",
                     (long long)side(s, s->height, stage), (long long)side(s, s->width, stage), epoch + 1,
                     100 * skv_stages_strength(s, stage));
    }
    if (s->n && t.status == SKIVE_OK)
        skv_note(ctx,
                 "progressive: images of %s; in brackets how often a transform is applied and how strong dropout is",
                 t.data);
    skv_text_free(&t);
}

/* ---- the model of a stage ---- */

static skive_status make_smaller(skive_graph *g, const skv_stages *s, int64_t stage, skive_value *input) {
    const int64_t axes[2] = {s->axis, s->axis + 1}, sizes[2] = {side(s, s->height, stage), side(s, s->width, stage)};
    skv_builder b = skv_build(g);
    skive_value *small =
        skv_emit(&b, "Resize", SKV_IN(input, NULL, NULL, skv_emit_ints(&b, sizes, 2)),
                 SKV_ATTRS(SKV_STR("mode", "linear"), SKV_INT("antialias", 1), SKV_INTS("axes", axes, 2)));
    SKV_TRY(b.status);
    SKV_TRY(skv_value_replace_uses(input, small, false));
    return skv_node_set_input(small->producer, 0, input); /* that too was replaced */
}

static skive_status weaken(skive_graph *g, skive_node *n, double strength) {
    skive_value *given = skv_node_in(n, 1);
    const skive_tensor *t = given ? skv_value_tensor(given) : NULL;
    skv_builder b = skv_build(g);
    if (given && !t) return SKIVE_OK; /* computed by the model itself */
    const double ratio = t ? skv_load_f64(t->dtype, t->data, 0) : 0.5;
    skive_value *weak = skv_emit_scalar(&b, t ? t->dtype : SKIVE_F32, ratio * strength);
    SKV_TRY(b.status);
    return skv_node_set_input(n, 1, weak);
}

static bool same_shape(const skive_type *a, const skive_type *b) {
    bool same = a->rank == b->rank;
    for (int d = 0; d < a->rank && same; d++) same = a->dims[d].size == b->dims[d].size;
    return same;
}

/* Means and extremes of a whole image do not follow its size, sums would. Windows and strides may round two sizes to
 * one; the numbers of Shape follow the size, and what is made of them shows. Anything else that gives one shape for two
 * sizes has moved the difference into the batch, or has a size written down. */
static bool may_lose_size(const skive_node *n) {
    return SKV_NODE_IS_ANY(n, SKV_OP_GLOBAL_AVERAGE_POOL, SKV_OP_GLOBAL_MAX_POOL, SKV_OP_REDUCE_MEAN, SKV_OP_REDUCE_MAX,
                           SKV_OP_REDUCE_MIN, SKV_OP_SHAPE, SKV_OP_CONV, SKV_OP_CONV_TRANSPOSE, SKV_OP_MAX_POOL,
                           SKV_OP_AVERAGE_POOL, SKV_OP_LP_POOL, SKV_OP_PAD, SKV_OP_SLICE, SKV_OP_RESIZE);
}

static skive_status refuse(skive_context *ctx, const skive_node *n, const char *why) {
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name,
                       "progressive needs a network whose images may have any size, convolutions with global pooling "
                       "behind them; but node '%s' (%s) %s",
                       n->name, n->op_type, why);
}

/* Shapes of the inputs may differ between the two, those of outputs only where no pooling has been. */
static skive_status check_node(skive_context *ctx, const skive_node *a, const skive_node *b) {
    bool differ = false;
    for (uint32_t i = 0; i < a->n_inputs && i < b->n_inputs; i++) {
        if (!a->inputs[i] || !b->inputs[i]) continue;
        differ = differ || !same_shape(&a->inputs[i]->type, &b->inputs[i]->type);
    }
    for (uint32_t i = 0; i < a->n_outputs && differ; i++) {
        if (!a->outputs[i] || !b->outputs[i]) continue;
        if (same_shape(&a->outputs[i]->type, &b->outputs[i]->type) && !may_lose_size(a))
            return refuse(ctx, a, "gives the same shape for small images and for whole ones");
    }
    return SKIVE_OK;
}

static skive_status check_shapes(skive_context *ctx, const skive_graph *whole, const skive_graph *small) {
    for (uint32_t i = 0; i < whole->n_values; i++) {
        const skive_node *a = whole->values[i]->producer;
        const skive_value *twin = skive_graph_find_value(small, whole->values[i]->name);
        if (a && twin && twin->producer) SKV_TRY(check_node(ctx, a, twin->producer));
    }
    for (uint32_t i = 0; i < whole->n_outputs; i++) {
        const skive_value *a = whole->outputs[i], *b = small->outputs[i];
        if (!same_shape(&a->type, &b->type))
            return refuse(ctx, a->producer, "is an output, and its shape follows the size of the image");
    }
    return SKIVE_OK;
}

static skive_status change(skive_context *ctx, const skv_stages *s, int64_t stage, const skv_feeds *feeds,
                           skive_graph *g) {
    skive_value *input = g->inputs[feeds->items[s->feed].index];
    if (side(s, s->height, stage) != s->height || side(s, s->width, stage) != s->width)
        SKV_TRY(make_smaller(g, s, stage, input));
    for (uint32_t i = 0; i < g->n_values; i++) {
        skive_node *n = g->values[i]->producer;
        if (skv_node_is(n, SKV_OP_DROPOUT) && n->outputs[0] == g->values[i])
            SKV_TRY(weaken(g, n, skv_stages_strength(s, stage)));
    }
    if (skive_graph_infer(g) == SKIVE_OK) return SKIVE_OK;
    return skv_fail_prefix(
        ctx, SKIVE_ERR_UNSUPPORTED,
        "progressive needs a network whose images may have any size, and this one does not take small "
        "ones");
}

skive_status skv_stages_model(skive_context *ctx, const skv_stages *s, int64_t stage, const skive_graph *model,
                              const skv_feeds *feeds, skive_graph **out) {
    skive_graph *whole = NULL, *small = NULL;
    skive_status status;
    *out = NULL;
    SKV_GO(status, done, skive_graph_copy(ctx, model, &whole));
    skv_feeds_bind(feeds, whole);
    SKV_GO(status, done, skive_graph_infer(whole));
    SKV_GO(status, done, skive_graph_copy(ctx, whole, &small));
    SKV_GO(status, done, change(ctx, s, stage, feeds, small));
    SKV_GO(status, done, check_shapes(ctx, whole, small));
    *out = small;
    small = NULL;
done:
    skive_graph_free(whole);
    skive_graph_free(small);
    return status;
}
