/* Matching samples with one input of a model, axis by axis. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/feed.h"
#include "data/recipe.h"
#include "graph/meta_keys.h"
#include "tensor/tensor.h"

enum { SHAPE_TEXT = 24 * SKIVE_MAX_RANK };

/* ---- shapes ---- */

static bool fits(int64_t wanted, int64_t have) { return wanted < 0 || wanted == have; }

static bool fits_all(int rank, const int64_t *wanted, const int64_t *have) {
    for (int d = 0; d < rank; d++) {
        if (!fits(wanted[d], have[d])) return false;
    }
    return true;
}

/* The sample's dimensions with the first axis moved to the end, or the last to the front. */
static void moved(const skv_feed *f, skv_feed_order order, int64_t *dims) {
    const int r = f->sample_rank;
    for (int d = 0; d < r; d++) dims[d] = f->sample_dims[order == SKV_FEED_TO_LAST ? (d + 1) % r : (d + r - 1) % r];
}

static bool fits_moved(const skv_feed *f, const int64_t *wanted, skv_feed_order order) {
    int64_t dims[SKIVE_MAX_RANK];
    moved(f, order, dims);
    return fits_all(f->rank, wanted, dims);
}

static void take(skv_feed *f, skv_feed_order order) {
    f->order = order;
    if (order == SKV_FEED_SAME)
        memcpy(f->dims, f->sample_dims, sizeof f->dims);
    else
        moved(f, order, f->dims);
}

/* Inputs with as many axes as samples: unchanged, or with the channels moved. */
static bool match_axes(skv_feed *f, const int64_t *wanted, int data_axis, int model_axis) {
    const int last = f->rank - 1;
    if (f->rank != f->sample_rank) return false;
    const bool same = fits_all(f->rank, wanted, f->sample_dims);
    const bool to_last = f->rank > 1 && fits_moved(f, wanted, SKV_FEED_TO_LAST);
    const bool to_first = f->rank > 1 && fits_moved(f, wanted, SKV_FEED_TO_FIRST);
    const int axis = data_axis >= 0 ? data_axis : skv_channel_axis_of(f->rank, f->sample_dims);
    const bool want_last = to_last && model_axis == last && last > 0,
               want_first = to_first && model_axis == 0 && last > 0;
    if (axis == 0 && want_last) {
        take(f, SKV_FEED_TO_LAST);
    } else if (axis == last && axis > 0 && want_first) {
        take(f, SKV_FEED_TO_FIRST);
    } else if (same && !(data_axis == 0 && model_axis == last && last > 0 && f->sample_dims[0] != 1)) {
        take(f, SKV_FEED_SAME);
        /* Nothing determines which axis is that of the channels. */
        f->assumed = f->rank >= 3 && (to_last || to_first) && (axis < 0 || model_axis < 0);
    } else if (data_axis < 0 && want_first) {
        take(f, SKV_FEED_TO_FIRST);
    } else if (data_axis < 0 && want_last) {
        take(f, SKV_FEED_TO_LAST);
    } else if (data_axis == 0 && to_last && model_axis < 0) {
        take(f, SKV_FEED_TO_LAST);
    } else {
        return false;
    }
    return true;
}

/* Axes of size 1 that only one side has: the others must be equal, in the same order. */
static bool match_without_ones(skv_feed *f, const int64_t *wanted, int model_axis) {
    int64_t open[SKIVE_MAX_RANK];
    int at = 0, more = f->rank - f->sample_rank;
    memcpy(open, wanted, sizeof open);
    /* If both sides have the same number of axes, there is a reason why they did not match. */
    if (more == 0 && fits_all(f->rank, wanted, f->sample_dims)) return false;
    /* An open axis takes the size of the sample's axis, unless the input has more axes than the sample. */
    if (more > 0 && model_axis >= 0 && open[model_axis] < 0) open[model_axis] = 1;
    for (int d = 0; d < f->rank; d++) {
        while (at < f->sample_rank && f->sample_dims[at] == 1 && open[d] != 1) at++;
        if (open[d] == 1) {
            f->dims[d] = 1;
            at += at < f->sample_rank && f->sample_dims[at] == 1;
            continue;
        }
        if (at == f->sample_rank || !fits(open[d], f->sample_dims[at])) return false;
        f->dims[d] = f->sample_dims[at++];
    }
    while (at < f->sample_rank && f->sample_dims[at] == 1) at++;
    if (at < f->sample_rank) return false;
    f->order = SKV_FEED_SAME;
    return true;
}

