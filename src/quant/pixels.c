/* Normalisation folded into the layers that read the images; see pixels.h. A layer that pads with zeros pads with the
 * numbers that are 0 after the normalisation: where one pixel is that in all channels, it is the zero point, and the
 * layer pads with it; where none is, the normalisation cannot move behind the padding, and stays in front of it. */
#include "quant/pixels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "graph/linear.h"
#include "graph/meta_keys.h"
#include "ops/common_shape.h"
#include "tensor/tensor.h"

#define NEAR 1e-3 /* of a pixel: numbers in metadata are rounded */

skive_status skv_pixels_asked(skive_context *ctx, const skive_quantize_options *o, const skv_quantizer *a,
                              bool *asked) {
    *asked = o->input_type && strncmp(o->input_type, "uint8", 5) == 0;
    if (!*asked && o->input_type && strcmp(o->input_type, "float") != 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "input-type",
                           "'%s' is no type of an input; it can be float, uint8, or uint8:NAME for the input NAME only",
                           o->input_type);
    if (*asked && o->input_type[5] != '\0' && (o->input_type[5] != ':' || o->input_type[6] == '\0'))
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "input-type",
                           "'%s': write uint8, or uint8:NAME for the input NAME only", o->input_type);
    if (!*asked || (a->grid->dtype == SKIVE_U8 && a->low == 0 && a->high == 255)) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "input-type",
                       "pixels are uint8 with a zero point, and activations on the grid '%s' are not: leave the input "
                       "float, or take --activations uint8",
                       a->grid->name);
}

/* ---- the normalisation ---- */

static int axis_of(const skive_graph *g, size_t index, int64_t channels) {
    const skive_type *t = &g->inputs[index]->type;
    const int told = skv_input_channel_axis(g, index) + 1;
    int found = -1, n = 0;
    if (told > 0 && told < t->rank && t->dims[told].size == channels) return told;
    for (int d = 1; d < t->rank; d++) {
        if (t->dims[d].size != channels) continue;
        found = d;
        n++;
    }
    return n == 1 ? found : -1;
}

static skive_status read_normalization(skive_context *ctx, const skive_graph *g, skv_pixel_input *p, int *axis) {
    const skive_value *v = g->inputs[p->index];
    const char *scale = skv_input_meta(g, p->index, SKV_META_INPUT_SCALE);
    skive_normalization n;
    *axis = -1;
    p->scale = 1.0 / 255;
    if (scale && !skv_parse_scale(scale, &p->scale))
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, SKV_META_INPUT_SCALE,
                           "the model's metadata entry %s is '%s', which is not a scale", SKV_META_INPUT_SCALE, scale);
    if (!scale && !skv_input_meta(g, p->index, SKV_META_INPUT_MEAN))
        skv_note(ctx, "input '%s': nothing says how pixels become its numbers; they are taken to be divided by 255",
                 v->name);
    SKV_TRY(skv_input_normalization(g, p->index, &n));
    p->channels = n.channels > 0 ? n.channels : 1;
    p->inner = 1;
    skive_status status = skv_alloc_array(ctx, 2 * (size_t)p->channels, sizeof *p->mean, &p->mean);
    if (status == SKIVE_OK) {
        p->std = p->mean + p->channels;
        for (int64_t c = 0; c < p->channels; c++) {
            p->mean[c] = n.channels > 0 ? (double)n.mean[c] : 0;
            p->std[c] = n.channels > 0 ? (double)n.std[c] : 1;
        }
    }
    skive_normalization_free(ctx, &n);
    if (status != SKIVE_OK || p->channels == 1) return status;
    *axis = axis_of(g, p->index, p->channels);
    if (*axis < 0)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                           "the normalisation of input '%s' has %lld channels, and it is not clear which of its axes "
                           "they are: leave the input float (--input-type float)",
                           v->name, (long long)p->channels);
    for (int d = *axis + 1; d < v->type.rank; d++) {
        if (v->type.dims[d].size < 0)
            return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, v->name,
                               "input '%s' has open dimensions behind its channels: name them (--shape), or leave the "
                               "input float (--input-type float)",
                               v->name);
        p->inner = skv_mul_sat(p->inner, v->type.dims[d].size);
    }
    return SKIVE_OK;
}

