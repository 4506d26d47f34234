/* See common_regex.h. A pattern becomes a tree, the tree a program of single steps (Thompson 1968), and the program is
 * run in all its states at once. */
#include "ops/strings/common_regex.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { MOST_NODES = 1 << 14, MOST_RANGES = 1 << 16, MOST_STEPS = 1 << 15, MOST_DEPTH = 200, MOST_REPEATS = 1000 };
#define LAST_CODE UINT32_C(0x10ffff)

typedef struct range {
    uint32_t low, high;
} range;

typedef enum kind { EMPTY, CLASS, SEQUENCE, CHOICE, REPEAT, ASSERT } kind;
typedef enum assertion { TEXT_START, TEXT_END, LINE_START, LINE_END, WORD_EDGE, NO_WORD_EDGE } assertion;

typedef struct node {
    kind kind;
    int first, next; /* child, sibling; -1: none */
    int least, most; /* of REPEAT; most -1: no limit */
    size_t ranges, n_ranges;
    assertion what;
} node;

typedef enum step_kind { TAKE, EITHER, JUMP, TEST, DONE } step_kind;
typedef struct step {
    step_kind kind;
    int x, y; /* where it goes on; of TAKE the node with the class */
    assertion what;
} step;

struct skv_regex {
    skive_context *ctx;
    node *nodes;
    range *ranges;
    step *steps;
    int n_nodes, n_steps;
    size_t n_ranges, nodes_room, ranges_room, steps_room;
    int *states, *others, *stack; /* [n_steps] */
    uint64_t *seen;               /* [n_steps] the round in which it was entered */
    uint64_t round;
};

typedef struct parser {
    skv_regex *re;
    const char *pattern;
    size_t n, at;
    bool fold, dot_all, lines; /* (?ism) */
    bool only_flags;           /* the last atom was (?i) or the like: there is nothing to repeat */
    int depth;
    const char *fault;
    skive_status status;
} parser;

/* ---- the tree ---- */

static bool failed(const parser *p) { return p->fault || p->status != SKIVE_OK; }

static int fault(parser *p, const char *what) {
    if (!p->fault) p->fault = what;
    return -1;
}

static int add_node(parser *p, node n) {
    skv_regex *re = p->re;
    if (failed(p)) return -1;
    if (re->n_nodes == MOST_NODES) return fault(p, "it is too long");
    if ((size_t)re->n_nodes == re->nodes_room) {
        const size_t more = re->nodes_room * 2 + 64;
        p->status = skv_grow(re->ctx, &re->nodes, re->nodes_room, more, sizeof *re->nodes);
        if (p->status != SKIVE_OK) return -1;
        re->nodes_room = more;
    }
    n.next = -1;
    re->nodes[re->n_nodes] = n;
    return re->n_nodes++;
}

static void add_range(parser *p, uint32_t low, uint32_t high) {
    skv_regex *re = p->re;
    if (failed(p)) return;
    if (re->n_ranges == MOST_RANGES) {
        (void)fault(p, "its classes are too long");
        return;
    }
    if (re->n_ranges == re->ranges_room) {
        const size_t more = re->ranges_room * 2 + 64;
        p->status = skv_grow(re->ctx, &re->ranges, re->ranges_room, more, sizeof *re->ranges);
        if (p->status != SKIVE_OK) return;
        re->ranges_room = more;
    }
    re->ranges[re->n_ranges++] = (range){low, high};
}

/* Letters of the range in the other case too. Beyond Cyrillic skv_character_lower has none. */
static void add_folded(parser *p, uint32_t low, uint32_t high) {
    add_range(p, low, high);
    for (uint32_t code = low; p->fold && code <= high && code < 0x530; code++) {
        const uint32_t lower = skv_character_lower(code), upper = skv_character_upper(code);
        if (lower < low || lower > high) add_range(p, lower, lower);
        if (upper < low || upper > high) add_range(p, upper, upper);
    }
}

