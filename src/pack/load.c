/* Reading a packed model, one parameter after another. */
#include <string.h>

#include "base/budget.h"
#include "pack/file.h"
#include "tensor/tensor.h"

skive_pack_load_options skive_pack_load_options_default(void) {
    return (skive_pack_load_options){.size = sizeof(skive_pack_load_options),
                                     .max_depth = 32,
                                     .max_nodes = 1000000,
                                     .max_tensor_bytes = UINT64_C(8) << 30,
                                     .max_memory = (size_t)1 << 30};
}

typedef struct loading {
    skive_context *ctx;
    skive_pack_load_options o;
    bool counts; /* non-zeros, for a report */
    skv_reader params;
    skv_storage **storages; /* one reference each, so that a later parameter may share the storage */
    skive_pack_row *rows;
    const skive_value **values; /* whose row it is */
    size_t n, capacity;
} loading;

static skive_status reserve(loading *l) {
    if (l->n < l->capacity) return SKIVE_OK;
    const size_t larger = l->capacity ? l->capacity * 2 : 32;
    SKV_TRY(skv_grow(l->ctx, &l->storages, l->capacity, larger, sizeof(skv_storage *)));
    SKV_TRY(skv_grow(l->ctx, &l->values, l->capacity, larger, sizeof *l->values));
    SKV_TRY(skv_grow(l->ctx, &l->rows, l->capacity, larger, sizeof *l->rows));
    l->capacity = larger;
    return SKIVE_OK;
}

static void fill_row(skive_pack_row *row, const skv_record *r, size_t bytes) {
    const skv_coded *c = &r->coded;
    *row = (skive_pack_row){.form = c->form->name,
                            .coder = r->sizes.coder ? r->sizes.coder->name : "raw",
                            .rank = c->rank,
                            .dtype = c->dtype,
                            .count = skv_coded_count(c),
                            .bytes = bytes,
                            .values = r->sizes.values,
                            .positions = r->sizes.positions,
                            .together = r->sizes.together,
                            .table = r->sizes.table};
    memcpy(row->dims, c->dims, sizeof row->dims);
}

static skive_status next_storage(loading *l, unsigned *marks, skv_storage **out) {
    const uint8_t *const start = l->params.at;
    skv_record record;
    SKV_TRY(skv_record_read(l->ctx, &l->params, l->o.max_tensor_bytes, &record));
    *marks = record.marks;
    if (record.is_alias) {
        if (record.alias_of >= l->n)
            return SKV_FAIL(l->ctx, SKIVE_ERR_FORMAT, "it refers to a parameter that does not exist");
        *out = skv_storage_retain(l->storages[record.alias_of]);
        l->rows[l->n] = (skive_pack_row){.form = "tied", .coder = "raw", .dtype = (*out)->tensor.dtype};
        l->rows[l->n].bytes = (size_t)(l->params.at - start);
        return SKIVE_OK;
    }
    fill_row(&l->rows[l->n], &record, (size_t)(l->params.at - start));
    const skive_status status = skv_record_to_storage(l->ctx, &record, l->o.keep_coded, out);
    if (status == SKIVE_OK && l->counts) {
        const skv_storage *s = *out;
        l->rows[l->n].nonzeros = s->coded ? skv_coded_nonzeros(s->coded) : skv_count_nonzeros(&s->tensor);
    }
    skv_coded_free(l->ctx, &record.coded);
    return status;
}

static skive_status next_param(void *user, skive_graph *g, const char *name, skive_value **out) {
    loading *l = user;
    skv_storage *storage = NULL;
    unsigned marks = 0;
    SKV_TRY(reserve(l));
    skive_status status = next_storage(l, &marks, &storage);
    if (status != SKIVE_OK) return skv_fail_prefix(l->ctx, status, "parameter %zu", l->n + 1);
    skv_storage_retain(storage);
    status = skv_graph_new_param(g, name, storage, out);
    if (status != SKIVE_OK) {
        skv_storage_release(storage);
        skv_storage_release(storage);
        return status;
    }
    (*out)->trainable = (marks & SKV_RECORD_TRAINABLE) != 0;
    (*out)->keeps_zeros = (marks & SKV_RECORD_KEEPS_ZEROS) != 0;
    l->values[l->n] = *out;
    l->storages[l->n++] = storage;
    return SKIVE_OK;
}

static skive_status read_meta(loading *l, skv_reader *in, skive_graph *g) {
    uint8_t *bytes;
    size_t n;
    SKV_TRY(skv_inflate(l->ctx, in, l->o.max_memory, &bytes, &n));
    skv_reader r = skv_read_from(bytes, n);
    skive_status status = SKIVE_OK;
    const uint64_t count = skv_read_varint(&r);
    for (uint64_t i = 0; i < count && status == SKIVE_OK && !r.failed; i++) {
        char *pair[2] = {NULL, NULL};
        for (int k = 0; k < 2 && status == SKIVE_OK; k++) {
            const uint64_t length = skv_read_varint(&r);
            const uint8_t *text = length <= skv_read_left(&r) ? skv_read_bytes(&r, (size_t)length) : NULL;
            if (!text)
                status = SKV_FAIL(l->ctx, SKIVE_ERR_FORMAT, "the metadata are truncated");
            else
                status = skv_strdup_n(l->ctx, (const char *)text, (size_t)length, &pair[k]);
        }
        if (status == SKIVE_OK) status = skive_graph_set_meta(g, pair[0], pair[1]);
        skv_free(l->ctx, pair[0]);
        skv_free(l->ctx, pair[1]);
    }
    if (status == SKIVE_OK && (r.failed || r.at != r.end))
        status = SKV_FAIL(l->ctx, SKIVE_ERR_FORMAT, "the metadata are damaged");
    skv_free(l->ctx, bytes);
    return status;
}

