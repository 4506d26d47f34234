/* Writing a packed model. */
#include <math.h>
#include <string.h>

#include "graph/meta_keys.h"
#include "graph/shared.h"
#include "graph/unknown.h"
#include "graph/weights.h"
#include "pack/file.h"
#include "share/hashed/forms.h"
#include "tensor/grid.h"

static const skv_option options_of_packing[] = {
    {.name = "weights",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_pack_options, weights),
     .brief = "round the weights to f16, bf16, int8, int4, int2, ternary, binary, nf4, codebook:16 ..."},
    {.name = "biases",
     .type = SKV_OPTION_TEXT,
     SKV_FIELD(TEXT, skive_pack_options, biases),
     .brief = "the same for biases, scales and shifts"},
    {.name = "coder",
     .type = SKV_OPTION_CHOICE,
     .choices = skv_coder_name,
     SKV_FIELD(TEXT, skive_pack_options, coder),
     .brief = "one coder for all parameters (default: the smallest for each)"},
    {.name = "strip-names",
     .type = SKV_OPTION_SWITCH,
     SKV_FIELD(BOOL, skive_pack_options, strip_names),
     .brief = "do not store the names of values and nodes"},
};

const skv_table skv_pack_table = {"pack", options_of_packing, SKV_LENGTH(options_of_packing), NULL};

skive_pack_options skive_pack_options_default(void) { return (skive_pack_options){.size = sizeof(skive_pack_options)}; }

void skive_pack_report_free(skive_context *ctx, skive_pack_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->n_rows; i++) skv_free(ctx, report->rows[i].parameter);
    skv_free(ctx, report->rows);
    *report = (skive_pack_report){0};
}

typedef struct packing {
    skive_context *ctx;
    const skive_graph *g;
    skive_pack_options o;
    const skv_coder *coder;
    skv_param_list params;
    skv_section sections[4];
    skv_role *roles;             /* of the values of `roles_of`, by id */
    const skive_graph *roles_of; /* the model, or one of its subgraphs */
    size_t n_exact;              /* constants to which no form was applied */
    const char *exact;           /* the first */
    bool reports;                /* figures that only the report needs are computed */
    skive_pack_report report;
} packing;

/* ---- requested forms ---- */

/* A number grid whose numbers a storage form holds. */
static skive_status find_grid(skive_context *ctx, const char *text, skv_quantizer *q) {
    SKV_TRY(skv_quantizer_parse(ctx, text, q));
    if (q->grid->form) return SKIVE_OK;
    const skv_grid *other = q->grid->name[0] == 'u' ? skv_grid_find(q->grid->name + 1) : NULL;
    if (other && other->form)
        return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "number grid '%s' has no storage form; '%s' has one", q->grid->name,
                        other->name);
    return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "number grid '%s' has no storage form: choose another grid",
                    q->grid->name);
}

bool skv_pack_is_weight(const skive_value *v) {
    bool weight = v->type.rank > 1;
    for (uint32_t i = 0; !weight && i < v->n_uses; i++)
        weight = skv_node_is(v->uses[i].node, SKV_OP_HASHED_GEMM) && v->uses[i].index == 1;
    return weight;
}

static skive_status role_of(packing *p, const skive_value *v, skv_role *out) {
    if (p->roles_of != v->graph) {
        skv_free(p->ctx, p->roles);
        p->roles = NULL;
        p->roles_of = NULL;
        SKV_TRY(skv_graph_roles(p->ctx, v->graph, &p->roles));
        p->roles_of = v->graph;
    }
    *out = p->roles[v->id];
    return SKIVE_OK;
}

/* Weights and tables by one form, what shifts and scales channels by the other. Masks, bounds and other constants of
 * formulas stay as they are, unless one is named: rounded with a mask's -1e9 beside them, other numbers would vanish.
 * */
static skive_status form_wanted(packing *p, const skive_value *v, const char **out) {
    skv_role role;
    for (size_t i = 0; i < p->o.n_choices; i++) {
        if (strcmp(p->o.choices[i].parameter, v->name) != 0) continue;
        *out = p->o.choices[i].form;
        return SKIVE_OK;
    }
    *out = NULL;
    if (v->type.dtype != SKIVE_F32 || (!p->o.weights && !p->o.biases)) return SKIVE_OK;
    SKV_TRY(role_of(p, v, &role));
    if (skv_role_decays(role)) {
        *out = p->o.weights;
    } else if (skv_role_is_learned(role) || role == SKV_ROLE_STATISTIC) {
        *out = p->o.biases;
    } else if (skv_type_count(&v->type) > 1 && p->n_exact++ == 0) {
        p->exact = v->name;
    }
    return SKIVE_OK;
}

