/* The table of measured costs: entries in memory, and their file.
 *
 * The file is text. The first line names the machine, each further one is an entry: seconds, spread, kernel and key,
 * separated by tabs. The last line is a checksum over all before it, so that a file cut short or changed is noticed.
 * Writers take a lock, read what others have added, and replace the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/machine.h"
#include "graph/op.h"
#include "tune/costs.h"

enum { MOST_ENTRIES = 20000, MOST_BYTES = 32 << 20, MACHINE_TEXT = 256 };

/* ---- the machine ---- */

static void describe_machine(skive_context *ctx, char *out, size_t size) {
    char processor[128];
    const char *onednn = skive_onednn_version();
    skv_machine_processor(ctx, processor, sizeof processor);
    (void)snprintf(out, size, "skive-costs 1\t%s\tskive %s\toneDNN %s", processor, skive_version(),
                   onednn ? onednn : "none");
}

/* Makes the folder; "" if there is no place for it. */
static skive_status default_path(skive_context *ctx, const char *machine, char **out) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *folder = NULL;
    const bool own = cache && cache[0] == '/';
    if (!own && !(home && home[0] == '/')) return skv_strdup(ctx, "", out);
    SKV_TRY(skv_asprintf(ctx, &folder, "%s%s/skive", own ? cache : home, own ? "" : "/.cache"));
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0700);
        *slash = '/';
    }
    (void)mkdir(folder, 0700); /* what cannot be made is told when the file is written */
    const uint64_t hash = skv_hash64(machine, strlen(machine), 0);
    const skive_status status = skv_asprintf(ctx, out, "%s/costs-%016llx.txt", folder, (unsigned long long)hash);
    skv_free(ctx, folder);
    return status;
}

/* ---- entries ---- */

static size_t slot_of(const skive_costs *c, const char *key) {
    size_t at = (size_t)skv_hash64(key, strlen(key), 1) & (c->n_slots - 1);
    while (c->slots[at] && strcmp(c->entries[c->slots[at] - 1].key, key) != 0) at = (at + 1) & (c->n_slots - 1);
    return at;
}

const skive_cost_time *skv_costs_find(const skive_costs *c, const char *key) {
    const uint32_t at = c->n_slots ? c->slots[slot_of(c, key)] : 0;
    return at ? &c->entries[at - 1].time : NULL;
}

static skive_status grow_slots(skive_costs *c) {
    uint32_t *slots = NULL;
    const size_t n = c->n_slots ? 2 * c->n_slots : 256;
    if (c->n_slots >= 2 * (c->n + 1)) return SKIVE_OK;
    SKV_TRY(skv_alloc_array(c->ctx, n, sizeof *slots, &slots));
    skv_free(c->ctx, c->slots);
    c->slots = slots;
    c->n_slots = n;
    for (size_t i = 0; i < c->n; i++) c->slots[slot_of(c, c->entries[i].key)] = (uint32_t)i + 1;
    return SKIVE_OK;
}

skive_status skv_costs_enter(skive_costs *c, const char *key, const skive_cost_time *time, bool fresh) {
    SKV_TRY(grow_slots(c));
    const size_t slot = slot_of(c, key);
    if (c->slots[slot]) return SKIVE_OK;
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 64;
        SKV_TRY(skv_grow(c->ctx, &c->entries, c->n, capacity, sizeof *c->entries));
        c->capacity = capacity;
    }
    skv_cost_entry *e = &c->entries[c->n];
    *e = (skv_cost_entry){.time = *time, .fresh = fresh};
    SKV_TRY(skv_strdup(c->ctx, key, &e->key));
    c->slots[slot] = (uint32_t)++c->n;
    c->n_fresh += fresh;
    return SKIVE_OK;
}

/* ---- reading ---- */

static bool read_entry(char *line, skive_cost_time *time, const char **key) {
    char *end, *kernel = NULL;
    *time = (skive_cost_time){.cached = true};
    time->seconds = strtod(line, &end);
    if (*end != '\t') return false;
    time->spread = strtod(end + 1, &end);
    if (*end != '\t') return false;
    kernel = end + 1;
    end = strchr(kernel, '\t');
    if (!end || (size_t)(end - kernel) >= sizeof time->kernel || !(time->seconds >= 0) || !(time->spread >= 0))
        return false;
    memcpy(time->kernel, kernel, (size_t)(end - kernel));
    *key = end + 1;
    return **key != '\0';
}

