/* Kernel choices in memory and in their file. The file is text: the machine, an entry a line, and a checksum. */
#include "exec/choices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/machine.h"

enum { MOST_BYTES = 4 << 20, MACHINE_TEXT = 320 };

/* ---- keys ---- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n) { return skv_hash64(bytes, n, h); }
static uint64_t mix_text(uint64_t h, const char *s) { return mix(h, s, strlen(s) + 1); }

static uint64_t mix_attr(uint64_t h, const skv_attr *a) {
    h = mix_text(h, a->name);
    h = mix(h, &a->i, sizeof a->i);
    h = mix(h, &a->f, sizeof a->f);
    if (a->s) h = mix(h, a->s, a->n);
    if (a->ints) h = mix(h, a->ints, a->n * sizeof *a->ints);
    if (a->floats) h = mix(h, a->floats, a->n * sizeof *a->floats);
    for (size_t i = 0; a->strings && i < a->n; i++) h = mix_text(h, a->strings[i]);
    return h;
}

static uint64_t mix_value(uint64_t h, const skv_kernel_value *v) {
    const int kind[4] = {v->absent, v->is_parameter, v->constant != NULL, v->coded != NULL};
    h = mix(h, kind, sizeof kind);
    if (v->absent) return h;
    const int64_t head[2] = {v->type.dtype, v->type.rank};
    h = mix(h, head, sizeof head);
    for (int d = 0; d < v->type.rank; d++) h = mix(h, &v->type.dims[d].size, sizeof(int64_t));
    return h;
}

uint64_t skv_choice_key(const skv_kernel_node *k) {
    uint64_t h = mix_text(7, k->node->domain);
    h = mix_text(h, k->node->op_type);
    h = mix(h, &k->threads, sizeof k->threads);
    for (uint32_t i = 0; i < k->node->n_attrs; i++) h = mix_attr(h, &k->node->attrs[i]);
    for (size_t i = 0; i < k->n_in; i++) h = mix_value(h, &k->in[i]);
    for (size_t i = 0; i < k->n_out; i++) h = mix_value(h, &k->out[i]);
    return h;
}

/* ---- in memory ---- */

const char *skv_choice_find(const skive_kernel_choices *c, uint64_t key) {
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].key == key) return c->items[i].kernel;
    return NULL;
}

skive_status skv_choice_add(skive_kernel_choices *c, const skv_choice *like) {
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 16;
        SKV_TRY(skv_grow(c->ctx, &c->items, c->n, capacity, sizeof *c->items));
        c->capacity = capacity;
    }
    skv_choice *own = &c->items[c->n++];
    *own = (skv_choice){.key = like->key, .seconds = like->seconds, .usual_seconds = like->usual_seconds};
    SKV_TRY(skv_strdup(c->ctx, like->op, &own->op));
    SKV_TRY(skv_strdup(c->ctx, like->kernel, &own->kernel));
    return skv_strdup(c->ctx, like->usual, &own->usual);
}

void skv_choices_clear(skive_kernel_choices *c) {
    while (c->n > 0) {
        skv_choice *i = &c->items[--c->n];
        skv_free(c->ctx, i->op);
        skv_free(c->ctx, i->kernel);
        skv_free(c->ctx, i->usual);
    }
}

void skive_kernel_choices_free(skive_kernel_choices *c) {
    if (!c) return;
    skv_choices_clear(c);
    skv_free(c->ctx, c->items);
    skv_free(c->ctx, c);
}

size_t skive_kernel_choices_count(const skive_kernel_choices *c) { return c ? c->n : 0; }

void skive_kernel_choices_get(const skive_kernel_choices *c, size_t index, skive_kernel_choice *out) {
    if (!out) return;
    *out = (skive_kernel_choice){.op = "", .kernel = "", .usual = ""};
    if (!c || index >= c->n) return;
    const skv_choice *i = &c->items[index];
    *out = (skive_kernel_choice){i->op, i->kernel, i->usual, i->seconds, i->usual_seconds};
}

skive_kernel_choices *skv_context_choices(const skive_context *ctx) { return ctx->choices; }

static void free_choices(void *choices) { skive_kernel_choices_free(choices); }

skive_status skive_context_use_choices(skive_context *ctx, const skive_kernel_choices *choices) {
    SKV_NEED(ctx, "ctx", ctx);
    skive_kernel_choices *copy = NULL;
    skive_status status = SKIVE_OK;
    if (choices) {
        SKV_TRY(skv_alloc_array(ctx, 1, sizeof *copy, &copy));
        copy->ctx = ctx;
        for (size_t i = 0; i < choices->n && status == SKIVE_OK; i++) status = skv_choice_add(copy, &choices->items[i]);
    }
    if (status != SKIVE_OK) {
        skive_kernel_choices_free(copy);
        return status;
    }
    skive_kernel_choices_free(ctx->choices);
    ctx->choices = copy;
    ctx->free_choices = free_choices;
    return SKIVE_OK;
}