static int by_low(const void *a, const void *b) {
    const range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* The ranges from `from` on become what they leave out. */
static void negate(parser *p, size_t from) {
    skv_regex *re = p->re;
    uint32_t next = 0;
    if (failed(p)) return;
    const size_t n = re->n_ranges - from;
    qsort(re->ranges + from, n, sizeof *re->ranges, by_low);
    size_t out = from;
    bool open = true;
    for (size_t i = from; i < from + n && open; i++) {
        const range r = re->ranges[i];
        if (r.low > next) re->ranges[out++] = (range){next, r.low - 1};
        if (r.high >= next) next = r.high + 1;
        open = next <= LAST_CODE;
    }
    re->n_ranges = out;
    if (open) add_range(p, next, LAST_CODE);
}

static int add_class(parser *p, size_t from) {
    return add_node(p, (node){.kind = CLASS, .first = -1, .ranges = from, .n_ranges = p->re->n_ranges - from});
}

static int literal(parser *p, uint32_t code) {
    const size_t from = p->re->n_ranges;
    add_folded(p, code, code);
    return add_class(p, from);
}

static int check(parser *p, assertion what) { return add_node(p, (node){.kind = ASSERT, .first = -1, .what = what}); }

/* ---- parsing ---- */

static bool accept(parser *p, const char *text) {
    const size_t n = strlen(text);
    if (p->n - p->at < n || memcmp(p->pattern + p->at, text, n) != 0) return false;
    p->at += n;
    return true;
}

static bool more(const parser *p) { return p->at < p->n && !failed(p); }
static uint32_t take(parser *p) { return skv_utf8_next(p->pattern, p->n, &p->at); }

typedef struct named {
    const char *name;
    range ranges[4];
    int n;
} named;

static const named perl[] = {
    {"d", {{'0', '9'}}, 1},
    {"s", {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}, 3},
    {"w", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}, 4},
};

static const named posix[] = {
    {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, 3},
    {"alpha", {{'A', 'Z'}, {'a', 'z'}}, 2},
    {"ascii", {{0, 127}}, 1},
    {"blank", {{'\t', '\t'}, {' ', ' '}}, 2},
    {"cntrl", {{0, 31}, {127, 127}}, 2},
    {"digit", {{'0', '9'}}, 1},
    {"graph", {{'!', '~'}}, 1},
    {"lower", {{'a', 'z'}}, 1},
    {"print", {{' ', '~'}}, 1},
    {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}, 4},
    {"space", {{'\t', '\r'}, {' ', ' '}}, 2},
    {"upper", {{'A', 'Z'}}, 1},
    {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}, 4},
    {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, 3},
};

/* The class, or what it leaves out: each by itself, since others may stand beside it. */
static void add_named(parser *p, const named *c, bool outside) {
    uint32_t next = 0;
    for (int i = 0; i < c->n; i++) {
        if (!outside) {
            add_folded(p, c->ranges[i].low, c->ranges[i].high);
        } else {
            if (c->ranges[i].low > next) add_range(p, next, c->ranges[i].low - 1);
            next = c->ranges[i].high + 1;
        }
    }
    if (outside) add_range(p, next, LAST_CODE);
}