/* One axis of the input takes all values of a sample, or flat samples fill an image of one channel. */
static bool match_flat(skv_feed *f, const int64_t *wanted, int64_t size, bool channels_last) {
    int wide = -1, n_wide = 0;
    int64_t product = 1;
    for (int d = 0; d < f->rank; d++) {
        f->dims[d] = wanted[d];
        if (wanted[d] == 1) continue;
        wide = d;
        n_wide++;
        product = wanted[d] < 0 || product < 0 ? -1 : product * wanted[d];
    }
    f->order = SKV_FEED_SAME;
    f->flattened = true;
    if (n_wide == 1 && f->sample_rank > 1 && fits(wanted[wide], size)) {
        f->dims[wide] = size;
        if (channels_last && f->sample_rank >= 3 && f->sample_dims[0] > 1) f->order = SKV_FEED_TO_LAST;
        return true;
    }
    if (f->sample_rank == 1 && f->rank == 3 && n_wide == 2 && (wanted[0] == 1 || wanted[2] == 1) && product == size)
        return true;
    f->flattened = false;
    return false;
}

/* The place of the channels, as a part of a message. */
static const char *layout_text(int rank, int axis) {
    return rank < 3 || axis < 0 ? "" : axis == 0 ? " (channels first)" : axis == rank - 1 ? " (channels last)" : "";
}

/* Would the channels of the samples fit the other end of the input? */
static bool is_turned(const skv_feed *f, int data_axis, const int64_t *wanted, int axis) {
    if (f->rank < 3 || f->rank != f->sample_rank || data_axis < 0 || axis < 0) return false;
    const int64_t channels = f->sample_dims[data_axis];
    return !fits(wanted[axis], channels) && fits(wanted[axis == 0 ? f->rank - 1 : 0], channels);
}

static skive_status mismatch(const skv_feed *f, const skive_dataset_info *info, const int64_t *wanted, int axis,
                             const char *told) {
    char have[SHAPE_TEXT], takes[SHAPE_TEXT], by[80] = "", advice[120] = "";
    if (told) (void)snprintf(by, sizeof by, ", which has the layout %s (--layout),", told);
    if (told && is_turned(f, info->channel_axis, wanted, axis))
        (void)snprintf(advice, sizeof advice, "; if its channels come %s, the layout is %s",
                       axis == 0 ? "last" : "first", axis == 0 ? "nhwc" : "nchw");
    else if (info->dtype == SKIVE_U8 && f->sample_rank >= 2 && f->rank >= 2)
        (void)snprintf(advice, sizeof advice, "; use --resize HxW to resize images");
    return skv_fail_at(
        f->ctx, SKIVE_ERR_DATA, info->spec,
        "%s: samples are %s%s, but the model's input '%s'%s takes %s%s per sample; they cannot be matched axis by "
        "axis%s",
        info->spec, skv_shape_text(f->sample_rank, f->sample_dims, have, sizeof have),
        layout_text(f->sample_rank, info->channel_axis), f->input, by,
        skv_shape_text(f->rank, wanted, takes, sizeof takes), f->sample_rank >= 3 ? layout_text(f->rank, axis) : "",
        advice);
}