static void tell_exact(const packing *p) {
    if (p->n_exact)
        skv_note(p->ctx, "%zu constant%s stored exactly: '%s'%s; name one to round it", p->n_exact,
                 p->n_exact == 1 ? " is" : "s are", p->exact, p->n_exact == 1 ? "" : " ...");
}

static skive_status check_options(packing *p) {
    skv_quantizer q;
    if (p->o.coder && !(p->coder = skv_coder_find(p->o.coder)))
        return skv_fail_unknown(p->ctx, SKIVE_ERR_ARGUMENT, "coder", "coder", p->o.coder, skv_coder_name);
    if (p->o.weights) SKV_TRY(find_grid(p->ctx, p->o.weights, &q));
    if (p->o.biases) SKV_TRY(find_grid(p->ctx, p->o.biases, &q));
    for (size_t i = 0; i < p->o.n_choices; i++) {
        const skive_pack_choice *c = &p->o.choices[i];
        const skive_value *v = skive_graph_find_value(p->g, c->parameter);
        SKV_TRY(find_grid(p->ctx, c->form, &q));
        if (!v || !v->storage) return skv_fail_no_parameter(p->ctx, SKIVE_ERR_ARGUMENT, p->g, c->parameter);
        if (v->type.dtype != SKIVE_F32)
            return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, c->parameter, "parameter '%s' is %s, not float32",
                               c->parameter, skive_dtype_name(v->type.dtype));
    }
    return SKIVE_OK;
}

/* rms of the difference relative to the rms of the original. */
static double lost(const skive_tensor *was, const skive_tensor *is) {
    const float *a = was->data, *b = is->data;
    double error = 0, power = 0;
    for (int64_t i = 0; i < skive_tensor_count(was); i++) {
        const double d = (double)b[i] - (double)a[i];
        error += d * d;
        power += (double)a[i] * (double)a[i];
    }
    return power > 0 ? sqrt(error / power) : error > 0 ? INFINITY : 0;
}

/* Grids for numbers behind a Relu: every negative weight would become 0. */
static bool loses_negatives(const skv_quantizer *q, const skive_tensor *t) {
    if (q->grid->name[0] != 'u' || q->grid->uniform) return false;
    for (int64_t i = 0; i < skive_tensor_count(t); i++)
        if (((const float *)t->data)[i] < 0) return true;
    return false;
}

/* The parameter as it is written: itself, or a rounded copy, freed by the caller. */
static skive_status round_param(packing *p, const skive_value *v, skive_tensor *copy, double *error) {
    const char *wanted = NULL;
    skv_quantizer q;
    *error = 0;
    SKV_TRY(form_wanted(p, v, &wanted));
    if (v->storage->coded) SKV_TRY(skv_storage_inflate(p->ctx, v->storage, copy));
    if (!wanted || v->type.dtype != SKIVE_F32 || skive_tensor_count(&v->storage->tensor) < 1) return SKIVE_OK;
    SKV_TRY(find_grid(p->ctx, wanted, &q));
    skive_tensor rounded = {0};
    const skive_tensor *was = copy->data ? copy : &v->storage->tensor;
    if (loses_negatives(&q, was))
        return skv_fail_at(p->ctx, SKIVE_ERR_ARGUMENT, v->name,
                           "parameter '%s' has negative numbers, and the grid '%s' has none: choose %s", v->name,
                           q.grid->name, skv_grid_find(q.grid->name + 1) ? q.grid->name + 1 : "a signed grid");
    SKV_TRY(skive_tensor_copy(p->ctx, was, &rounded));
    const skive_status status = skv_quantizer_round(p->ctx, &q, &rounded);
    if (status != SKIVE_OK) {
        skive_tensor_free(p->ctx, &rounded);
        return skv_fail_prefix(p->ctx, status, "parameter '%s' as %s", v->name, wanted);
    }
    *error = lost(was, &rounded);
    skive_tensor_free(p->ctx, copy);
    *copy = rounded;
    return SKIVE_OK;
}

/* ---- records ---- */

int64_t skv_count_nonzeros(const skive_tensor *t) {
    const int64_t n = skive_tensor_count(t);
    int64_t nonzeros = 0;
    for (int64_t i = 0; i < n; i++) nonzeros += skv_load_f64(t->dtype, t->data, (size_t)i) != 0;
    return nonzeros;
}

void skv_report_add(skive_pack_report *r, const skive_pack_row *row) {
    r->parameters += row->count;
    r->nonzeros += row->nonzeros;
    if (!row->weights) {
        r->biases += row->bytes;
        return;
    }
    r->values += row->values;
    r->positions += row->positions;
    r->together += row->together;
    r->tables += row->table;
    r->heads += row->bytes - row->values - row->positions - row->together - row->table;
}