/* x = d * factor + shift for the pixel d + zero. */
static double factor_of(const skv_pixel_input *p, int64_t c) { return p->scale / p->std[c]; }
static double shift_of(const skv_pixel_input *p, int64_t c) { return (p->zero * p->scale - p->mean[c]) / p->std[c]; }

/* The pixel nearest to the mean: products of small numbers have small errors. *exact: it is 0 in all channels. */
static void choose_zero(skv_pixel_input *p, bool *exact) {
    double sum = 0;
    for (int64_t c = 0; c < p->channels; c++) sum += p->mean[c] / p->scale;
    const double mean = rint(sum / (double)p->channels);
    p->zero = mean < 0 ? 0 : mean > 255 ? 255 : (int)mean;
    *exact = true;
    for (int64_t c = 0; c < p->channels; c++)
        *exact = *exact && fabs(p->mean[c] / p->scale - p->zero) < NEAR && p->scale > 0;
}

/* ---- the layers that read it ---- */

typedef struct reader {
    skive_node *node;
    skv_weight_view view;
    int64_t inner; /* places behind each channel along the axis that is summed over */
} reader;

typedef struct walk {
    skive_context *ctx;
    const skv_pixel_input *p;
    reader *readers;
    size_t n;
    bool padded;
    const skive_node *stop; /* that cannot take pixels */
    const char *why;
    skive_status status;
} walk;

static bool stop(walk *w, const skive_node *n, const char *why) {
    if (!w->why) {
        w->why = why;
        w->stop = n;
    }
    return false;
}

static bool pads(const skive_node *n) {
    size_t count = 0;
    const int64_t *pads = skv_attr_ints(n, "pads", &count);
    const char *automatic = skv_attr_string(n, "auto_pad", "NOTSET");
    bool any = strcmp(automatic, "NOTSET") != 0 && strcmp(automatic, "VALID") != 0;
    for (size_t i = 0; i < count; i++) any = any || pads[i] != 0;
    return any;
}

static bool pads_with_zeros(const skive_node *n) {
    const skive_tensor *with = skv_value_tensor(skv_node_in(n, 2));
    return strcmp(skv_attr_string(n, "mode", "constant"), "constant") == 0 &&
           (!skv_node_in(n, 2) || (with && skive_tensor_count(with) == 1 && skive_tensor_get(with, 0) == 0));
}

/* Axis `axis` behind a node that only moves elements; -1: it has none any more. *inner: places behind each channel. */
static int moved(const skive_node *n, int axis, int64_t channels, int64_t *inner) {
    const skive_type *x = &n->inputs[0]->type, *y = &n->outputs[0]->type;
    if (skv_node_is(n, SKV_OP_TRANSPOSE)) {
        size_t count = 0;
        const int64_t *perm = skv_attr_ints(n, "perm", &count);
        if (*inner != 1) return -1;
        for (size_t d = 0; d < count; d++)
            if (perm[d] == axis) return (int)d;
        return count ? -1 : x->rank - 1 - axis;
    }
    if (axis != 1 || y->rank != 2 || x->rank < 2) return -1;
    for (int d = 2; d < x->rank; d++) {
        if (x->dims[d].size < 0) return -1;
        *inner = skv_mul_sat(*inner, x->dims[d].size);
    }
    return y->dims[1].size == skv_mul_sat(channels, *inner) ? 1 : -1;
}

static bool follow(walk *w, skive_value *v, int axis, int64_t inner, int depth);

