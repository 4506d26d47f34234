/* External data: weights in files beside the model.
 *
 * A location is a relative path that must stay below the model's folder, with symbolic links resolved: a model must not
 * be able to read other files of its user. Download caches keep files in one store and link to them: if the model
 * itself is such a link, its data may be below the folder of the link's target. Offset and length are checked against
 * the file's size. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "onnx/onnx.h"

static bool parse_u64(const char *text, uint64_t *out) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end) return false;
    *out = value;
    return true;
}

/* No absolute path, and no "..". */
static bool stays_below(const char *location) {
    if (!*location || *location == '/' || strchr(location, '\\')) return false;
    for (const char *part = location; part;) {
        const char *slash = strchr(part, '/');
        size_t length = slash ? (size_t)(slash - part) : strlen(part);
        if (length == 2 && part[0] == '.' && part[1] == '.') return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

static bool is_below(const char *real, const char *folder, size_t length) {
    return strncmp(real, folder, length) == 0 && (length <= 1 || real[length] == '/');
}

/* Is the resolved path `real` below the folder of the model's file, with links resolved? */
static bool beside_model(const skv_onnx_source *source, const char *real) {
    char *model = source->path ? realpath(source->path, NULL) : NULL;
    const char *slash = model ? strrchr(model, '/') : NULL;
    const bool beside = slash && is_below(real, model, slash == model ? 1 : (size_t)(slash - model));
    free(model);
    return beside;
}

static skive_status open_map(skv_onnx_source *source, const char *name, const char *location, skv_map **out) {
    skive_context *ctx = source->ctx;
    char *joined = NULL, *folder = NULL, *real = NULL, reason[128]; /* folder and real are allocated by the C library */
    skive_status status;
    for (size_t i = 0; i < source->n_external; i++) {
        if (strcmp(source->external[i].location, location) == 0) {
            *out = source->external[i].map;
            return SKIVE_OK;
        }
    }
    if (!stays_below(location)) {
        return skv_fail_at(
            ctx, SKIVE_ERR_FORMAT, name,
            "initializer %s: external data at \"%s\": the path must be relative and stay in the model's folder", name,
            location);
    }
    if (source->n_external == source->external_capacity) {
        size_t larger = source->external_capacity ? source->external_capacity * 2 : 4;
        SKV_TRY(skv_grow(ctx, &source->external, source->external_capacity, larger, sizeof *source->external));
        source->external_capacity = larger;
    }
    SKV_TRY(skv_asprintf(ctx, &joined, "%s/%s", source->base_dir, location));
    folder = realpath(source->base_dir, NULL);
    real = realpath(joined, NULL);
    if (!folder || !real) {
        status = skv_fail_at(ctx, SKIVE_ERR_IO, name, "initializer %s: cannot open its external data %s: %s", name,
                             joined, skv_errno_text(errno, reason, sizeof reason));
        goto done;
    }
    if (!is_below(real, folder, strlen(folder)) && !beside_model(source, real)) {
        status = skv_fail_at(ctx, SKIVE_ERR_FORMAT, name,
                             "initializer %s: external data at \"%s\" is a link that leaves the model's folder", name,
                             location);
        goto done;
    }
    status = skv_map_open(ctx, real, out);
    if (status != SKIVE_OK) {
        status = skv_fail_prefix(ctx, status, "initializer %s: external data at \"%s\"", name, location);
        goto done;
    }
    skv_budget_add(ctx, skv_map_size(*out));
    source->external[source->n_external++] = (skv_onnx_external){location, *out};
done:
    free(folder);
    free(real);
    skv_free(ctx, joined);
    return status;
}

skive_status skv_onnx_external_find(skv_onnx_source *source, const char *name, const Onnx__TensorProto *tensor,
                                    size_t bytes, skv_map **map, size_t *offset) {
    skive_context *ctx = source->ctx;
    const char *location = NULL;
    uint64_t at = 0, length = bytes;
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = skv_onnx_text(tensor->external_data[i]->key);
        const char *value = skv_onnx_text(tensor->external_data[i]->value);
        bool good = true;
        if (strcmp(key, "location") == 0)
            location = value;
        else if (strcmp(key, "offset") == 0)
            good = parse_u64(value, &at);
        else if (strcmp(key, "length") == 0)
            good = parse_u64(value, &length);
        if (!good) {
            return skv_fail_at(ctx, SKIVE_ERR_FORMAT, name, "initializer %s: external data: %s \"%s\" is not a number",
                               name, key, value);
        }
    }
    if (!location)
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, name, "initializer %s: its external data has no location", name);
    if (!source->base_dir) {
        return skv_fail_at(ctx, SKIVE_ERR_IO, name,
                           "initializer %s: its data is in the file %s, but no folder was given", name, location);
    }
    if (length != bytes) {
        return skv_fail_at(ctx, SKIVE_ERR_FORMAT, name,
                           "initializer %s: its shape needs %zu bytes, but its external data has %llu", name, bytes,
                           (unsigned long long)length);
    }
    SKV_TRY(open_map(source, name, location, map));
    size_t size = skv_map_size(*map);
    if (at > size || length > size - at) {
        return skv_fail_at(
            ctx, SKIVE_ERR_FORMAT, name,
            "initializer %s: external data at byte %llu with %zu bytes extends beyond the end of %s (%zu bytes)", name,
            (unsigned long long)at, bytes, location, size);
    }
    *offset = (size_t)at;
    return SKIVE_OK;
}
