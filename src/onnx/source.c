/* The source of a model: its bytes, its limits, and the memory that protobuf-c decodes into.
 *
 * protobuf-c allocates from an arena of the context, which is limited and freed at once, and sees only the checker's
 * copy. The entry points for reading are here too. */
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/magic.h"
#include "onnx/onnx.h"
#include "tensor/tensor.h"

skive_onnx_load_options skive_onnx_load_options_default(void) {
    return (skive_onnx_load_options){
        .size = sizeof(skive_onnx_load_options),
        .max_depth = 100,
        .max_nodes = 1000000,
        .max_tensor_bytes = (uint64_t)8 << 30,
        .max_memory = (size_t)1 << 30,
        .keep_unused = false,
    };
}

static void *pb_alloc(void *user, size_t size) {
    skv_onnx_source *source = user;
    void *piece;
    if (skv_arena_bytes(source->arena) > source->options.max_memory ||
        size > source->options.max_memory - skv_arena_bytes(source->arena)) {
        source->over_limit = true;
        return NULL;
    }
    source->no_memory = skv_arena_alloc(source->arena, size, &piece);
    return source->no_memory == SKIVE_OK ? piece : NULL;
}

static void pb_free(void *user, void *pointer) {
    (void)user;
    (void)pointer; /* goes with the arena */
}

static skive_status take_options(skive_context *ctx, const skive_onnx_load_options *given,
                                 skive_onnx_load_options *out) {
    *out = skive_onnx_load_options_default();
    SKV_TRY(skv_options_take(ctx, "skive_onnx_load_options", given, out, sizeof *out));
    if (out->max_depth < 1 || out->max_depth > 1000) {
        return skv_fail_at(ctx, SKIVE_ERR_ARGUMENT, "max_depth", "max_depth is %d: give 1 to 1000", out->max_depth);
    }
    return SKIVE_OK;
}

skive_status skv_onnx_source_open(skv_onnx_source *source, skv_onnx_root root, ProtobufCMessage **out) {
    skive_context *ctx = source->ctx;
    unsigned char *copy = NULL;
    size_t copy_n = 0;
    skv_onnx_limits limits = {source->options.max_depth, source->options.max_nodes, source->options.max_memory};
    skive_status status;
    *out = NULL;
    source->allocator = (ProtobufCAllocator){pb_alloc, pb_free, source};
    if (source->n == 0) return skv_fail_at(ctx, SKIVE_ERR_FORMAT, source->label, "the file is empty");
    if (skv_magic_begins(source->bytes, source->n)) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, source->label,
                           "this is a packed model (.skv), not ONNX; skive_model_load and skive_pack_load read it");
    }
    SKV_TRY(skv_arena_create(ctx, &source->arena));
    SKV_TRY(skv_onnx_check_wire(ctx, source->label, root, source->bytes, source->n, &limits, &copy, &copy_n));
    skive_context_clear(ctx); /* so that a message here means that a function below ran out of memory */
    *out = protobuf_c_message_unpack(root == SKV_ONNX_MODEL ? &onnx__model_proto__descriptor
                                                            : &onnx__tensor_proto__descriptor,
                                     &source->allocator, copy_n, copy);
    if (*out) {
        status = SKIVE_OK;
    } else if (source->over_limit) {
        status = skv_fail_at(ctx, SKIVE_ERR_LIMIT, source->label,
                             "decoding needs more than %zu bytes (option max_memory)", source->options.max_memory);
    } else if (skive_context_message(ctx)[0]) {
        status = source->no_memory;
    } else {
        status = skv_fail_at(ctx, SKIVE_ERR_FORMAT, source->label,
                             "not an ONNX file, or a damaged one: it cannot be decoded");
    }
    skv_free(ctx, copy);
    return status;
}

void skv_onnx_source_close(skv_onnx_source *source) {
    for (size_t i = 0; i < source->n_external; i++) skv_map_release(source->external[i].map);
    skv_free(source->ctx, source->external);
    skv_arena_free(source->arena);
}