static void fill_row(skive_pack_row *row, const skive_tensor *t, const skv_form *form, const skv_record_sizes *s) {
    row->rank = t->rank;
    memcpy(row->dims, t->dims, sizeof row->dims);
    row->dtype = t->dtype;
    row->count = skive_tensor_count(t);
    row->form = form->name;
    row->coder = s->coder ? s->coder->name : "raw";
    row->values = s->values;
    row->positions = s->positions;
    row->together = s->together;
    row->table = s->table;
}

/* The earlier parameter with the same storage; n if there is none. */
static uint32_t alias_of(const packing *p, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (p->params.values[i]->storage == p->params.values[n]->storage) return i;
    }
    return n;
}

static skive_status write_param(packing *p, uint32_t i, skv_bytes *out) {
    const skive_value *v = p->params.values[i];
    skive_pack_row *row = &p->report.rows[i];
    skive_tensor copy = {0};
    const skv_form *form = NULL;
    skv_record_sizes sizes = {0};
    const size_t before = out->n;
    const uint32_t alias = alias_of(p, i);
    const unsigned marks = (v->trainable ? SKV_RECORD_TRAINABLE : 0u) | (v->keeps_zeros ? SKV_RECORD_KEEPS_ZEROS : 0u);
    SKV_TRY(skv_strdup(p->ctx, v->name, &row->parameter));
    p->report.n_rows++;
    if (alias < i) {
        skv_record_write_alias(out, alias, marks);
        *row = (skive_pack_row){.parameter = row->parameter, .form = "tied", .coder = "raw", .dtype = v->type.dtype};
        row->bytes = out->n - before;
        row->weights = skv_pack_is_weight(v);
        skv_report_add(&p->report, row);
        return out->status;
    }
    skive_status status = round_param(p, v, &copy, &row->error);
    const skive_tensor *t = copy.data ? &copy : &v->storage->tensor;
    if (status == SKIVE_OK) status = skv_record_write(p->ctx, t, marks, p->coder, out, &form, &sizes);
    double fixed = 0, huffman = 0;
    if (status == SKIVE_OK && p->reports) status = skv_han_bytes(p->ctx, t, &fixed, &huffman);
    if (status == SKIVE_OK) {
        p->report.han_fixed += fixed;
        p->report.han_huffman += huffman;
        fill_row(row, t, form, &sizes);
        if (p->reports) row->nonzeros = skv_count_nonzeros(t);
        row->bytes = out->n - before;
        row->weights = skv_pack_is_weight(v);
        skv_report_add(&p->report, row);
    }
    skive_tensor_free(p->ctx, &copy);
    return status;
}

static skive_status write_params(packing *p, skv_bytes *out) {
    skv_progress progress;
    SKV_TRY(skv_alloc_array(p->ctx, (size_t)p->params.n + 1, sizeof *p->report.rows, &p->report.rows));
    skv_progress_start(&progress, p->ctx, "pack", p->params.n);
    for (uint32_t i = 0; i < p->params.n; i++) {
        SKV_TRY(write_param(p, i, out));
        SKV_TRY(skv_progress_at(&progress, i + 1, "%s", p->params.values[i]->name));
    }
    return out->status;
}

/* The name that a reader generates for this output of a file without names. */
static const char *stripped_output(const skive_graph *g, const char *name, char buffer[SKV_OUTPUT_NAME]) {
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        if (strcmp(g->outputs[i]->name, name) != 0) continue;
        skv_nameless_output(i, g->n_outputs, buffer);
        return buffer;
    }
    return name;
}

static skive_status write_meta(packing *p, skv_bytes *out) {
    char name[SKV_OUTPUT_NAME];
    skv_bytes raw = skv_bytes_to(p->ctx);
    if (p->g->n_meta == 0) return SKIVE_OK;
    skv_bytes_varint(&raw, p->g->n_meta);
    for (uint32_t i = 0; i < p->g->n_meta; i++) {
        skv_bytes_text(&raw, p->g->meta[i].key, strlen(p->g->meta[i].key));
        const char *value = p->g->meta[i].value;
        if (p->o.strip_names && strcmp(p->g->meta[i].key, SKV_META_OUTPUT_NAME) == 0)
            value = stripped_output(p->g, value, name);
        skv_bytes_text(&raw, value, strlen(value));
    }
    const skive_status status = skv_deflate(p->ctx, &raw, out);
    skv_bytes_free(&raw);
    return status;
}