static skive_status match(skv_feed *f, const skive_graph *g, const skive_dataset_info *info) {
    const skive_type *t = &g->inputs[f->index]->type;
    const char *told = skv_input_meta(g, f->index, SKV_META_INPUT_LAYOUT);
    const int model_axis = skv_input_channel_axis(g, f->index);
    int64_t wanted[SKIVE_MAX_RANK] = {0};
    f->sample_rank = info->rank;
    memcpy(f->sample_dims, info->dims, sizeof f->sample_dims);
    if (t->rank < 1) {
        return skv_fail_at(f->ctx, SKIVE_ERR_DATA, info->spec, "the model's input '%s' has no batch axis", f->input);
    }
    f->rank = t->rank - 1;
    for (int d = 0; d < f->rank; d++) wanted[d] = t->dims[d + 1].size;
    if (f->rank == 0) { /* [N] */
        if (info->sample_size == 1) return SKIVE_OK;
        return mismatch(f, info, wanted, model_axis, told);
    }
    if (match_axes(f, wanted, info->channel_axis, model_axis)) {
        /* The channels of the samples, for a normalisation per channel. */
        f->channel_axis = f->order == SKV_FEED_TO_LAST    ? 0
                          : f->order == SKV_FEED_TO_FIRST ? f->rank - 1
                          : model_axis >= 0               ? model_axis
                          : f->rank == 2                  ? -1
                          : info->channel_axis > 0        ? info->channel_axis
                                                          : 0;
        return SKIVE_OK;
    }
    f->channel_axis = f->sample_rank >= 3 ? (info->channel_axis >= 0 ? info->channel_axis : 0) : -1;
    if (match_without_ones(f, wanted, model_axis)) return SKIVE_OK;
    if (match_flat(f, wanted, (int64_t)info->sample_size, told && strcmp(told, "nhwc") == 0)) return SKIVE_OK;
    return mismatch(f, info, wanted, model_axis, told);
}

/* ---- numbers ---- */

static bool is_whole(skive_dtype dtype) {
    int64_t low;
    uint64_t high;
    return skive_dtype_bits(dtype) >= 8 && skv_dtype_int_range(dtype, &low, &high);
}

static skive_status read_scale(skv_feed *f, const skive_graph *g) {
    const char *told = skv_input_meta(g, f->index, SKV_META_INPUT_SCALE);
    f->scale = f->bytes ? 1.0 / 255.0 : 1.0;
    if (f->bytes && !skv_dtype_is_float(f->dtype)) {
        f->scale = 1;
        f->scale_told = true;
    }
    if (!told) return SKIVE_OK;
    f->scale_told = f->scale_named = true;
    if (skv_parse_scale(told, &f->scale)) return SKIVE_OK;
    return skv_fail_at(f->ctx, SKIVE_ERR_FORMAT, SKV_META_INPUT_SCALE,
                       "the model's metadata entry %s is '%s', which is not a scale", SKV_META_INPUT_SCALE, told);
}

static skive_status check_normalization(skv_feed *f, const skive_dataset_info *info) {
    const int64_t n = f->normalization.channels;
    char have[SHAPE_TEXT];
    if (n > 0 && !skv_dtype_is_float(f->dtype)) {
        return skv_fail_at(f->ctx, SKIVE_ERR_DATA, "normalisation",
                           "the model's input '%s' has type %s, which cannot hold normalised values; use --mean none "
                           "to leave them unchanged",
                           f->input, skive_dtype_name(f->dtype));
    }
    if (n <= 1) return SKIVE_OK;
    if (f->channel_axis >= 0 && f->sample_dims[f->channel_axis] == n) return SKIVE_OK;
    if (f->channel_axis < 0 && f->order == SKV_FEED_SAME) {
        int found = -1, n_found = 0;
        for (int d = 0; d < f->sample_rank; d++) {
            if (f->sample_dims[d] != n) continue;
            found = d;
            n_found++;
        }
        f->channel_axis = found;
        if (n_found == 1) return SKIVE_OK;
    }
    if ((size_t)n == info->sample_size && f->order == SKV_FEED_SAME) return SKIVE_OK;
    skv_shape_text(f->sample_rank, f->sample_dims, have, sizeof have);
    return skv_fail_at(f->ctx, SKIVE_ERR_DATA, "normalisation",
                       "the normalisation (--mean, --std) has %lld channels, but samples of %s are %s, which has %lld",
                       (long long)n, info->spec, have,
                       (long long)(f->channel_axis < 0 ? 1 : f->sample_dims[f->channel_axis]));
}

