/* Weight sharing: selection of the parameters, the working graph, and the result. */
#include "share/share.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "share/hashed/forms.h"
#include "passes/quantized.h"
#include "graph/left_out.h"
#include "graph/shared.h"
#include "graph/unknown.h"
#include "graph/weights.h"
#include "passes/pass.h"
#include "train/train.h"

skive_share_options skive_share_options_default(void) {
    return (skive_share_options){.size = sizeof(skive_share_options),
                                 .bits = 4,
                                 .init = "linear",
                                 .keep_zero = true,
                                 .max_iterations = 1000,
                                 .seed = 1,
                                 .max_drop = -1};
}

skive_train_options skive_share_finetune_default(void) {
    skive_train_options o = skive_train_options_default();
    o.epochs = 0;
    o.optimizer = "adam";
    o.learning_rate = 0.001;
    o.warmup_epochs = 0;
    return o;
}

void skive_share_report_free(skive_context *ctx, skive_share_report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_layers; i++) {
        skv_free(ctx, r->layers[i].parameter);
        skv_free(ctx, r->layers[i].node);
        skv_free(ctx, r->layers[i].refused);
    }
    skv_free(ctx, r->layers);
    skive_train_report_free(ctx, &r->training);
    *r = (skive_share_report){0};
}

/* ---- options ---- */

static const skv_option options_of_sharing[] = {
    {.name = "bits",
     .needs = "!hash,!bytes,!max-drop",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = SKIVE_SHARE_MAX_BITS,
     .fallback = 4,
     SKV_FIELD(INT, skive_share_options, bits),
     .brief = "bits of an index: a codebook has at most 2^bits values"},
    {.name = "bytes",
     .needs = "!hash,!one-codebook",
     .type = SKV_OPTION_BUDGET,
     .most = 1,
     .above = true,
     .unit = "B",
     SKV_FIELD(TEXT, skive_share_options, bytes),
     .brief = "bytes of the shared weights that remain: each layer gets the bits that harm least"},
    {.name = "max-drop",
     .needs = "!hash,!one-codebook",
     .type = SKV_OPTION_REAL,
     .most = 100,
     .fallback = -1,
     SKV_FIELD(DOUBLE, skive_share_options, max_drop),
     .brief = "percentage points that may be lost on the validation split: as few bits as stay within"},
    {.name = "init",
     .needs = "!hash",
     .type = SKV_OPTION_RECORD,
     .family = &skv_share_init_family,
     .text = "linear",
     SKV_FIELD(TEXT, skive_share_options, init),
     .brief = "initial centroids"},
    {.name = "one-codebook",
     .needs = "!hash",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_share_options, one_codebook),
     .brief = "one codebook for all layers together"},
    {.name = "keep-zero",
     .needs = "!hash",
     .type = SKV_OPTION_SWITCH,
     .fallback = 1,
     SKV_FIELD(BOOL, skive_share_options, keep_zero),
     .brief = "weights that are zero stay exactly zero"},
    {.name = "max-iterations",
     .needs = "!hash",
     .type = SKV_OPTION_INTEGER,
     .least = 1,
     .most = 1e6,
     .fallback = 1000,
     SKV_FIELD(INT, skive_share_options, max_iterations),
     .brief = "most iterations of Lloyd's algorithm"},
    {.name = "seed",
     .type = SKV_OPTION_INTEGER,
     .most = 9e18,
     .fallback = 1,
     SKV_FIELD(UINT64, skive_share_options, seed),
     .brief = "seed of random initial centroids and of hashes"},
    {.name = "plain",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_share_options, plain),
     .brief = "write dense weights instead of codebooks and indices"},
    {.name = "hash",
     .type = SKV_OPTION_REAL,
     .least = 1,
     .most = 1e9,
     SKV_FIELD(DOUBLE, skive_share_options, hash),
     .brief = "hashing instead of clustering: number of weights per shared value"},
};

