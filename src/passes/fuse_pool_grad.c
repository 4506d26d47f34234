/* The gradient of a first convolution's weight through MaxPool: MaxPoolGrad and ConvGradWeight become one node, and
 * MaxPool stores the positions of its elements. The gradient of the convolution's result, three quarters of which would
 * be zeros, is never written, and the result is not read again. */
#include <string.h>

#include "ops/pool/common_pool_place.h"
#include "ops/common_shape.h"
#include "passes/fuse.h"

enum { MAX_CHANNELS = 4, MAX_WINDOW = 8 };

static bool all_are(const skive_node *n, const char *name, int64_t value) {
    size_t count = 0;
    const int64_t *list = skv_attr_ints(n, name, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i] != value) return false;
    return true;
}

static bool no_auto_pad(const skive_node *n) { return strcmp(skv_attr_string(n, "auto_pad", "NOTSET"), "NOTSET") == 0; }

static bool f32_image(const skive_value *v) {
    return v && v->type.dtype == SKIVE_F32 && v->type.rank == 4 && skv_type_is_static(&v->type);
}

/* Step 1, no padding, few channels, a window that fits eight lanes. */
static bool plain_convolution(const skive_node *n) {
    const skive_value *x = n->inputs[1], *w = n->inputs[2];
    return f32_image(x) && f32_image(w) && w->type.dims[1].size <= MAX_CHANNELS && w->type.dims[2].size <= MAX_WINDOW &&
           w->type.dims[3].size <= MAX_WINDOW && skv_attr_int(n, "group", 1) == 1 && all_are(n, "strides", 1) &&
           all_are(n, "dilations", 1) && all_are(n, "pads", 0) && no_auto_pad(n);
}

/* Windows that do not overlap. */
static const int64_t *plain_pool(const skive_node *n) {
    size_t kernels = 0, strides = 0;
    const int64_t *kernel = skv_attr_ints(n, "kernel_shape", &kernels), *stride = skv_attr_ints(n, "strides", &strides);
    if (kernels != 2 || strides != 2 || kernel[0] != stride[0] || kernel[1] != stride[1] || !all_are(n, "pads", 0) ||
        kernel[0] * kernel[1] >= SKV_PLACE_NONE || !all_are(n, "dilations", 1) || skv_attr_int(n, "ceil_mode", 0) ||
        !no_auto_pad(n) || !f32_image(n->inputs[1]))
        return NULL;
    return kernel;
}

/* The MaxPool of the gradient `grad`, if it can store the positions of its elements: its Indices are unused, and only
 * these two use Y. */
static skive_node *pool_of(const skv_pass_env *env, const skive_node *grad) {
    const skive_value *y = grad->inputs[1], *p = grad->inputs[2];
    skive_node *pool = p ? p->producer : NULL;
    if (!pool || !skv_node_is(pool, SKV_OP_MAX_POOL) || *pool->domain || pool->inputs[0] != y) return NULL;
    if (pool->n_outputs > 1 && pool->outputs[1] && (pool->outputs[1]->n_uses || skv_pass_keeps(env, pool->outputs[1])))
        return NULL;
    return pool;
}

/* MaxPool becomes MaxPoolPlace, and then the two gradients one. */
static skive_status fuse(skive_graph *g, skive_node *pool, skive_node *pool_grad, skive_node *grad,
                         const int64_t *window) {
    const skv_attr_init attrs[] = {SKV_INTS("pool_shape", window, 2)};
    skv_builder b = skv_build(g);
    skive_value *out[2] = {NULL};
    if (!skv_emit_n(&b, "MaxPoolPlace", SKV_IN(pool->inputs[0]), (skv_attr_list){attrs, 1}, out, 2)) return b.status;
    skive_value *const in[4] = {pool_grad->inputs[0], out[1], grad->inputs[1], grad->inputs[2]};
    const skv_fusion f = {.chain = (skive_node *const[]){pool_grad, grad},
                          .n_chain = 2,
                          .named = grad,
                          .op = "ConvPoolGradWeight",
                          .domain = SKV_DOMAIN,
                          .inputs = in,
                          .n_inputs = 4,
                          .old = grad->outputs,
                          .n_old = grad->n_outputs,
                          .attrs = attrs,
                          .n_attrs = 1};
    SKV_TRY(skv_fuse(g, &f));
    return skv_import_replace(pool, out[0]);
}

static skive_status run(const skv_pass_env *env, skive_graph *g, size_t *changes) {
    skive_node **order = NULL;
    const uint32_t n = g->n_nodes;
    SKV_TRY(skv_graph_topo(g, &order));
    skive_status status = SKIVE_OK;
    for (uint32_t i = n; i-- > 0 && status == SKIVE_OK;) { /* a gradient comes after its operator */
        skive_node *grad = order[i];
        if (!skv_node_is(grad, SKV_OP_CONV_GRAD_WEIGHT) || !grad->inputs[0] || !plain_convolution(grad)) continue;
        skive_node *pool_grad = grad->inputs[0]->producer;
        if (!pool_grad || !skv_node_is(pool_grad, SKV_OP_MAX_POOL_GRAD) ||
            skv_only_reader(env, pool_grad->outputs[0]) != grad)
            continue;
        const int64_t *window = plain_pool(pool_grad);
        skive_node *pool = pool_of(env, pool_grad);
        if (!window || !pool) continue;
        status = fuse(g, pool, pool_grad, grad, window);
        ++*changes;
    }
    skv_free(env->ctx, order);
    return status;
}

const skv_pass skv_pass_fuse_pool_grad = {
    .name = "fuse-pool-grad",
    .brief = "computes the weight gradient of a first convolution directly through MaxPool",
    .when = SKV_PASS_TRAINING,
    .run = run,
};