static skive_status write_sections(packing *p) {
    skv_bytes graph = skv_bytes_to(p->ctx), names = skv_bytes_to(p->ctx);
    skive_status status;
    SKV_GO(status, done, skv_graph_write(p->ctx, p->g, &graph, &names, &p->params));
    SKV_GO(status, done, skv_deflate(p->ctx, &graph, &p->sections[0].bytes));
    SKV_GO(status, done, write_meta(p, &p->sections[1].bytes));
    if (!p->o.strip_names) SKV_GO(status, done, skv_deflate(p->ctx, &names, &p->sections[2].bytes));
    SKV_GO(status, done, write_params(p, &p->sections[3].bytes));
    p->report.graph = p->sections[0].bytes.n;
    p->report.meta = p->sections[1].bytes.n;
    p->report.names = p->sections[2].bytes.n;
done:
    skv_bytes_free(&graph);
    skv_bytes_free(&names);
    return status;
}

/* The graph without the parts that only standard ONNX needs: indices that a hash computes, codebooks separate from
 * their weights. */
static skive_status compact(skive_context *ctx, const skive_graph *g, skive_graph **out) {
    SKV_TRY(skive_graph_copy(ctx, g, out));
    SKV_TRY(skv_graph_to_hashed(*out));
    SKV_TRY(skv_shared_inflate_all(*out));
    SKV_TRY(skive_graph_infer(*out));
    skv_graph_spread_types(*out); /* as a reader does */
    return SKIVE_OK;
}

static skive_status pack(skive_context *ctx, const skive_graph *g, const skive_pack_options *options, skv_bytes *out,
                         skive_pack_report *report) {
    static const unsigned kinds[] = {SKV_SECTION_GRAPH, SKV_SECTION_META, SKV_SECTION_NAMES, SKV_SECTION_PARAMS};
    packing p = {.ctx = ctx, .reports = report != NULL, .o = skive_pack_options_default(), .params = {.ctx = ctx}};
    SKV_TRY(skv_options_take(ctx, "skive_pack_options", options, &p.o, sizeof p.o));
    for (size_t i = 0; i < 4; i++) p.sections[i] = (skv_section){.kind = kinds[i], .bytes = skv_bytes_to(ctx)};
    skive_graph *own = NULL;
    skive_status status = compact(ctx, g, &own);
    p.g = own;
    if (status == SKIVE_OK) status = check_options(&p);
    if (status == SKIVE_OK) status = write_sections(&p);
    if (status == SKIVE_OK) tell_exact(&p);
    if (status == SKIVE_OK) status = skv_frame_write(ctx, p.sections, 4, out);
    p.report.file_bytes = p.report.frame = out->n;
    for (size_t i = 0; i < 4; i++) {
        p.report.frame -= status == SKIVE_OK ? p.sections[i].bytes.n : 0;
        skv_bytes_free(&p.sections[i].bytes);
    }
    skv_free(ctx, p.params.values);
    skv_free(ctx, p.roles);
    skive_graph_free(own);
    if (report && status == SKIVE_OK)
        *report = p.report;
    else
        skive_pack_report_free(ctx, &p.report);
    return status;
}

skive_status skive_pack_save(skive_context *ctx, const skive_graph *graph, const char *path,
                             const skive_pack_options *options, skive_pack_report *report) {
    SKV_NEED(ctx, "ctx, graph, path", ctx, graph, path);
    skv_bytes out = skv_bytes_to(ctx);
    if (report) *report = (skive_pack_report){0};
    skive_status status = pack(ctx, graph, options, &out, report);
    if (status == SKIVE_OK) status = skv_file_write(ctx, path, out.data, out.n);
    if (status != SKIVE_OK && report) skive_pack_report_free(ctx, report);
    skv_bytes_free(&out);
    return status;
}

skive_status skive_pack_serialize(skive_context *ctx, const skive_graph *graph, const skive_pack_options *options,
                                  void **out, size_t *out_size, skive_pack_report *report) {
    SKV_NEED(ctx, "ctx, graph, out, out_size", ctx, graph, out, out_size);
    skv_bytes bytes = skv_bytes_to(ctx);
    if (report) *report = (skive_pack_report){0};
    const skive_status status = pack(ctx, graph, options, &bytes, report);
    *out = NULL;
    *out_size = 0;
    if (status != SKIVE_OK) {
        skv_bytes_free(&bytes);
        return status;
    }
    *out = bytes.data;
    *out_size = bytes.n;
    return SKIVE_OK;
}

void skive_pack_free_bytes(skive_context *ctx, void *bytes) { skv_free(ctx, bytes); }