const skv_table skv_share_table = {"share", options_of_sharing, SKV_LENGTH(options_of_sharing), NULL};

static bool among(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) return true;
    }
    return false;
}

/* An unknown name would be ignored silently. */
static skive_status check_names(const skv_sharing *s, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (skv_value_is_param(skv_find_value_anywhere(s->work, names[i]))) continue;
        return skv_fail_no_parameter(s->ctx, SKIVE_ERR_NOT_FOUND, s->work, names[i]);
    }
    return SKIVE_OK;
}

/* ---- layers ---- */

static const char *why_not_in_body(const skv_sharing *s, const skv_weight *w) {
    if (!skv_weight_in_body(w)) return NULL;
    if (s->o.hash > 0) return SKV_IN_A_BODY "which is not hashed";
    if (s->o.one_codebook) return SKV_IN_A_BODY "which one codebook for all layers does not reach";
    return w->value->graph != w->node->graph ? SKV_IN_A_BODY "which reads it from outside" : NULL;
}

static const char *why_refused(const skv_sharing *s, const skv_weight *w) {
    const skive_node *n = w->node;
    const skive_value *v = w->value;
    if (among(v->name, s->o.skip, s->o.n_skip)) return "it is excluded by --skip";
    if (s->o.n_only > 0 && !among(v->name, s->o.only, s->o.n_only)) return "it is not named by --only";
    if (skv_shared_find(v, NULL)) return "it already has a codebook";
    if (!v->storage) return "its weights are computed, not a parameter";
    if (v->type.dtype != SKIVE_F32) return "its weights are not float32";
    if (skive_tensor_count(skv_value_tensor(v)) < 1) return "it has no weights";
    const char *in_body = why_not_in_body(s, w);
    if (in_body) return in_body;
    if (s->o.hash > 0 && skv_node_in(n, 1) != v) return "only the second input of Gemm can be hashed";
    return s->o.hash > 0 ? skv_why_not_hashed(n) : NULL;
}

static skive_status look_at_weights(const skv_sharing *s, skv_shareable *l) {
    const float *w = skv_shareable_data(l);
    uint32_t unbounded = 0;
    for (int64_t i = 0; i < l->n; i++) {
        l->zeros += w[i] == 0;
        unbounded |= !(w[i] - w[i] == 0); /* NaN and infinity */
    }
    if (!unbounded) return SKIVE_OK;
    return skv_fail_at(s->ctx, SKIVE_ERR_NUMERIC, l->value->name, "parameter '%s' contains NaN or infinity",
                       l->value->name);
}

static skive_status add_layer(skv_sharing *s, const skv_weight *w) {
    const skive_node *n = w->node;
    skive_value *v = w->value;
    skive_share_layer *row = &s->report.layers[s->report.n_layers];
    const char *refused = why_refused(s, w);
    SKV_TRY(skv_strdup(s->ctx, v->name, &row->parameter));
    s->report.n_layers++;
    row->harm = NAN;
    SKV_TRY(skv_node_path(s->ctx, n, &row->node));
    row->count = v->storage ? skive_tensor_count(skv_value_tensor(v)) : 0;
    if (refused) return skv_strdup(s->ctx, refused, &row->refused);
    skv_shareable *l = &s->layers[s->n++];
    *l = (skv_shareable){.value = v, .node = n, .row = s->report.n_layers - 1, .n = row->count, .bits = s->o.bits};
    s->report.count += l->n;
    return look_at_weights(s, l);
}

static bool is_listed(const skv_sharing *s, const skive_value *v) {
    for (size_t i = 0; i < s->report.n_layers; i++) {
        if (strcmp(s->report.layers[i].parameter, v->name) == 0) return true;
    }
    return false;
}

static bool has_row(void *user, const skive_value *v) { return is_listed(user, v); }