static skv_section *find(skv_section *sections, size_t n, unsigned kind) {
    for (size_t i = 0; i < n; i++) {
        if (sections[i].kind == kind) return &sections[i];
    }
    return NULL;
}

static skive_status read_graph(loading *l, skv_section *sections, size_t n, skive_graph **out) {
    skv_section *graph = find(sections, n, SKV_SECTION_GRAPH), *params = find(sections, n, SKV_SECTION_PARAMS),
                *meta = find(sections, n, SKV_SECTION_META), *names = find(sections, n, SKV_SECTION_NAMES);
    uint8_t *graph_bytes = NULL, *names_bytes = NULL;
    size_t n_graph = 0, n_names = 0;
    skive_graph *g = NULL;
    skive_status status;
    if (!graph) return SKV_FAIL(l->ctx, SKIVE_ERR_FORMAT, "the file contains no graph");
    if (params) l->params = params->in;
    SKV_GO(status, done, skv_inflate(l->ctx, &graph->in, l->o.max_memory, &graph_bytes, &n_graph));
    if (names) SKV_GO(status, done, skv_inflate(l->ctx, &names->in, l->o.max_memory, &names_bytes, &n_names));
    skv_reader graph_in = skv_read_from(graph_bytes, n_graph), names_in = skv_read_from(names_bytes, n_names);
    const skv_param_source source = {next_param, l};
    SKV_GO(status, done, skv_graph_read(l->ctx, &graph_in, names ? &names_in : NULL, &l->o, &source, &g));
    if (l->params.at != l->params.end) {
        status = SKV_FAIL(l->ctx, SKIVE_ERR_FORMAT, "there are more parameters than the graph has");
        goto done;
    }
    if (meta) SKV_GO(status, done, read_meta(l, &meta->in, g));
    *out = g;
    g = NULL;
done:
    skive_graph_free(g);
    skv_free(l->ctx, graph_bytes);
    skv_free(l->ctx, names_bytes);
    return status;
}

static size_t bytes_of(skv_section *sections, size_t n, unsigned kind) {
    const skv_section *s = find(sections, n, kind);
    return s ? (size_t)(s->in.end - s->in.at) : 0;
}

static skive_status fill_report(loading *l, skive_pack_report *report) {
    for (size_t i = 0; i < l->n; i++) {
        const bool named = report->names > 0;
        SKV_TRY(skv_strdup(l->ctx, named ? l->values[i]->name : "", &l->rows[i].parameter));
        report->n_rows = i + 1;
        l->rows[i].weights = skv_pack_is_weight(l->values[i]);
        skv_report_add(report, &l->rows[i]);
    }
    report->rows = l->rows;
    l->rows = NULL;
    return SKIVE_OK;
}

static skive_status parse(skive_context *ctx, const void *bytes, size_t n, const skive_pack_load_options *options,
                          skive_graph **out, skive_pack_report *report) {
    loading l = {.ctx = ctx, .counts = report != NULL, .o = skive_pack_load_options_default()};
    skv_section sections[SKV_SECTIONS_MAX];
    size_t n_sections = 0;
    skive_pack_report r = {.file_bytes = n};
    *out = NULL;
    SKV_TRY(skv_options_take(ctx, "skive_pack_load_options", options, &l.o, sizeof l.o));
    skive_status status = skv_frame_read(ctx, bytes, n, sections, &n_sections, &r.frame);
    if (status == SKIVE_OK) {
        r.graph = bytes_of(sections, n_sections, SKV_SECTION_GRAPH);
        r.meta = bytes_of(sections, n_sections, SKV_SECTION_META);
        r.names = bytes_of(sections, n_sections, SKV_SECTION_NAMES);
        status = read_graph(&l, sections, n_sections, out);
    }
    if (status == SKIVE_OK && report) {
        status = fill_report(&l, &r);
        if (status == SKIVE_OK) {
            *report = r;
        } else {
            r.rows = l.rows;
            l.rows = NULL;
            skive_pack_report_free(ctx, &r);
            skive_graph_free(*out);
            *out = NULL;
        }
    }
    for (size_t i = 0; i < l.n; i++) skv_storage_release(l.storages[i]);
    skv_free(ctx, l.storages);
    skv_free(ctx, l.values);
    skv_free(ctx, l.rows);
    return status;
}

skive_status skive_pack_parse(skive_context *ctx, const void *bytes, size_t n, const skive_pack_load_options *options,
                              skive_graph **out, skive_pack_report *report) {
    SKV_NEED(ctx, "ctx, bytes, out", ctx, bytes || !n, out);
    if (report) *report = (skive_pack_report){0};
    const skv_budget budget = skv_budget_begin(ctx, n);
    const skive_status status = parse(ctx, bytes, n, options, out, report);
    skv_budget_end(ctx, budget);
    return status;
}

skive_status skive_pack_load(skive_context *ctx, const char *path, const skive_pack_load_options *options,
                             skive_graph **out, skive_pack_report *report) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    skv_map *map = NULL;
    *out = NULL;
    if (report) *report = (skive_pack_report){0};
    SKV_TRY(skv_map_open(ctx, path, &map));
    skive_status status = skive_pack_parse(ctx, skv_map_data(map), skv_map_size(map), options, out, report);
    if (status != SKIVE_OK) status = skv_fail_prefix(ctx, status, "%s", path);
    skv_map_release(map);
    return status;
}