/* Adds the entries of the file; *good: it is this machine's and whole. */
static skive_status read_text(skive_costs *c, char *text, size_t n, bool *good) {
    char *last = text;
    *good = false;
    if (n < 2 || strlen(text) != n || text[n - 1] != '\n') return SKIVE_OK;
    text[n - 1] = '\0';
    last = strrchr(text, '\n');
    if (!last || strncmp(last + 1, "sum ", 4) != 0) return SKIVE_OK;
    *last = '\0';
    const uint64_t sum = skv_hash64(text, strlen(text), 2);
    if (strtoull(last + 5, NULL, 16) != sum) return SKIVE_OK;
    char *line = strchr(text, '\n');
    if (line) *line++ = '\0';
    if (strcmp(text, c->machine) != 0) return SKIVE_OK;
    while (line) {
        skive_cost_time time;
        const char *key;
        char *next = strchr(line, '\n');
        if (next) *next++ = '\0';
        if (!read_entry(line, &time, &key)) return SKIVE_OK;
        SKV_TRY(skv_costs_enter(c, key, &time, false));
        line = next;
    }
    *good = true;
    return SKIVE_OK;
}

static skive_status read_file(skive_costs *c, bool tell) {
    void *bytes = NULL;
    size_t n = 0;
    bool good = false;
    struct stat st;
    if (stat(c->path, &st) != 0) return SKIVE_OK;
    skive_status status = skv_file_read(c->ctx, c->path, MOST_BYTES, &bytes, &n);
    if (status == SKIVE_ERR_MEMORY) return status;
    if (status == SKIVE_OK) status = read_text(c, bytes, n, &good);
    skv_free(c->ctx, bytes);
    if (status == SKIVE_ERR_MEMORY) return status;
    skive_context_clear(c->ctx);
    if (!good && tell)
        skv_note(c->ctx, "%s is damaged, or of another machine: its times are not used, and it starts anew", c->path);
    return SKIVE_OK;
}

skive_status skive_costs_open(skive_context *ctx, const char *path, skive_costs **out) {
    SKV_NEED(ctx, "ctx, out", ctx, out);
    skive_costs *c = NULL;
    skive_status status;
    char machine[MACHINE_TEXT];
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *c, &c));
    c->ctx = ctx;
    c->measure = skv_cost_measure;
    describe_machine(ctx, machine, sizeof machine);
    SKV_GO(status, fail, skv_strdup(ctx, machine, &c->machine));
    SKV_GO(status, fail, path ? skv_strdup(ctx, path, &c->path) : default_path(ctx, machine, &c->path));
    if (c->path[0]) SKV_GO(status, fail, read_file(c, true));
    *out = c;
    return SKIVE_OK;
fail:
    skive_costs_free(c);
    return status;
}

/* ---- writing ---- */

static int lock(const skive_costs *c) {
    char *name = NULL;
    if (skv_asprintf(c->ctx, &name, "%s.lock", c->path) != SKIVE_OK) return -1;
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    skv_free(c->ctx, name);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void write_entries(const skive_costs *c, skv_text *t) {
    const size_t first = c->n > MOST_ENTRIES ? c->n - MOST_ENTRIES : 0;
    skv_text_add(t, "%s", c->machine);
    for (size_t i = first; i < c->n; i++) {
        const skv_cost_entry *e = &c->entries[i];
        skv_text_add(t, "\n%.9g\t%.3g\t%s\t%s", e->time.seconds, e->time.spread, e->time.kernel, e->key);
    }
}

skive_status skive_costs_save(skive_costs *c) {
    SKV_NEED(c ? c->ctx : NULL, "costs", c);
    skv_text text;
    if (!c->path[0] || !c->n_fresh) return SKIVE_OK;
    const int fd = lock(c); /* without one (a folder on a system that has none) the last writer wins */
    skv_text_init(&text, c->ctx);
    skive_status status = read_file(c, false);
    if (status == SKIVE_OK) {
        write_entries(c, &text);
        if (text.data)
            skv_text_add(&text, "\nsum %016llx\n", (unsigned long long)skv_hash64(text.data, text.length, 2));
        status = text.status;
    }
    if (status == SKIVE_OK) status = skv_file_write(c->ctx, c->path, text.data, text.length);
    skv_text_free(&text);
    if (fd >= 0) (void)close(fd);
    if (status == SKIVE_OK) c->n_fresh = 0;
    return status;
}

void skive_costs_free(skive_costs *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n; i++) skv_free(c->ctx, c->entries[i].key);
    skv_free(c->ctx, c->entries);
    skv_free(c->ctx, c->slots);
    skv_free(c->ctx, c->path);
    skv_free(c->ctx, c->machine);
    skv_free(c->ctx, c);
}

const char *skive_costs_path(const skive_costs *c) { return c ? c->path : ""; }
size_t skive_costs_count(const skive_costs *c) { return c ? c->n : 0; }