static skive_status find_layers(skv_sharing *s) {
    const skive_graph *g = s->work;
    SKV_TRY(check_names(s, s->o.only, s->o.n_only));
    SKV_TRY(check_names(s, s->o.skip, s->o.n_skip));
    skv_weight *weights = NULL;
    size_t n = 0;
    SKV_TRY(skv_weights(s->ctx, g, &weights, &n));
    skive_status status = skv_alloc_array(s->ctx, n + 1, sizeof *s->layers, &s->layers);
    if (status == SKIVE_OK) status = skv_alloc_array(s->ctx, n + 1, sizeof *s->report.layers, &s->report.layers);
    for (size_t i = 0; i < n && status == SKIVE_OK; i++) status = add_layer(s, &weights[i]);
    skv_free(s->ctx, weights);
    SKV_TRY(status);
    const skv_left_out what = {.done = "shared",
                               .only = "weights of products, convolutions, recurrent layers and embeddings",
                               .taken = has_row,
                               .user = s};
    SKV_TRY(skv_tell_left_out(s->ctx, g, &what));
    if (s->n > 0) return SKIVE_OK;
    if (s->report.n_layers > 0) {
        const skive_share_layer *first = &s->report.layers[0];
        return SKV_FAIL(s->ctx, SKIVE_ERR_UNSUPPORTED, "no layer's weights can be shared; '%s': %s", first->parameter,
                        first->refused);
    }
    return SKV_FAIL(s->ctx, SKIVE_ERR_UNSUPPORTED,
                    "the model has no weights to share: no product, convolution, recurrent layer or embedding");
}

/* ---- steps of both methods ---- */

static skive_status tune(skv_sharing *s, skive_dataset *train, skive_dataset *validation) {
    if (s->o.finetune->epochs < 1) return SKIVE_OK;
    const skive_status status =
        skive_train(s->ctx, s->work, train, validation, s->o.finetune, NULL, 0, &s->report.training);
    s->tuned = s->report.training.n_epochs > 0;
    if (status == SKIVE_ERR_INTERRUPTED && s->tuned)
        skv_note(s->ctx, "fine-tuning was stopped; the weights are those of the last finished epoch");
    return status;
}

skive_status skv_share_add_codebook(skv_sharing *s, const float *entries, size_t n, const skv_shareable *weight,
                                    skive_value **out) {
    const int64_t dims = (int64_t)n;
    skive_graph *g = weight ? weight->value->graph : s->work;
    const char *name = NULL;
    char text[256];
    skv_storage *storage = NULL;
    (void)snprintf(text, sizeof text, "%.*s.codebook", skv_utf8_prefix(weight ? weight->value->name : "shared", 200),
                   weight ? weight->value->name : "shared");
    SKV_TRY(skv_graph_unique_name(g, text, &name));
    SKV_TRY(skv_storage_create(s->ctx, SKIVE_F32, 1, &dims, &storage));
    memcpy(storage->tensor.data, entries, n * sizeof *entries);
    const skive_status status = skv_graph_new_param(g, name, storage, out);
    if (status != SKIVE_OK) skv_storage_release(storage);
    return status;
}

/* ---- the whole ---- */

static skive_status make_plain(skv_sharing *s) {
    for (size_t i = 0; s->o.plain && i < s->report.n_layers; i++) {
        const char *name = s->report.layers[i].parameter;
        if (s->report.layers[i].refused) continue;
        SKV_TRY(skv_shared_inflate(skv_find_value_anywhere(s->work, name)));
        if (s->o.hash > 0) SKV_TRY(skv_hash_tell(s->work, name, NULL));
    }
    return skive_graph_infer(s->work);
}