static bool is_layer(walk *w, skive_node *n, int axis, int64_t inner) {
    reader r = {.node = n, .inner = inner};
    const skive_value *m = skv_node_in(n, 1), *b = skv_node_in(n, 2);
    skv_linear l;
    if (n->domain[0] || !skv_value_is_param(m) || m->type.dtype != SKIVE_F32 || !skv_linear_of(n, &l) ||
        l.weight != 1 || l.view.data != 0 || l.view.in_axis < 0 || l.view.out_axis < 0)
        return stop(w, n, "its weights are no float parameter");
    r.view = l.view;
    if (!l.view.windows && m->type.rank != 2) return stop(w, n, "its weights are no matrix");
    if (l.data_turned || l.weight_factor != 1 || (b && l.bias_factor != 1))
        return stop(w, n, "it has factors or a transposed input");
    if (b && (!skv_value_is_param(b) || skv_type_count(&b->type) != r.view.out))
        return stop(w, n, "its bias is no vector of parameters");
    const bool single = w->p->channels == 1;
    if (!single && (axis != r.view.data_axis || r.view.in * r.view.groups != w->p->channels * inner))
        return stop(w, n, "the channels of the image are not those that it sums over");
    w->padded = w->padded || (l.view.windows && pads(n));
    w->status = skv_grow(w->ctx, &w->readers, w->n, w->n + 1, sizeof *w->readers);
    if (w->status == SKIVE_OK) w->readers[w->n++] = r;
    return w->status == SKIVE_OK;
}

static bool follow_use(walk *w, const skv_use *use, int axis, int64_t inner, int depth) {
    skive_node *n = use->node;
    if (use->index != 0 || !n->op) return stop(w, n, "it is no layer that multiplies the image by weights");
    skv_linear l;
    if (skv_linear_of(n, &l)) return is_layer(w, n, axis, inner);
    if (skv_node_is(n, SKV_OP_PAD)) {
        if (!pads_with_zeros(n)) return stop(w, n, "it pads with other numbers than 0");
        w->padded = true;
        return follow(w, n->outputs[0], axis, inner, depth + 1);
    }
    if (!SKV_NODE_IS_ANY(n, SKV_OP_TRANSPOSE, SKV_OP_IDENTITY) && !skv_node_reshapes(n))
        return stop(w, n, "it is no layer that multiplies the image by weights");
    if (w->p->channels == 1 || skv_node_is(n, SKV_OP_IDENTITY)) return follow(w, n->outputs[0], axis, inner, depth + 1);
    const int to = moved(n, axis, w->p->channels, &inner);
    return to < 0 ? stop(w, n, "it mixes channels with other axes") : follow(w, n->outputs[0], to, inner, depth + 1);
}

static bool follow(walk *w, skive_value *v, int axis, int64_t inner, int depth) {
    bool all = true;
    if (v->output_uses || skv_value_is_captured(v) || depth > 16)
        return stop(w, v->producer, "the image is an output of the model, too");
    for (uint32_t i = 0; i < v->n_uses && all; i++) all = follow_use(w, &v->uses[i], axis, inner, depth);
    return all;
}

/* ---- folding ---- */

/* The numbers of a parameter, to be changed for this node alone. */
static skive_status own(skv_builder *b, skive_node *n, size_t i, float **x) {
    skive_value *v = n->inputs[i];
    if (v->n_uses > 1 || v->output_uses) {
        const skive_tensor *t = skv_value_tensor(v);
        skv_storage *s = NULL;
        char name[256];
        SKV_TRY(skv_storage_create(b->graph->ctx, t->dtype, t->rank, t->dims, &s));
        memcpy(s->tensor.data, t->data, skive_tensor_bytes(t));
        (void)snprintf(name, sizeof name, "%.*s_pixels", skv_utf8_prefix(v->name, 230), v->name);
        v = skv_emit_param(b, skive_graph_find_value(b->graph, name) ? NULL : name, s);
        SKV_TRY(b->status);
        SKV_TRY(skv_node_set_input(n, i, v));
    }
    SKV_TRY(skv_storage_make_unique(b->graph->ctx, &v->storage));
    *x = v->storage->tensor.data;
    return SKIVE_OK;
}