static skive_status read_model(skv_onnx_source *source, skive_graph **out) {
    ProtobufCMessage *message;
    const skv_budget budget = skv_budget_begin(source->ctx, source->n);
    skive_status status = skv_onnx_source_open(source, SKV_ONNX_MODEL, &message);
    if (status == SKIVE_OK) status = skv_onnx_import(source, (Onnx__ModelProto *)(void *)message, out);
    for (size_t i = 0; status == SKIVE_OK && i < source->n_external; i++)
        (*out)->external_bytes += skv_map_size(source->external[i].map);
    skv_onnx_source_close(source);
    skv_budget_end(source->ctx, budget);
    if (status == SKIVE_OK) return SKIVE_OK;
    *out = NULL;
    char subject[128]; /* messages of an op's inference do not name the node; it is given separately */
    (void)snprintf(subject, sizeof subject, "%s", skive_context_subject(source->ctx));
    if (*subject && !strstr(skive_context_message(source->ctx), subject) && strcmp(subject, source->label) != 0) {
        (void)skv_fail_prefix(source->ctx, status, "%s", subject);
    }
    return skv_fail_prefix(source->ctx, status, "%s", source->label);
}

skive_status skive_onnx_load(skive_context *ctx, const char *path, const skive_onnx_load_options *options,
                             skive_graph **out) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    skv_onnx_source source = {.ctx = ctx, .label = path, .path = path};
    char *folder = NULL;
    *out = NULL;
    SKV_TRY(take_options(ctx, options, &source.options));
    SKV_TRY(skv_map_open(ctx, path, &source.map));
    source.bytes = skv_map_data(source.map);
    source.n = skv_map_size(source.map);
    const char *slash = strrchr(path, '/');
    skive_status status =
        slash ? skv_strdup_n(ctx, path, (size_t)(slash - path) + 1, &folder) : skv_strdup(ctx, ".", &folder);
    source.base_dir = folder;
    if (status == SKIVE_OK) status = read_model(&source, out);
    skv_free(ctx, folder);
    skv_map_release(source.map);
    return status;
}

skive_status skive_onnx_parse(skive_context *ctx, const void *bytes, size_t n, const char *base_dir,
                              const skive_onnx_load_options *options, skive_graph **out) {
    SKV_NEED(ctx, "ctx, bytes, out", ctx, bytes || !n, out);
    skv_onnx_source source = {.ctx = ctx, .label = "model", .bytes = bytes, .n = n, .base_dir = base_dir};
    *out = NULL;
    SKV_TRY(take_options(ctx, options, &source.options));
    return read_model(&source, out);
}

skive_status skive_onnx_load_tensor(skive_context *ctx, const char *path, skive_tensor *out) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    skv_onnx_source source = {.ctx = ctx, .label = path, .options = skive_onnx_load_options_default()};
    ProtobufCMessage *message;
    skv_storage *storage = NULL;
    skive_status status;
    memset(out, 0, sizeof *out);
    SKV_TRY(skv_map_open(ctx, path, &source.map));
    source.bytes = skv_map_data(source.map);
    source.n = skv_map_size(source.map);
    SKV_GO(status, done, skv_onnx_source_open(&source, SKV_ONNX_TENSOR, &message));
    const Onnx__TensorProto *tensor = (const Onnx__TensorProto *)(const void *)message;
    if (!skv_onnx_dtype_known(tensor->data_type)) {
        status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, path, "a tensor of %s is not supported",
                             skv_onnx_dtype_text(tensor->data_type));
        goto done;
    }
    SKV_GO(status, done, skv_onnx_storage(&source, "tensor", skv_onnx_text(tensor->name), tensor, &storage));
    status = skive_tensor_copy(ctx, &storage->tensor, out);
done:
    skv_storage_release(storage);
    skv_onnx_source_close(&source);
    skv_map_release(source.map);
    return status == SKIVE_OK ? SKIVE_OK : skv_fail_prefix(ctx, status, "%s", path);
}