/* \d and the like, after the backslash. */
static bool perl_class(parser *p) {
    static const char *const letters = "dswDSW";
    const char *at = p->at < p->n ? strchr(letters, p->pattern[p->at]) : NULL;
    if (!at || !*at) return false;
    p->at++;
    add_named(p, &perl[(at - letters) % 3], at - letters >= 3);
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint32_t hexadecimal(parser *p) {
    uint32_t code = 0;
    const bool braced = accept(p, "{");
    int digits = 0;
    while (p->at < p->n && (braced || digits < 2) && hex_digit(p->pattern[p->at]) >= 0 && code <= LAST_CODE) {
        code = code * 16 + (uint32_t)hex_digit(p->pattern[p->at++]);
        digits++;
    }
    if (digits == 0 || (!braced && digits != 2) || code > LAST_CODE || (braced && !accept(p, "}")))
        (void)fault(p, "\\x is not followed by a number of a character");
    return code;
}

/* One character, after the backslash. */
static uint32_t escaped(parser *p) {
    static const char *const from = "aftnrv", *const to = "\a\f\t\n\r\v";
    if (p->at == p->n) return (uint32_t)fault(p, "it ends with a backslash");
    const char c = p->pattern[p->at];
    const char *at = strchr(from, c);
    if (at && c) {
        p->at++;
        return (unsigned char)to[at - from];
    }
    if (c == 'x') {
        p->at++;
        return hexadecimal(p);
    }
    if (c == '0') {
        uint32_t code = 0;
        for (int i = 0; i < 3 && p->at < p->n && p->pattern[p->at] >= '0' && p->pattern[p->at] <= '7'; i++)
            code = code * 8 + (uint32_t)(p->pattern[p->at++] - '0');
        return code;
    }
    if (c >= '1' && c <= '9') return (uint32_t)fault(p, "back references are not supported");
    if (c == 'p' || c == 'P') return (uint32_t)fault(p, "classes of Unicode properties (\\p) are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return (uint32_t)fault(p, "it has an unknown escape");
    return take(p);
}

static bool posix_class(parser *p) {
    const size_t before = p->at;
    if (!accept(p, "[:")) return false;
    const bool outside = accept(p, "^");
    for (size_t i = 0; i < sizeof posix / sizeof posix[0]; i++) {
        const size_t at = p->at;
        if (accept(p, posix[i].name) && accept(p, ":]")) {
            add_named(p, &posix[i], outside);
            return true;
        }
        p->at = at;
    }
    p->at = before;
    (void)fault(p, "it has an unknown class in brackets");
    return false;
}

static int bracket(parser *p) {
    const size_t from = p->re->n_ranges;
    const bool outside = accept(p, "^");
    bool first = true;
    while (more(p) && (first || p->pattern[p->at] != ']')) {
        first = false;
        if (posix_class(p)) continue;
        bool slash = accept(p, "\\");
        if (slash && perl_class(p)) continue;
        const uint32_t low = slash ? escaped(p) : take(p);
        uint32_t high = low;
        if (p->at + 1 < p->n && p->pattern[p->at] == '-' && p->pattern[p->at + 1] != ']') {
            p->at++;
            slash = accept(p, "\\");
            high = slash ? escaped(p) : take(p);
        }
        if (high < low) (void)fault(p, "it has a range whose end is before its start");
        if (!failed(p)) add_folded(p, low, high);
    }
    if (!accept(p, "]")) return fault(p, "a bracket is not closed");
    if (outside) negate(p, from);
    return add_class(p, from);
}

static int choice(parser *p);

/* Flags after "(?": true if a group follows, false if they hold for the rest of this one. */
static bool flags(parser *p) {
    bool on = true;
    while (more(p)) {
        const char c = p->pattern[p->at++];
        if (c == '-' && on)
            on = false;
        else if (c == 'i')
            p->fold = on;
        else if (c == 's')
            p->dot_all = on;
        else if (c == 'm')
            p->lines = on;
        else if (c == 'U' || c == 'u')
            continue; /* greed changes neither question; text is always Unicode */
        else if (c == ':')
            return true;
        else if (c == ')')
            return false;
        else
            break;
    }
    (void)fault(p, "what follows (? is not supported (look-around is no part of RE2)");
    return false;
}

static int group(parser *p) {
    const parser before = *p;
    if (accept(p, "?P<") ||
        (p->n - p->at > 2 && p->pattern[p->at + 2] != '=' && p->pattern[p->at + 2] != '!' && accept(p, "?<"))) {
        while (p->at < p->n && p->pattern[p->at] != '>') p->at++;
        if (!accept(p, ">")) return fault(p, "the name of a group is not closed");
    } else if (accept(p, "?")) {
        p->only_flags = !flags(p);
        if (p->only_flags) return add_node(p, (node){.kind = EMPTY, .first = -1});
    }
    if (++p->depth > MOST_DEPTH) return fault(p, "it is nested too deeply");
    const int inside = choice(p);
    p->depth--;
    if (!accept(p, ")")) return fault(p, "a parenthesis is not closed");
    p->fold = before.fold;
    p->dot_all = before.dot_all;
    p->lines = before.lines;
    return inside;
}

static int any(parser *p) {
    const size_t from = p->re->n_ranges;
    if (p->dot_all) {
        add_range(p, 0, LAST_CODE);
    } else {
        add_range(p, 0, '\n' - 1);
        add_range(p, '\n' + 1, LAST_CODE);
    }
    return add_class(p, from);
}

/* \Q...\E: the characters themselves. */
static int quoted(parser *p) {
    int whole = add_node(p, (node){.kind = SEQUENCE, .first = -1}), last = -1;
    while (more(p) && !accept(p, "\\E")) {
        const int one = literal(p, take(p));
        if (one < 0) return -1;
        if (last < 0)
            p->re->nodes[whole].first = one;
        else
            p->re->nodes[last].next = one;
        last = one;
    }
    return failed(p) ? -1 : whole;
}

static int atom(parser *p) {
    const size_t from = p->re->n_ranges;
    if (accept(p, "(")) return group(p);
    if (accept(p, "[")) return bracket(p);
    if (accept(p, ".")) return any(p);
    if (accept(p, "^")) return check(p, p->lines ? LINE_START : TEXT_START);
    if (accept(p, "$")) return check(p, p->lines ? LINE_END : TEXT_END);
    if (accept(p, "\\A")) return check(p, TEXT_START);
    if (accept(p, "\\z")) return check(p, TEXT_END);
    if (accept(p, "\\b")) return check(p, WORD_EDGE);
    if (accept(p, "\\B")) return check(p, NO_WORD_EDGE);
    if (accept(p, "\\Q")) return quoted(p);
    if (strchr("*+?", p->pattern[p->at])) return fault(p, "there is nothing to repeat");
    if (!accept(p, "\\")) return literal(p, take(p));
    if (perl_class(p)) return add_class(p, from);
    const uint32_t code = escaped(p);
    return failed(p) ? -1 : literal(p, code);
}

static bool number(parser *p, int *out) {
    const size_t before = p->at;
    *out = 0;
    while (p->at < p->n && p->pattern[p->at] >= '0' && p->pattern[p->at] <= '9') {
        if (*out <= MOST_REPEATS) *out = *out * 10 + (p->pattern[p->at] - '0');
        p->at++;
    }
    return p->at > before;
}

/* {n}, {n,} or {n,m}; anything else in braces stands for itself. */
static bool counted(parser *p, int *least, int *most) {
    const size_t before = p->at;
    if (accept(p, "{") && number(p, least)) {
        *most = *least;
        if (accept(p, ",") && !number(p, most)) *most = -1;
        if (accept(p, "}")) {
            if (*least > MOST_REPEATS || *most > MOST_REPEATS || (*most >= 0 && *most < *least))
                (void)fault(p, "a count of repetitions is not valid");
            return true;
        }
    }
    p->at = before;
    return false;
}

static int repeated(parser *p) {
    p->only_flags = false;
    int x = atom(p);
    bool again = p->only_flags;
    while (more(p)) {
        int least = 0, most = -1;
        if (accept(p, "*")) {
        } else if (accept(p, "+")) {
            least = 1;
        } else if (accept(p, "?")) {
            most = 1;
        } else if (!counted(p, &least, &most)) {
            break;
        }
        if (again) return fault(p, "what is repeated is a repetition or nothing");
        again = true;
        (void)accept(p, "?"); /* lazy: the same texts match */
        x = add_node(p, (node){.kind = REPEAT, .first = x, .least = least, .most = most});
    }
    return x;
}

/* Children in a row under a new node; a single one stands for itself. */
static int row(parser *p, kind together, int (*part)(parser *), bool (*goes_on)(parser *)) {
    int first = -1, last = -1, n = 0;
    while (goes_on(p) && !failed(p)) {
        const int one = part(p);
        if (one < 0) return -1;
        if (last < 0)
            first = one;
        else
            p->re->nodes[last].next = one;
        last = one;
        n++;
    }
    if (n == 1) return first;
    return add_node(p, (node){.kind = n == 0 ? EMPTY : together, .first = first});
}

static bool in_sequence(parser *p) { return more(p) && p->pattern[p->at] != '|' && p->pattern[p->at] != ')'; }
static int sequence(parser *p) { return row(p, SEQUENCE, repeated, in_sequence); }

static int choice(parser *p) {
    int first = sequence(p), last = first, n = 1;
    while (!failed(p) && accept(p, "|")) {
        const int one = sequence(p);
        if (one < 0) return -1;
        p->re->nodes[last].next = one;
        last = one;
        n++;
    }
    return n == 1 || failed(p) ? first : add_node(p, (node){.kind = CHOICE, .first = first});
}

/* ---- the program ---- */

static int add_step(parser *p, step s) {
    skv_regex *re = p->re;
    if (failed(p)) return 0;
    if (re->n_steps == MOST_STEPS) return fault(p, "its repetitions are too many") + 1;
    if ((size_t)re->n_steps == re->steps_room) {
        const size_t larger = re->steps_room * 2 + 64;
        p->status = skv_grow(re->ctx, &re->steps, re->steps_room, larger, sizeof *re->steps);
        if (p->status != SKIVE_OK) return 0;
        re->steps_room = larger;
    }
    re->steps[re->n_steps] = s;
    return re->n_steps++;
}

static void emit(parser *p, int at);

static void emit_choice(parser *p, const node *n) {
    int end = -1; /* a chain of jumps that wait for the end, linked through y */
    for (int c = n->first; c >= 0 && !failed(p); c = p->re->nodes[c].next) {
        if (p->re->nodes[c].next < 0) {
            emit(p, c);
            break;
        }
        const int either = add_step(p, (step){.kind = EITHER});
        emit(p, c);
        end = add_step(p, (step){.kind = JUMP, .y = end});
        if (failed(p)) return;
        p->re->steps[either].x = either + 1;
        p->re->steps[either].y = p->re->n_steps;
    }
    while (end >= 0 && !failed(p)) {
        const int next = p->re->steps[end].y;
        p->re->steps[end].x = p->re->n_steps;
        end = next;
    }
}

static void emit_repeat(parser *p, const node *n) {
    for (int i = 0; i < n->least && !failed(p); i++) emit(p, n->first);
    if (n->most < 0) {
        const int either = add_step(p, (step){.kind = EITHER});
        emit(p, n->first);
        (void)add_step(p, (step){.kind = JUMP, .x = either});
        if (failed(p)) return;
        p->re->steps[either].x = either + 1;
        p->re->steps[either].y = p->re->n_steps;
        return;
    }
    for (int i = n->least; i < n->most && !failed(p); i++) {
        const int either = add_step(p, (step){.kind = EITHER});
        emit(p, n->first);
        if (failed(p)) return;
        p->re->steps[either].x = either + 1;
        p->re->steps[either].y = p->re->n_steps; /* on to the next, which may be left out as well */
    }
}

static void emit(parser *p, int at) {
    if (at < 0 || failed(p)) return;
    const node n = p->re->nodes[at];
    switch (n.kind) {
    case EMPTY: return;
    case CLASS: (void)add_step(p, (step){.kind = TAKE, .x = at}); return;
    case ASSERT: (void)add_step(p, (step){.kind = TEST, .what = n.what}); return;
    case SEQUENCE:
        for (int c = n.first; c >= 0; c = p->re->nodes[c].next) emit(p, c);
        return;
    case CHOICE: emit_choice(p, &n); return;
    case REPEAT: emit_repeat(p, &n); return;
    }
}

skive_status skv_regex_compile(skive_context *ctx, const char *pattern, skv_regex **out) {
    skv_regex *re = NULL;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *re, &re));
    re->ctx = ctx;
    parser p = {.re = re, .pattern = pattern, .n = strlen(pattern)};
    if (skv_utf8_valid(pattern, p.n) != p.n) (void)fault(&p, "it is not UTF-8");
    const int root = failed(&p) ? -1 : choice(&p);
    if (!failed(&p) && p.at < p.n) (void)fault(&p, "a parenthesis is closed that was not opened");
    emit(&p, root);
    (void)add_step(&p, (step){.kind = DONE});
    const size_t n = (size_t)re->n_steps;
    if (!failed(&p)) p.status = skv_alloc_array(ctx, n, sizeof *re->states, &re->states);
    if (!failed(&p)) p.status = skv_alloc_array(ctx, n, sizeof *re->others, &re->others);
    if (!failed(&p)) p.status = skv_alloc_array(ctx, 2 * n + 1, sizeof *re->stack, &re->stack);
    if (!failed(&p)) p.status = skv_alloc_array(ctx, n, sizeof *re->seen, &re->seen);
    if (!failed(&p)) {
        *out = re;
        return SKIVE_OK;
    }
    skv_regex_free(re);
    if (p.status != SKIVE_OK) return p.status;
    return SKV_FAIL(ctx, SKIVE_ERR_UNSUPPORTED, "the regular expression \"%.*s\": %s", skv_utf8_prefix(pattern, 100),
                    pattern, p.fault);
}