skive_status skv_feed_make(skive_context *ctx, const skive_graph *g, size_t index, const skive_dataset_info *info,
                           skv_feed *out) {
    *out = (skv_feed){.ctx = ctx, .index = index, .channel_axis = -1, .scale = 1};
    out->input = g->inputs[index]->name;
    out->dtype = g->inputs[index]->type.dtype;
    out->stored = info->dtype;
    out->bytes = info->dtype == SKIVE_U8;
    out->mean_told = skv_input_meta(g, index, SKV_META_INPUT_MEAN) != NULL;
    out->mean_from = g->mean_from;
    out->scale_from = g->scale_from;
    if (!skv_dtype_is_float(out->dtype) && !is_whole(out->dtype)) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, out->input,
                           "input '%s' has type %s, to which samples cannot be converted", out->input,
                           skive_dtype_name(out->dtype));
    }
    SKV_TRY(skv_recipe_check(ctx, g, index, info->preprocessing));
    SKV_TRY(match(out, g, info));
    const int64_t c = out->channel_axis >= 0 ? out->sample_dims[out->channel_axis] : 1;
    out->images = info->preprocessing                          ? false
                  : info->channel_axis == 0 && info->rank == 3 ? true
                  : out->sample_rank >= 3                      ? c == 1 || c == 3 || c == 4
                                                               : out->bytes && out->sample_rank == 2;
    SKV_TRY(read_scale(out, g));
    skive_status status = skv_input_normalization(g, index, &out->normalization);
    if (status == SKIVE_OK) status = check_normalization(out, info);
    if (status != SKIVE_OK) skv_feed_free(out);
    return status;
}

void skv_feed_free(skv_feed *f) {
    if (f->ctx) skive_normalization_free(f->ctx, &f->normalization);
}

skive_status skv_feed_copy(skive_context *ctx, const char *name, const skive_tensor *batch, const skive_tensor *input) {
    char a[SKV_DIMS_TEXT + 16], b[SKV_DIMS_TEXT + 16];
    bool good = batch->dtype == input->dtype && batch->rank == input->rank && batch->rank > 0 &&
                batch->dims[0] <= input->dims[0];
    for (int d = 1; good && d < batch->rank; d++) good = batch->dims[d] == input->dims[d];
    if (!good) {
        return skv_fail_at(ctx, SKIVE_ERR_DATA, name, "a batch is %s, but '%s' takes %s",
                           skv_tensor_text(batch, a, sizeof a), name, skv_tensor_text(input, b, sizeof b));
    }
    memcpy(input->data, batch->data, skive_tensor_bytes(batch));
    return SKIVE_OK;
}

/* ---- telling ---- */

static void add_numbers(skv_text *t, const float *x, int64_t n) {
    const int64_t shown = n > 4 ? 3 : n;
    for (int64_t i = 0; i < shown; i++) skv_text_add(t, "%s%.4g", i ? "," : "", (double)x[i]);
    if (shown < n) skv_text_add(t, ",... (%lld)", (long long)n);
}