/* ---- the file ---- */

static void describe(skive_context *ctx, char out[MACHINE_TEXT]) {
    char processor[128];
    const char *onednn = skive_onednn_version();
    skv_machine_processor(ctx, processor, sizeof processor);
    (void)snprintf(out, MACHINE_TEXT, "skive-kernels 1\t%s\t%s\tskive %s\toneDNN %s", processor, skive_cpu_isa_name(),
                   skive_version(), onednn ? onednn : "none");
}

skive_status skive_kernel_choices_save(skive_context *ctx, const skive_kernel_choices *choices, const char *path) {
    SKV_NEED(ctx, "ctx, choices, path", ctx, choices, path);
    char machine[MACHINE_TEXT];
    skv_text t;
    describe(ctx, machine);
    skv_text_init(&t, ctx);
    skv_text_add(&t, "%s", machine);
    for (size_t i = 0; i < choices->n; i++) {
        const skv_choice *c = &choices->items[i];
        skv_text_add(&t, "\n%016llx\t%s\t%s\t%s\t%.6g\t%.6g", (unsigned long long)c->key, c->op, c->kernel, c->usual,
                     c->seconds, c->usual_seconds);
    }
    if (t.data) skv_text_add(&t, "\nsum %016llx\n", (unsigned long long)skv_hash64(t.data, t.length, 3));
    skive_status status = t.status;
    if (status == SKIVE_OK) status = skv_file_write(ctx, path, t.data, t.length);
    skv_text_free(&t);
    return status;
}

static skive_status read_entry(skive_kernel_choices *c, char *line, bool *good) {
    char *part[6], *end;
    size_t n = 0;
    for (char *at = line; at && n < 6; n++) {
        part[n] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
        else if (n < 5)
            return SKIVE_OK;
    }
    skv_choice like = {.op = part[1], .kernel = part[2], .usual = part[3]};
    like.key = strtoull(part[0], &end, 16);
    if (*end || end == part[0]) return SKIVE_OK;
    like.seconds = strtod(part[4], &end);
    like.usual_seconds = strtod(part[5], &end);
    if (*end || !*like.op || !*like.kernel || !(like.seconds >= 0) || !(like.usual_seconds >= 0)) return SKIVE_OK;
    SKV_TRY(skv_choice_add(c, &like));
    *good = true;
    return SKIVE_OK;
}

static skive_status damaged(skive_context *ctx, const char *path) {
    return skv_fail_at(ctx, SKIVE_ERR_FORMAT, path, "%s: damaged, or no file of kernel choices; run skive tune again",
                       path);
}

static skive_status read_text(skive_kernel_choices *c, const char *path, char *text, size_t n) {
    char machine[MACHINE_TEXT], *last;
    if (n < 2 || strlen(text) != n || text[n - 1] != '\n') return damaged(c->ctx, path);
    text[n - 1] = '\0';
    last = strrchr(text, '\n');
    if (!last || strncmp(last + 1, "sum ", 4) != 0) return damaged(c->ctx, path);
    *last = '\0';
    if (strtoull(last + 5, NULL, 16) != skv_hash64(text, strlen(text), 3)) return damaged(c->ctx, path);
    char *line = strchr(text, '\n');
    if (line) *line++ = '\0';
    describe(c->ctx, machine);
    if (strcmp(text, machine) != 0)
        return skv_fail_at(c->ctx, SKIVE_ERR_UNSUPPORTED, path,
                           "%s: measured on another machine, instruction set or version; run skive tune again", path);
    while (line) {
        char *next = strchr(line, '\n');
        bool good = false;
        if (next) *next++ = '\0';
        SKV_TRY(read_entry(c, line, &good));
        if (!good) return damaged(c->ctx, path);
        line = next;
    }
    return SKIVE_OK;
}

skive_status skive_kernel_choices_load(skive_context *ctx, const char *path, skive_kernel_choices **out) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    skive_kernel_choices *c = NULL;
    void *bytes = NULL;
    size_t n = 0;
    *out = NULL;
    SKV_TRY(skv_file_read(ctx, path, MOST_BYTES, &bytes, &n));
    skive_status status = skv_alloc_array(ctx, 1, sizeof *c, &c);
    if (status == SKIVE_OK) {
        c->ctx = ctx;
        status = read_text(c, path, bytes, n);
    }
    skv_free(ctx, bytes);
    if (status == SKIVE_OK)
        *out = c;
    else
        skive_kernel_choices_free(c);
    return status;
}