static skive_status shift_outputs(skv_builder *b, skive_node *n, const double *add, int64_t m) {
    skv_storage *s = NULL;
    float *x;
    bool any = false;
    for (int64_t k = 0; k < m; k++) any = any || (float)add[k] != 0;
    if (!any) return SKIVE_OK;
    if (skv_node_in(n, 2)) {
        SKV_TRY(own(b, n, 2, &x));
        for (int64_t k = 0; k < m; k++) x[k] = (float)((double)x[k] + add[k]);
        return SKIVE_OK;
    }
    SKV_TRY(skv_storage_create(b->graph->ctx, SKIVE_F32, 1, &m, &s));
    x = s->tensor.data;
    for (int64_t k = 0; k < m; k++) x[k] = (float)add[k];
    skive_value *bias = skv_emit_param(b, NULL, s);
    SKV_TRY(b->status);
    if (!skv_node_is(n, SKV_OP_MAT_MUL)) return skv_node_set_input(n, 2, bias);
    skive_value *y =
        n->inputs[0]->type.rank == 2
            ? skv_emit(b, "Gemm", SKV_IN(n->inputs[0], n->inputs[1], bias), SKV_NONE)
            : skv_emit(b, "Add", SKV_IN(skv_emit(b, "MatMul", SKV_IN(n->inputs[0], n->inputs[1]), SKV_NONE), bias),
                       SKV_NONE);
    SKV_TRY(b->status);
    return skv_import_replace(n, y);
}

/* w * x = (w * factor) * d + w * shift, summed over the inputs of each output channel. */
static skive_status fold_into(skv_builder *b, const skv_pixel_input *p, const reader *r) {
    skive_context *ctx = b->graph->ctx;
    const skv_weight_view *v = &r->view;
    const skive_tensor *t = skv_value_tensor(r->node->inputs[1]);
    const int64_t count = skive_tensor_count(t), each = v->groups > 1 ? v->out / v->groups : v->out;
    int64_t step_in = 1, step_out = 1;
    double *add = NULL;
    float *x = NULL;
    for (int d = v->in_axis + 1; d < t->rank; d++) step_in *= t->dims[d];
    for (int d = v->out_axis + 1; d < t->rank; d++) step_out *= t->dims[d];
    const int64_t n_in = t->dims[v->in_axis], n_out = t->dims[v->out_axis];
    SKV_TRY(skv_alloc_array(ctx, (size_t)n_out + 1, sizeof *add, &add));
    skive_status status = own(b, r->node, 1, &x);
    for (int64_t i = 0; status == SKIVE_OK && i < count; i++) {
        const int64_t o = i / step_out % n_out, in = o / each * n_in + i / step_in % n_in;
        const int64_t c = p->channels == 1 ? 0 : in / r->inner;
        add[o] += (double)x[i] * shift_of(p, c);
        x[i] = (float)((double)x[i] * factor_of(p, c));
    }
    if (status == SKIVE_OK) status = shift_outputs(b, r->node, add, n_out);
    skv_free(ctx, add);
    return status;
}

/* In front of everything that reads the input: a product and a sum. */
static skive_status keep_in_front(skv_builder *b, skv_pixel_input *p, skive_value *v, int axis) {
    skv_storage *parts[2] = {NULL, NULL};
    int64_t dims[SKIVE_MAX_RANK];
    const int rank = p->channels > 1 ? v->type.rank - axis : 0;
    p->zero = 0;
    for (int d = 0; d < rank; d++) dims[d] = d == 0 ? p->channels : 1;
    for (int k = 0; k < 2; k++) {
        const skive_status status = skv_storage_create(b->graph->ctx, SKIVE_F32, rank, dims, &parts[k]);
        if (status == SKIVE_OK) continue;
        if (k) skv_storage_release(parts[0]);
        return status;
    }
    for (int64_t c = 0; c < p->channels; c++) {
        ((float *)parts[0]->tensor.data)[c] = (float)factor_of(p, c);
        ((float *)parts[1]->tensor.data)[c] = (float)shift_of(p, c);
    }
    const uint32_t before = v->n_uses;
    skive_value *factor = skv_emit_param(b, NULL, parts[0]), *shift = skv_emit_param(b, NULL, parts[1]);
    skive_value *product = skv_emit(b, "Mul", SKV_IN(v, factor), SKV_NONE);
    skive_value *x = skv_emit(b, "Add", SKV_IN(product, shift), SKV_NONE);
    SKV_TRY(b->status);
    return skv_value_replace_first_uses(v, before, x);
}

