/* See units.h. */
#include "train/units.h"

#include <string.h>

#include <skive/coupling.h>

#include "graph/weights.h"
#include "passes/pass.h"

static bool is_weight(const skv_param *p) { return p->adapts && skv_role_decays(p->role); }

skive_status skv_units_of_weights(skive_context *ctx, skv_trainer *t, skv_units *out) {
    const size_t count = skv_trainer_param_count(t);
    *out = (skv_units){.ctx = ctx};
    SKV_TRY(skv_alloc_array(ctx, count + 1, sizeof *out->start, &out->start));
    SKV_TRY(skv_alloc_array(ctx, count + 1, sizeof(skv_param *), &out->param));
    for (size_t i = 0; i < count; i++) {
        skv_param *p = skv_trainer_param(t, i);
        if (!is_weight(p)) continue;
        out->param[out->n_params++] = p;
        out->n += (size_t)p->n;
        out->start[out->n_params] = out->n;
    }
    return SKIVE_OK;
}

/* ---- channels ---- */

/* Does a normalisation follow at once, which takes any factor away again? */
static bool is_normalised(const skive_node *n) {
    const skive_value *y = n->n_outputs > 0 ? n->outputs[0] : NULL;
    if (!y || y->n_uses != 1 || y->uses[0].index != 0) return false;
    const skive_node *next = y->uses[0].node;
    for (uint32_t i = 1; i < next->n_inputs; i++)
        if (next->inputs[i] && skv_input_role(next, i) == SKV_ROLE_SCALE) return true;
    return false;
}

static bool makes(const skive_channel_slice *s) {
    for (uint32_t k = 0; k < s->value->n_uses; k++) {
        const skv_use *use = &s->value->uses[k];
        const skv_role role = skv_input_role(use->node, (size_t)use->index);
        skv_weight_view view;
        if (role == SKV_ROLE_SCALE || role == SKV_ROLE_SHIFT) return true;
        if (role == SKV_ROLE_BIAS) return !is_normalised(use->node);
        if (skv_role_decays(role) && skv_weight_view_of(use->node, (size_t)use->index, &view))
            return s->axis == view.out_axis && !is_normalised(use->node);
    }
    return s->value->type.rank == 1;
}

static skv_unit_slice slice_of(skv_param *p, const skive_channel_slice *s) {
    const skive_type *t = &p->value->type;
    skv_unit_slice out = {.param = p, .outer = 1, .inner = 1, .makes = makes(s)};
    for (int d = 0; d < s->axis; d++) out.outer *= t->dims[d].size;
    for (int d = s->axis + 1; d < t->rank; d++) out.inner *= t->dims[d].size;
    out.stride = out.inner * t->dims[s->axis].size;
    out.first = s->index * out.inner;
    return out;
}

/* The trained parameter of a slice; NULL: there is none. */
static skv_param *trained(skv_trainer *t, const skive_channel_slice *s) {
    skv_param *p = s->value->storage ? skv_trainer_find(t, s->value->name) : NULL;
    const skive_type *type = p ? &p->value->type : NULL;
    return type && s->axis < type->rank && s->index < type->dims[s->axis].size ? p : NULL;
}

static skive_status add_channel(skv_units *u, skv_trainer *t, const skive_coupling *k, size_t i, size_t *room) {
    const skive_channel_slice *at;
    size_t n, used = u->start[u->n];
    int family = 0;
    skive_coupling_get(k, i, &at, &n, &family);
    if (used + n > *room) {
        const size_t more = 2 * (used + n) + 64;
        SKV_TRY(skv_grow(u->ctx, &u->slices, *room, more, sizeof *u->slices));
        *room = more;
    }
    for (size_t s = 0; s < n; s++) {
        skv_param *p = trained(t, &at[s]);
        if (p) u->slices[used++] = slice_of(p, &at[s]);
    }
    if (used == u->start[u->n]) return SKIVE_OK;
    u->family[u->n++] = family;
    u->start[u->n] = used;
    if (family >= u->families) u->families = family + 1;
    return SKIVE_OK;
}

skive_status skv_units_of_channels(skive_context *ctx, skv_trainer *t, const skive_graph *model, skv_units *out) {
    skive_graph *g = NULL;
    skive_coupling *k = NULL;
    size_t room = 0;
    skive_status status;
    *out = (skv_units){.ctx = ctx, .channels = true};
    if (!model) return SKV_FAIL(ctx, SKIVE_ERR_ARGUMENT, "channels need the model in its own form");
    SKV_GO(status, done, skive_graph_copy(ctx, model, &g));
    SKV_GO(status, done, skv_pass_plain_channels(ctx, g));
    SKV_GO(status, done, skive_coupling_create(g, &k));
    const size_t n = skive_coupling_count(k);
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *out->start, &out->start));
    SKV_GO(status, done, skv_alloc_array(ctx, n + 1, sizeof *out->family, &out->family));
    for (size_t i = 0; i < n; i++) SKV_GO(status, done, add_channel(out, t, k, i, &room));
    if (out->n == 0)
        status = SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED,
                          "the model has no channel that could be removed and is trained; skive prune --structured "
                          "--dry-run tells the reasons");
done:
    skive_coupling_free(k);
    skive_graph_free(g);
    return status;
}

void skv_units_free(skv_units *u) {
    if (!u->ctx) return;
    skv_free(u->ctx, u->slices);
    skv_free(u->ctx, u->start);
    skv_free(u->ctx, u->family);
    skv_free(u->ctx, u->param);
    *u = (skv_units){0};
}

/* ---- one unit ---- */

const skv_unit_slice *skv_unit_slices(const skv_units *u, size_t i, skv_unit_slice *room, size_t *n) {
    if (u->channels) {
        *n = u->start[i + 1] - u->start[i];
        return u->slices + u->start[i];
    }
    size_t low = 0, high = u->n_params;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (u->start[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    *room = (skv_unit_slice){.param = u->param[low],
                             .first = (int64_t)(i - u->start[low]),
                             .outer = 1,
                             .stride = 1,
                             .inner = 1,
                             .makes = true};
    *n = 1;
    return room;
}

int64_t skv_unit_size(const skv_units *u, size_t i) {
    skv_unit_slice room;
    size_t n;
    int64_t size = 0;
    const skv_unit_slice *s = skv_unit_slices(u, i, &room, &n);
    for (size_t k = 0; k < n; k++) size += s[k].outer * s[k].inner;
    return size;
}

double skv_unit_squares(const skv_units *u, size_t i, int64_t *n) {
    skv_unit_slice room;
    size_t count;
    double sum = 0;
    const skv_unit_slice *s = skv_unit_slices(u, i, &room, &count);
    *n = 0;
    for (size_t k = 0; k < count; k++) {
        const float *w = s[k].param->weight;
        if (s[k].param->held) continue;
        *n += s[k].outer * s[k].inner;
        SKV_EACH_ELEMENT(&s[k], e) sum += (double)w[e] * (double)w[e];
    }
    return sum;
}

void skv_unit_scale(const skv_units *u, size_t i, float factor) {
    skv_unit_slice room;
    size_t count;
    const skv_unit_slice *s = skv_unit_slices(u, i, &room, &count);
    for (size_t k = 0; k < count; k++) {
        skv_param *p = s[k].param;
        if (p->held) continue;
        SKV_EACH_ELEMENT(&s[k], e) p->weight[e] = factor > 0 ? p->weight[e] * factor : 0.0f;
        for (int m = 0; factor <= 0 && m < SKV_OPTIMIZER_STATES && p->state[m]; m++)
            SKV_EACH_ELEMENT(&s[k], e) p->state[m][e] = 0;
    }
}
