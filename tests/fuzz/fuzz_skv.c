/* The reader of packed models. The checksums, which would stop nearly every change, are made right first, so that what
 * they guard is reached; what is accepted must pass the checker, be packed again, and be accepted from there. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <skive/pack.h>

#include "fuzz.h"
#include "pack/file.h"

/* Right checksums for whatever sections the table names; false where there is no table to be made right. */
static bool make_right(uint8_t *data, size_t size) {
    skv_reader in = skv_read_from(data, size);
    size_t lengths[SKV_SECTIONS_MAX], sums[SKV_SECTIONS_MAX];
    (void)skv_read_bytes(&in, 5);
    const unsigned n = skv_read_u8(&in);
    if (in.failed || n > SKV_SECTIONS_MAX) return false;
    for (unsigned i = 0; i < n; i++) {
        (void)skv_read_u8(&in);
        lengths[i] = (size_t)skv_read_varint(&in);
        sums[i] = (size_t)(in.at - data);
        (void)skv_read_u32(&in);
    }
    const size_t end = (size_t)(in.at - data);
    (void)skv_read_u32(&in);
    if (in.failed) return false;
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *section = lengths[i] <= skv_read_left(&in) ? skv_read_bytes(&in, lengths[i]) : NULL;
        if (!section) return false;
        const uint32_t sum = (uint32_t)crc32_z(0, section, lengths[i]);
        for (int k = 0; k < 4; k++) data[sums[i] + (size_t)k] = (uint8_t)(sum >> (8 * k));
    }
    const uint32_t sum = (uint32_t)crc32_z(0, data, end);
    for (int k = 0; k < 4; k++) data[end + (size_t)k] = (uint8_t)(sum >> (8 * k));
    return true;
}

static void pack_again(skive_context *ctx, const skive_graph *graph) {
    skive_graph *again = NULL;
    void *bytes = NULL;
    size_t n = 0;
    skive_status status = skive_pack_serialize(ctx, graph, NULL, &bytes, &n, NULL);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        status = skive_pack_parse(ctx, bytes, n, NULL, &again, NULL);
        fuzz_check_message(ctx, status);
        if (status != SKIVE_OK && status != SKIVE_ERR_MEMORY && status != SKIVE_ERR_LIMIT) abort();
    }
    skive_pack_free_bytes(ctx, bytes);
    skive_graph_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)256 << 20);
    skive_pack_load_options options = skive_pack_load_options_default();
    skive_pack_report report = {0};
    skive_graph *graph = NULL;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, data, size);
    options.max_tensor_bytes = 1 << 18; /* decoding a long row of nothing is slow, not wrong */
    if (size >= 4) memcpy(copy, "\x93SKV", 4);
    (void)make_right(copy, size);
    const skive_status status = skive_pack_parse(ctx, copy, size, &options, &graph, &report);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        fuzz_check_message(ctx, skive_graph_check(graph));
        if (size % 8 == 0) pack_again(ctx, graph); /* takes a hundred times as long as reading */
    }
    skive_pack_report_free(ctx, &report);
    skive_graph_free(graph);
    free(copy);
    fuzz_context_end(ctx);
    return 0;
}