/* While it is quantized, the model is validated on data sets, too: their bytes become d. */
static skive_status describe(skive_graph *g, const skv_pixel_input *p) {
    char zero[16];
    (void)snprintf(zero, sizeof zero, "%d", p->zero);
    SKV_TRY(skv_input_set_meta(g, p->index, SKV_META_INPUT_SCALE, "none"));
    SKV_TRY(skv_input_set_meta(g, p->index, SKV_META_INPUT_MEAN, p->zero ? zero : "none"));
    return skv_input_set_meta(g, p->index, SKV_META_INPUT_STD, p->zero ? "1" : "none");
}

static skive_status fold(skive_context *ctx, skive_graph *g, skv_pixel_input *p) {
    skive_value *v = g->inputs[p->index];
    skv_builder b = skv_build(g);
    bool exact;
    int axis;
    SKV_TRY(read_normalization(ctx, g, p, &axis));
    choose_zero(p, &exact);
    walk w = {.ctx = ctx, .p = p};
    bool fits = follow(&w, v, axis, 1, 0) && w.n > 0;
    skive_status status = w.status;
    if (fits && w.padded && !exact) {
        fits = false;
        w.why = "it pads with zeros, and no pixel is 0 after the normalisation in all channels";
        w.stop = w.readers[0].node;
    }
    p->folded = fits;
    for (size_t i = 0; status == SKIVE_OK && fits && i < w.n; i++) status = fold_into(&b, p, &w.readers[i]);
    skv_free(ctx, w.readers);
    if (status != SKIVE_OK) return status;
    if (!fits) {
        skv_note(ctx,
                 "input '%s' takes pixels; its normalisation stays in the model, in float, as a product and a sum, "
                 "because it cannot be folded into %s%s%s: %s",
                 v->name, w.stop ? "node '" : "what reads it", w.stop ? w.stop->name : "", w.stop ? "'" : "",
                 w.why ? w.why : "nothing reads it");
        SKV_TRY(keep_in_front(&b, p, v, axis));
    } else {
        skv_note(ctx, "input '%s' takes pixels; its normalisation is folded into %zu layer%s%s", v->name, w.n,
                 w.n == 1 ? "" : "s", w.padded ? ", which pad with the pixel that is 0 after it" : "");
    }
    SKV_TRY(b.status);
    return describe(g, p);
}

skive_status skv_pixels_fold(skive_context *ctx, skive_graph *g, const skive_quantize_options *o, skv_pixels *out) {
    const char *name = strchr(o->input_type, ':');
    SKV_TRY(skv_alloc_array(ctx, (size_t)g->n_inputs + 1, sizeof *out->items, &out->items));
    for (size_t i = 0; i < g->n_inputs; i++) {
        if (name ? strcmp(name + 1, g->inputs[i]->name) != 0 : g->inputs[i]->type.dtype != SKIVE_F32) continue;
        if (g->inputs[i]->type.dtype != SKIVE_F32)
            return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, g->inputs[i]->name,
                               "input '%s' is %s: only a float32 input of images becomes one of pixels",
                               g->inputs[i]->name, skive_dtype_name(g->inputs[i]->type.dtype));
        out->items[out->n].index = i;
        SKV_TRY(fold(ctx, g, &out->items[out->n++]));
    }
    if (out->n == 0 && name)
        return skv_fail_at(ctx, SKIVE_ERR_NOT_FOUND, name + 1, "the model has no input '%s'", name + 1);
    if (out->n == 0)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, "input-type",
                           "the model has no float32 input that could take pixels");
    return skive_graph_infer(g);
}

/* ---- samples ---- */

static skive_status to_pixels(skive_context *ctx, const skv_pixel_input *p, const skive_tensor *t, int64_t run) {
    float *x = t->data;
    const int64_t count = skive_tensor_count(t);
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = p->channels == 1 ? 0 : i / p->inner % p->channels;
        const double pixel = ((double)x[i] * p->std[c] + p->mean[c]) / p->scale, whole = rint(pixel);
        if (!(fabs(pixel - whole) < 0.02) || whole < 0 || whole > 255)
            return skv_fail_at(ctx, SKIVE_ERR_DATA, "input-type",
                               "the number %g in run %lld would be the pixel %g, and pixels are whole numbers from 0 "
                               "to 255: the samples are no images of bytes, or not normalised as the model's metadata "
                               "say (--scale, --mean, --std)",
                               (double)x[i], (long long)run, pixel);
        x[i] = (float)(whole - p->zero);
    }
    return SKIVE_OK;
}