static void add_layout(const skv_feed *f, skv_text *t) {
    char have[SHAPE_TEXT], takes[SHAPE_TEXT];
    skv_shape_text(f->sample_rank, f->sample_dims, have, sizeof have);
    skv_shape_text(f->rank, f->dims, takes, sizeof takes);
    if (f->order == SKV_FEED_TO_LAST && f->flattened)
        skv_text_add(t, "samples %s are flattened to %s, channels last", have, takes);
    else if (f->order == SKV_FEED_TO_LAST)
        skv_text_add(t, "samples %s are transposed to %s, channels last", have, takes);
    else if (f->order == SKV_FEED_TO_FIRST)
        skv_text_add(t, "samples %s are transposed to %s, channels first", have, takes);
    else if (f->flattened && f->sample_rank > 1)
        skv_text_add(t, "samples %s are flattened to %s", have, takes);
    else if (f->rank != f->sample_rank || memcmp(f->dims, f->sample_dims, (size_t)f->rank * sizeof *f->dims) != 0)
        skv_text_add(t, "samples %s are reshaped to %s", have, takes);
    else
        skv_text_add(t, "samples %s unchanged", have);
    if (f->assumed)
        skv_text_add(t, " (channels %s assumed; set --layout if that is wrong)",
                     f->channel_axis > 0 ? "last" : "first");
}

static const char *source_text(uint8_t from) {
    return from == SKV_SAID_BY_CALLER ? " (as given)"
           : from == SKV_SAID_BY_DATA ? " (measured on the training samples)"
                                      : " (from the model's metadata)";
}

static void add_scale(const skv_feed *f, skv_text *t) {
    if (f->scale == 1 && f->bytes && !skv_dtype_is_float(f->dtype))
        skv_text_add(t, "; bytes are kept as bytes");
    else if (f->scale == 1)
        skv_text_add(t, f->bytes ? "; bytes are not scaled" : f->scale_named ? "; values are not scaled" : "");
    else if (fabs(f->scale * 255 - 1) < 1e-12)
        skv_text_add(t, f->bytes ? "; bytes are divided by 255" : "; values are divided by 255");
    else
        skv_text_add(t, "; %s are multiplied by %.6g", f->bytes ? "bytes" : "values", f->scale);
    if (f->scale_named) skv_text_add(t, "%s", source_text(f->scale_from));
}

void skv_feed_describe(const skv_feed *f, skv_text *t) {
    const skive_normalization *n = &f->normalization;
    add_layout(f, t);
    if (f->stored != f->dtype && f->dtype != SKIVE_F32)
        skv_text_add(t, "; %s is converted to %s", skive_dtype_name(f->stored), skive_dtype_name(f->dtype));
    add_scale(f, t);
    if (!n->channels) {
        skv_text_add(t, "; no normalisation%s", f->mean_told ? source_text(f->mean_from) : "");
        return;
    }
    skv_text_add(t, "; mean ");
    add_numbers(t, n->mean, n->channels);
    skv_text_add(t, " deviation ");
    add_numbers(t, n->std, n->channels);
    skv_text_add(t, "%s", source_text(f->mean_from));
}

void skv_feed_tell(const skv_feed *f, const char *who) {
    skv_text t;
    skv_text_init(&t, f->ctx);
    skv_feed_describe(f, &t);
    const bool other = f->from && strcmp(f->from, f->input) != 0;
    if (t.status == SKIVE_OK && other)
        skv_note(f->ctx, "input '%s' of the %s takes '%s' of the data%s: %s", f->input, who, f->from,
                 f->match == SKV_FEED_BY_SHAPE ? " (no other fits by type and shape)" : "", t.data);
    else if (t.status == SKIVE_OK)
        skv_note(f->ctx, "input '%s' of the %s: %s", f->input, who, t.data);
    skv_text_free(&t);
    if (f->images && !f->normalization.channels && !f->mean_told && skv_dtype_is_float(f->dtype))
        skv_note(f->ctx,
                 "the file of the %s specifies no normalisation of images, so none is applied; if it was trained with "
                 "one, give --mean and --std (such as --mean imagenet), or its outputs will be wrong; --mean none "
                 "silences this note",
                 who);
}
