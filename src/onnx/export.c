/* Writing a model: the message is packed directly into the file, without copying the weights. A model that would exceed
 * the size limit of ONNX files has its weights in a second file beside it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx/export.h"

#define MAX_IN_ONE     ((size_t)INT32_MAX) /* protobuf's limit */
#define EXTERNAL_LEAST 1024                /* smaller weights (in bytes) stay in the model */
#define EXTERNAL_ALIGN 64

skive_onnx_save_options skive_onnx_save_options_default(void) {
    return (skive_onnx_save_options){
        .size = sizeof(skive_onnx_save_options), .opset = 0, .external_threshold = UINT64_C(1900000000)};
}

/* ---- protobuf-c's buffer over a writer ---- */

typedef struct sink {
    ProtobufCBuffer base;
    skv_writer *writer;
    skive_status status; /* sticky: protobuf-c ignores errors */
} sink;

static void sink_append(ProtobufCBuffer *buffer, size_t n, const uint8_t *bytes) {
    sink *s = (sink *)(void *)buffer;
    if (s->status == SKIVE_OK && n) s->status = skv_writer_write(s->writer, bytes, n);
}

static skive_status write_message(const skv_onnx_build *b, skv_writer *writer) {
    sink s = {{sink_append}, writer, SKIVE_OK};
    (void)protobuf_c_message_pack_to_buffer(&b->model->base, &s.base);
    return s.status;
}

/* ---- external data ---- */

static skive_status add_entry(skv_onnx_build *b, Onnx__TensorProto *t, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry;
    const char *key_copy, *value_copy;
    SKV_TRY(skv_arena_alloc(b->arena, sizeof *entry, &entry));
    onnx__string_string_entry_proto__init(entry);
    SKV_TRY(skv_arena_strdup(b->arena, key, &key_copy));
    SKV_TRY(skv_arena_strdup(b->arena, value, &value_copy));
    memcpy(&entry->key, &key_copy, sizeof key_copy);
    memcpy(&entry->value, &value_copy, sizeof value_copy);
    t->external_data[t->n_external_data++] = entry;
    return SKIVE_OK;
}

/* Assigns every large weight an offset in the second file. */
static skive_status move_weights(skv_onnx_build *b, const char *location) {
    uint64_t at = 0;
    for (size_t i = 0; i < b->n_weights; i++) {
        skv_onnx_weight *w = &b->weights[i];
        Onnx__TensorProto *t = w->proto;
        char number[24];
        if (t->raw_data.len < EXTERNAL_LEAST) continue;
        w->offset = at;
        SKV_TRY(skv_arena_array(b->arena, 3, sizeof *t->external_data, &t->external_data));
        SKV_TRY(add_entry(b, t, "location", location));
        (void)snprintf(number, sizeof number, "%" PRIu64, at);
        SKV_TRY(add_entry(b, t, "offset", number));
        (void)snprintf(number, sizeof number, "%zu", t->raw_data.len);
        SKV_TRY(add_entry(b, t, "length", number));
        t->has_data_location = 1;
        t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
        at = (at + t->raw_data.len + EXTERNAL_ALIGN - 1) / EXTERNAL_ALIGN * EXTERNAL_ALIGN;
        t->has_raw_data = 0;
        t->raw_data.len = 0;
    }
    return SKIVE_OK;
}

static skive_status write_weights(const skv_onnx_build *b, skv_writer *writer) {
    static const unsigned char zeros[EXTERNAL_ALIGN] = {0};
    uint64_t at = 0;
    for (size_t i = 0; i < b->n_weights; i++) {
        const skv_onnx_weight *w = &b->weights[i];
        if (!w->proto->has_data_location) continue;
        SKV_TRY(skv_writer_write(writer, zeros, (size_t)(w->offset - at)));
        SKV_TRY(skv_writer_write(writer, w->tensor->data, skive_tensor_bytes(w->tensor)));
        at = w->offset + skive_tensor_bytes(w->tensor);
    }
    return SKIVE_OK;
}

/* ---- entry points ---- */

static skive_status save_built(skv_onnx_build *b, const char *path, uint64_t threshold) {
    skive_context *ctx = b->ctx;
    char *data_path = NULL;
    skv_writer *data = NULL, *model = NULL;
    skive_status status = SKIVE_OK;
    if (protobuf_c_message_get_packed_size(&b->model->base) > threshold) {
        SKV_TRY(skv_asprintf(ctx, &data_path, "%s.data", path));
        const char *slash = strrchr(data_path, '/');
        SKV_GO(status, done, move_weights(b, slash ? slash + 1 : data_path));
        SKV_GO(status, done, skv_writer_open(ctx, data_path, &data));
        SKV_GO(status, done, write_weights(b, data));
    }
    if (protobuf_c_message_get_packed_size(&b->model->base) > MAX_IN_ONE) {
        status =
            skv_fail_at(ctx, SKIVE_ERR_LIMIT, path, "%s: the model is larger than an ONNX file can be (2 GB)", path);
        goto done;
    }
    SKV_GO(status, done, skv_writer_open(ctx, path, &model));
    SKV_GO(status, done, write_message(b, model));
    if (data) { /* the weights first, so that a model never exists without them */
        skv_writer *committing = data;
        data = NULL;
        SKV_GO(status, done, skv_writer_commit(committing));
    }
    skv_writer *committing = model;
    model = NULL;
    status = skv_writer_commit(committing);
done:
    skv_writer_abort(data);
    skv_writer_abort(model);
    skv_free(ctx, data_path);
    return status;
}

skive_status skive_onnx_save(skive_context *ctx, const skive_graph *graph, const char *path,
                             const skive_onnx_save_options *options) {
    SKV_NEED(ctx, "ctx, graph, path", ctx, graph, path);
    skive_onnx_save_options o = skive_onnx_save_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_onnx_save_options", options, &o, sizeof o));
    skv_onnx_build b = {.ctx = ctx};
    skive_status status = skv_onnx_build_model(&b, graph, o.opset);
    if (status == SKIVE_OK)
        status = save_built(&b, path, o.external_threshold);
    else
        (void)skv_fail_prefix(ctx, status, "%s", path);
    skv_onnx_build_free(&b);
    return status;
}

skive_status skive_onnx_serialize(skive_context *ctx, const skive_graph *graph, const skive_onnx_save_options *options,
                                  void **out, size_t *out_size) {
    SKV_NEED(ctx, "ctx, graph, out, out_size", ctx, graph, out, out_size);
    skive_onnx_save_options o = skive_onnx_save_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_onnx_save_options", options, &o, sizeof o));
    skv_onnx_build b = {.ctx = ctx};
    void *bytes = NULL;
    skive_status status;
    *out = NULL;
    *out_size = 0;
    SKV_GO(status, done, skv_onnx_build_model(&b, graph, o.opset));
    size_t size = protobuf_c_message_get_packed_size(&b.model->base);
    if (size > MAX_IN_ONE) {
        status =
            SKV_FAIL(ctx, SKIVE_ERR_LIMIT, "the model is larger than an ONNX file can be (2 GB); save it to a file");
        goto done;
    }
    SKV_GO(status, done, skv_alloc(ctx, size, &bytes));
    (void)protobuf_c_message_pack(&b.model->base, bytes);
    *out = bytes;
    *out_size = size;
done:
    skv_onnx_build_free(&b);
    return status;
}

void skive_onnx_free_bytes(skive_context *ctx, void *bytes) { skv_free(ctx, bytes); }