skive_status skv_pixels_feed(void *user, int64_t index, skive_tensor *inputs, size_t n_inputs) {
    const skv_pixels *p = user;
    SKV_TRY(p->feed(p->user, index, inputs, n_inputs));
    for (size_t i = 0; i < p->n; i++) SKV_TRY(to_pixels(p->ctx, &p->items[i], &inputs[p->items[i].index], index));
    return SKIVE_OK;
}

/* ---- the result ---- */

bool skv_pixels_grid(const skv_pixels *p, const skive_graph *g, const skive_value *v, skv_grid_params *out) {
    /* What pads, moves or shapes an image has its pixels: zeros around it are the zero point. */
    while (p->n && v->producer &&
           (SKV_NODE_IS_ANY(v->producer, SKV_OP_PAD, SKV_OP_TRANSPOSE, SKV_OP_IDENTITY) ||
            skv_node_reshapes(v->producer)) &&
           v->producer->inputs[0])
        v = v->producer->inputs[0];
    for (size_t i = 0; i < p->n; i++) {
        if (g->inputs[p->items[i].index] != v || !p->items[i].folded) continue;
        *out = (skv_grid_params){.scale = 1, .zero_point = p->items[i].zero};
        return true;
    }
    return false;
}

/* QuantizeLinear of d gives the pixels themselves; whoever reads d as a float gets it from them. */
static skive_status take_bytes(skive_graph *g, const skv_pixel_input *p) {
    skive_value *v = g->inputs[p->index];
    skv_builder b = skv_build(g);
    skive_node *quantizers[2] = {NULL};
    size_t n = 0;
    bool others = v->output_uses > 0;
    for (uint32_t i = 0; i < v->n_uses; i++) {
        const bool quantizes = skv_node_is(v->uses[i].node, SKV_OP_QUANTIZE_LINEAR) && v->uses[i].index == 0;
        if (quantizes && n < 1)
            quantizers[n++] = v->uses[i].node;
        else
            others = true;
    }
    v->type.dtype = SKIVE_U8;
    if (n == 1) {
        skive_node *q = quantizers[0];
        SKV_TRY(skv_value_replace_uses(q->outputs[0], v, true));
        SKV_TRY(skv_graph_remove_node(q));
    }
    if (others && n == 0) {
        const uint32_t before = v->n_uses;
        skive_value *scale = skv_emit_scalar(&b, SKIVE_F32, 1), *zero = skv_emit_scalar(&b, SKIVE_U8, p->zero);
        skive_value *x = p->folded ? skv_emit(&b, "DequantizeLinear", SKV_IN(v, scale, zero), SKV_NONE)
                                   : skv_emit(&b, "Cast", SKV_IN(v), SKV_ATTRS(SKV_INT("to", SKIVE_F32)));
        SKV_TRY(b.status);
        SKV_TRY(skv_value_replace_first_uses(v, before, x));
    }
    SKV_TRY(skv_input_set_meta(g, p->index, SKV_META_INPUT_SCALE, "none"));
    SKV_TRY(skv_input_set_meta(g, p->index, SKV_META_INPUT_MEAN, "none"));
    return skv_input_set_meta(g, p->index, SKV_META_INPUT_STD, "none");
}

skive_status skv_pixels_finish(skive_graph *g, const skv_pixels *p) {
    for (size_t i = 0; i < p->n; i++) SKV_TRY(take_bytes(g, &p->items[i]));
    if (p->n == 0) return SKIVE_OK;
    (void)skv_graph_sweep(g);
    return skive_graph_infer(g);
}

void skv_pixels_free(skive_context *ctx, skv_pixels *p) {
    for (size_t i = 0; i < p->n; i++) skv_free(ctx, p->items[i].mean);
    skv_free(ctx, p->items);
    *p = (skv_pixels){0};
}
