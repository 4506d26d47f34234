/* Numbers in files have the same bytes on every processor: what is expected here is written out byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <skive/skive.h>

#include "base/base.h"
#include "base/endian.h"
#include "pack/bytes.h"
#include "support.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

static const unsigned char counting[8] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
/* As IEEE 754 has them, the lowest byte first. */
static const float three[3] = {1.0f, -2.5f, 0.1f};
static const unsigned char three_bytes[12] = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 0xcd, 0xcc, 0xcc, 0x3d};

static void single_numbers(void **state) {
    (void)state;
    unsigned char odd[9]; /* no address is aligned for all of them */
    memcpy(odd + 1, counting, sizeof counting);
    assert_int_equal(skv_load_le16(odd + 1), 0x2211);
    assert_int_equal(skv_load_le32(odd + 1), 0x44332211);
    assert_true(skv_load_le64(odd + 1) == 0x8877665544332211u);
    assert_int_equal(skv_load_be16(odd + 1), 0x1122);
    assert_int_equal(skv_load_be32(odd + 1), 0x11223344);
    memset(odd, 0, sizeof odd);
    skv_store_le16(odd + 1, 0x2211);
    assert_memory_equal(odd + 1, counting, 2);
    assert_int_equal(odd[3], 0);
    skv_store_le32(odd + 1, 0x44332211);
    assert_memory_equal(odd + 1, counting, 4);
    assert_int_equal(odd[5], 0);
    skv_store_le64(odd + 1, 0x8877665544332211u);
    assert_memory_equal(odd + 1, counting, 8);
}

static void elements_are_turned(void **state) {
    (void)state;
    unsigned char turned[8];
    static const unsigned char by_two[8] = {0x22, 0x11, 0x44, 0x33, 0x66, 0x55, 0x88, 0x77};
    static const unsigned char by_eight[8] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    memcpy(turned, counting, sizeof turned);
    skv_swap_elements(turned, sizeof turned, 1);
    assert_memory_equal(turned, counting, sizeof turned);
    skv_swap_elements(turned, sizeof turned, 2);
    assert_memory_equal(turned, by_two, sizeof turned);
    skv_swap_elements(turned, sizeof turned, 2);
    skv_swap_elements(turned, sizeof turned, 8);
    assert_memory_equal(turned, by_eight, sizeof turned);
    skv_swap_elements(NULL, 0, 4);

    float x[3];
    memcpy(x, three, sizeof x);
    skv_little_endian(x, sizeof x, sizeof x[0]);
    assert_memory_equal(x, three_bytes, sizeof x);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(((const unsigned char *)&three[1])[skv_byte_at(4, k)], three_bytes[4 + k]);
}

/* Numbers whose bytes tell them apart, more of them than the writer's buffers hold. */
static void files_are_little_endian(void **state) {
    (void)state;
    enum { N = 70001 };
    skive_context *ctx = skv_test_context();
    char dir[SKV_TEST_PATH], path[SKV_TEST_PATH];
    skv_test_make_dir(dir);
    skv_test_path(path, dir, "numbers");
    uint32_t *numbers = NULL;
    skv_test_ok(ctx, skv_alloc_array(ctx, N, sizeof *numbers, &numbers));
    for (uint32_t i = 0; i < N; i++) numbers[i] = i * 2654435761u;
    skv_writer *w = NULL;
    skv_test_ok(ctx, skv_writer_open(ctx, path, &w));
    skv_test_ok(ctx, skv_writer_write_elements(w, "abc", 3, 1));
    skv_test_ok(ctx, skv_writer_write_elements(w, numbers, N * sizeof *numbers, sizeof *numbers));
    skv_test_ok(ctx, skv_writer_commit(w));
    skv_map *map = NULL;
    skv_test_ok(ctx, skv_map_open(ctx, path, &map));
    assert_int_equal(skv_map_size(map), 3 + N * sizeof *numbers);
    const unsigned char *at = skv_map_data(map);
    assert_memory_equal(at, "abc", 3);
    skv_storage *mapped = NULL, *copied = NULL;
    const int64_t dims[1] = {N};
    skv_test_ok(ctx, skv_storage_map(ctx, SKIVE_U32, 1, dims, map, 3, &mapped));
    skv_test_ok(ctx, skv_storage_from_bytes(ctx, SKIVE_U32, 1, dims, at + 3, &copied));
    for (uint32_t i = 0; i < N; i++) {
        const unsigned char *b = at + 3 + 4 * (size_t)i;
        const uint32_t value = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        assert_int_equal(value, numbers[i]);
    }
    assert_memory_equal(mapped->tensor.data, numbers, N * sizeof *numbers);
    assert_memory_equal(copied->tensor.data, numbers, N * sizeof *numbers);
    skv_storage_release(mapped);
    skv_storage_release(copied);
    skv_map_release(map);

    skv_bytes packed = skv_bytes_to(ctx);
    skv_bytes_u8(&packed, 7);
    skv_bytes_elements(&packed, three, sizeof three, sizeof three[0]);
    skv_bytes_elements(&packed, three, 0, sizeof three[0]);
    skv_bytes_u32(&packed, 0x44332211);
    assert_int_equal(packed.status, SKIVE_OK);
    assert_int_equal(packed.n, 17);
    assert_memory_equal(packed.data + 1, three_bytes, sizeof three_bytes);
    assert_memory_equal(packed.data + 13, counting, 4);
    skv_bytes_free(&packed);
    skv_free(ctx, numbers);
    skv_test_remove_dir(dir);
    skv_test_context_end(ctx);
}

/* A parameter's elements in an ONNX file, and back. */
static void onnx_elements(void **state) {
    (void)state;
    skive_context *ctx = skv_test_context();
    skive_graph *g = NULL, *back = NULL;
    const int64_t dims[2] = {1, 3};
    const skive_type in = {.dtype = SKIVE_F32, .rank = 2, .dims = {{1, NULL}, {3, NULL}}};
    const skive_tensor numbers = skv_tensor_view(SKIVE_F32, 2, dims, three);
    skive_value *x = NULL, *p = NULL;
    skive_node *add = NULL;
    skv_test_ok(ctx, skive_graph_create(ctx, "g", &g));
    skv_test_ok(ctx, skive_graph_add_input(g, "x", &in, &x));
    skv_test_ok(ctx, skive_graph_add_parameter(g, "p", &numbers, &p));
    skive_value *const inputs[2] = {x, p};
    skv_test_ok(ctx, skive_graph_add_node(g, "Add", "add", inputs, 2, 1, &add));
    skv_test_ok(ctx, skive_graph_add_output(g, skive_node_output(add, 0)));
    skv_test_ok(ctx, skive_graph_infer(g));
    void *bytes = NULL;
    size_t n = 0;
    skv_test_ok(ctx, skive_onnx_serialize(ctx, g, NULL, &bytes, &n));
    assert_non_null(memmem(bytes, n, three_bytes, sizeof three_bytes));
    skv_test_ok(ctx, skive_onnx_parse(ctx, bytes, n, NULL, NULL, &back));
    const skive_value *read = skive_graph_find_value(back, "p");
    assert_memory_equal(skive_value_data(read)->data, three, sizeof three);
    skive_onnx_free_bytes(ctx, bytes);
    skive_graph_free(back);
    skive_graph_free(g);
    skv_test_context_end(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_numbers),
        cmocka_unit_test(elements_are_turned),
        cmocka_unit_test(files_are_little_endian),
        cmocka_unit_test(onnx_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
