/* Suggestions for unknown names, and truncation of long names between characters. */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "base/context.h"

/* ---- UTF-8 ---- */

/* Bytes of the character that starts at `text`; 0 when it is not well-formed (RFC 3629). */
static size_t character(const unsigned char *text) {
    const unsigned char c = text[0];
    if (c < 0x80) return 1;
    const size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
    }
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f)) return 0; /* overlong form; surrogate */
    if ((c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f)) return 0;
    return n;
}

int skv_utf8_prefix(const char *text, size_t most) {
    size_t n = strnlen(text, most);
    if (n < most || !text[n]) return (int)n;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    return (int)n;
}

void skv_utf8_trim(char *text) {
    const size_t n = strlen(text);
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        unsigned char *c = (unsigned char *)text + n - back;
        if ((*c & 0xc0) == 0x80) continue;
        if (*c >= 0xc0 && character(c) != back) *c = '\0'; /* `character` stops at the terminator */
        return;
    }
}

void skv_utf8_mend(char *text) {
    for (unsigned char *c = (unsigned char *)text; *c;) {
        const size_t n = character(c);
        if (n == 0) *c = '?';
        c += n ? n : 1;
    }
}

/* ---- the nearest name ---- */

enum { LONGEST = 64 }; /* number of characters that are compared */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Number of insertions, deletions, replacements and swaps of neighbours that turn a into b (Damerau 1964, each position
 * once). */
static size_t distance(const char *a, const char *b) {
    size_t rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    const size_t n = strnlen(a, LONGEST), m = strnlen(b, LONGEST);
    for (size_t k = 0; k <= m; k++) last[k] = k;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t k = 1; k <= m; k++) {
            row[k] = least(least(last[k], row[k - 1]) + 1, last[k - 1] + !same(a[i - 1], b[k - 1]));
            if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                row[k] = least(row[k], before[k - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

/* A name that begins with the given one, or differs from it in at most a third of its letters. */
static void consider(const char *given, const char *name, const char **best, size_t *least_distance) {
    const size_t length = strlen(given), d = distance(given, name);
    const bool begins = length >= 3 && strncmp(given, name, length) == 0;
    if (!begins && 3 * d > (length < 3 ? 3 : length)) return;
    const size_t rank = begins ? least(d, 1) : d;
    if (*best && rank >= *least_distance) return;
    *best = name;
    *least_distance = rank;
}

const char *skive_nearest_name(const char *given, const char *const *names, size_t n) {
    const char *best = NULL;
    size_t d = 0;
    for (size_t i = 0; given && names && i < n; i++) {
        if (names[i]) consider(given, names[i], &best, &d);
    }
    return best;
}

skive_status skv_fail_unknown(skive_context *ctx, skive_status code, const char *subject, const char *what,
                              const char *given, skv_name_at_fn name_at) {
    const char *best = NULL, *name;
    size_t d = 0;
    skv_text known;
    if (!given) given = "";
    skv_text_init(&known, ctx);
    for (size_t i = 0; (name = name_at(i)); i++) {
        consider(given, name, &best, &d);
        skv_text_add(&known, "%s%s", i ? ", " : "", name);
    }
    if (known.status == SKIVE_OK) {
        (void)skv_fail_at(ctx, code, subject, "no %s '%s'%s%s%s: %s", what, given, best ? "; did you mean '" : "",
                          best ? best : "", best ? "'? There are" : "; there are", known.data ? known.data : "none");
    } else {
        code = known.status;
    }
    skv_text_free(&known);
    return code;
}

/* ---- patterns ---- */

bool skv_name_matches(const char *pattern, const char *name) {
    return strcmp(pattern, name) == 0 || fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}