static skive_status share(skv_sharing *s, const skive_graph *graph, skive_dataset *train, skive_dataset *validation) {
    if (s->o.finetune->epochs > 0 && !train)
        return SKV_FAIL(s->ctx, SKIVE_ERR_ARGUMENT, "fine-tuning needs a training set");
    SKV_TRY(skv_quantized_refuse(graph, "shared", SKV_QUANTIZED_ALL));
    if (s->o.finetune->epochs < 1 && train && !skv_share_chooses(&s->o))
        skv_note(s->ctx, "the data set is not used: there is no fine-tuning");
    SKV_TRY(skive_graph_copy(s->ctx, graph, &s->work));
    SKV_TRY(skv_pass_turn_parameters(s->work, NULL));
    SKV_TRY(find_layers(s));
    SKV_TRY(skv_share_choose_bits(s, train));
    SKV_TRY((s->o.hash > 0 ? skv_share_by_hash : skv_share_by_clusters)(s));
    SKV_TRY(skive_graph_infer(s->work));
    const skive_status status = tune(s, train, validation);
    const bool reached = status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && s->tuned);
    if (!reached) return status;
    for (size_t i = 0; i < s->report.n_layers; i++) s->report.bytes += s->report.layers[i].bytes;
    SKV_TRY(make_plain(s));
    return status;
}

/* The same on a copy, without training. */
static skive_status only_tell(skive_context *ctx, const skive_graph *graph, skive_dataset *train,
                              const skive_share_options *options, skive_share_report *report) {
    const skive_train_options none = skive_share_finetune_default();
    skive_share_options o = *options;
    skive_graph *copy = NULL;
    SKV_TRY(skive_graph_copy(ctx, graph, &copy));
    o.finetune = &none;
    o.dry_run = false;
    const skive_status status = skv_share_part(ctx, copy, skv_share_chooses(&o) ? train : NULL, NULL, &o, 1, report);
    skive_graph_free(copy);
    return status;
}

static skive_status check_choice(skive_context *ctx, const skive_share_options *o) {
    if (!skv_share_chooses(o)) return SKIVE_OK;
    const char *const of = o->bytes ? "bytes" : "max_drop";
    if (o->hash > 0)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, of,
                           "bits are chosen for indices of codebooks; hashing has no indices");
    if (o->one_codebook)
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, of,
                           "each layer gets bits of its own; one codebook for all layers has the same for all");
    return SKIVE_OK;
}

skive_status skv_share_part(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                            const skive_share_options *o, double reach, skive_share_report *report) {
    skv_sharing s = {.ctx = ctx, .o = *o, .reach = reach, .report.budget = NAN};
    skive_status status = skv_graph_check_finite(ctx, graph);
    if (status == SKIVE_OK) status = skv_graph_for_methods(graph);
    if (status == SKIVE_OK) status = share(&s, graph, train, validation);
    if (status == SKIVE_OK || (status == SKIVE_ERR_INTERRUPTED && s.tuned)) {
        skive_graph_take(graph, s.work);
        s.work = NULL;
        if (report) {
            *report = s.report;
            s.report = (skive_share_report){0};
        }
    }
    skv_free(ctx, s.layers);
    skive_graph_free(s.work);
    skive_share_report_free(ctx, &s.report);
    return status;
}

skive_status skive_share(skive_context *ctx, skive_graph *graph, skive_dataset *train, skive_dataset *validation,
                         const skive_share_options *options, skive_share_report *report) {
    SKV_NEED(ctx, "ctx, graph", ctx, graph);
    skive_share_options o = skive_share_options_default();
    skive_train_options finetune = skive_share_finetune_default();
    if (report) *report = (skive_share_report){0};
    SKV_TRY(skv_options_take(ctx, "skive_share_options", options, &o, sizeof o));
    SKV_TRY(skv_table_resolve(ctx, &skv_share_table, &o));
    SKV_TRY(check_choice(ctx, &o));
    SKV_TRY(skv_finetune_options_take(ctx, o.finetune, &finetune));
    o.finetune = &finetune;
    if (o.dry_run) return only_tell(ctx, graph, train, &o, report);
    if (o.max_drop >= 0) return skv_share_within(ctx, graph, train, validation, &o, report);
    return skv_share_part(ctx, graph, train, validation, &o, 1, report);
}