void skv_regex_free(skv_regex *re) {
    if (!re) return;
    skv_free(re->ctx, re->nodes);
    skv_free(re->ctx, re->ranges);
    skv_free(re->ctx, re->steps);
    skv_free(re->ctx, re->states);
    skv_free(re->ctx, re->others);
    skv_free(re->ctx, re->stack);
    skv_free(re->ctx, re->seen);
    skv_free(re->ctx, re);
}

/* ---- running ---- */

static bool is_word(const char *text, size_t n, size_t at) {
    if (at >= n) return false;
    const char c = text[at];
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(assertion what, const char *text, size_t n, size_t at) {
    const bool edge = is_word(text, n, at) != (at > 0 && is_word(text, n, at - 1));
    switch (what) {
    case TEXT_START: return at == 0;
    case TEXT_END: return at == n;
    case LINE_START: return at == 0 || text[at - 1] == '\n';
    case LINE_END: return at == n || text[at] == '\n';
    case WORD_EDGE: return edge;
    case NO_WORD_EDGE: return !edge;
    }
    return false;
}

/* Enters step `at` and all that follow from it without a character. Returns whether the end is among them. */
static bool enter(skv_regex *re, int *list, int *count, int at, const char *text, size_t n, size_t place) {
    int depth = 0;
    bool done = false;
    re->stack[depth++] = at;
    while (depth > 0) {
        at = re->stack[--depth];
        if (re->seen[at] == re->round) continue;
        re->seen[at] = re->round;
        const step *s = &re->steps[at];
        if (s->kind == TAKE) list[(*count)++] = at;
        if (s->kind == DONE) done = true;
        if (s->kind == JUMP || s->kind == EITHER) re->stack[depth++] = s->x;
        if (s->kind == EITHER) re->stack[depth++] = s->y;
        if (s->kind == TEST && holds(s->what, text, n, place)) re->stack[depth++] = at + 1;
    }
    return done;
}

static bool takes(const skv_regex *re, int at, uint32_t code) {
    const node *n = &re->nodes[re->steps[at].x];
    for (size_t i = 0; i < n->n_ranges; i++)
        if (code >= re->ranges[n->ranges + i].low && code <= re->ranges[n->ranges + i].high) return true;
    return false;
}

/* The end of the longest match that begins at `from`; false: there is none. */
static bool longest(skv_regex *re, const char *text, size_t n, size_t from, size_t *end) {
    int *now = re->states, *then = re->others, count = 0;
    bool found = false;
    size_t at = from;
    re->round++;
    if (enter(re, now, &count, 0, text, n, at)) {
        found = true;
        *end = at;
    }
    while (count > 0 && at < n) {
        const uint32_t code = skv_utf8_next(text, n, &at);
        int next = 0;
        bool done = false;
        re->round++;
        for (int i = 0; i < count; i++)
            if (takes(re, now[i], code)) done = enter(re, then, &next, now[i] + 1, text, n, at) || done;
        if (done) {
            found = true;
            *end = at;
        }
        int *other = now;
        now = then;
        then = other;
        count = next;
    }
    return found;
}

bool skv_regex_matches(skv_regex *re, const char *text, size_t n) {
    size_t end;
    return longest(re, text, n, 0, &end) && end == n;
}

bool skv_regex_find(skv_regex *re, const char *text, size_t n, size_t from, size_t *first, size_t *end) {
    for (size_t at = from; at <= n;) {
        if (longest(re, text, n, at, end)) {
            *first = at;
            return true;
        }
        if (at == n) break;
        (void)skv_utf8_next(text, n, &at);
    }
    return false;
}
