/* Reading rows of delimited text: a window of the file, and one pass over its bytes for each row. */
#include <inttypes.h>
#include <string.h>

#include "data/tables/rows.h"
#include "base/file.h"
#include "base/utf8.h"

enum { WINDOW = 1 << 18 };

struct skv_row_buffer {
    skive_context *ctx;
    unsigned char *bytes; /* of the file, from `from` */
    size_t have, capacity;
    uint64_t from;
    const skv_rows *of; /* whose bytes these are */
    char *text;         /* the cells, each with a NUL */
    size_t text_capacity;
    skv_cell *cells;
    size_t n, cell_capacity;
};

struct skv_rows {
    skive_context *ctx;
    char *path;
    int fd;
    uint64_t size, begin, at, line; /* begin: after a byte order mark; line: of the next row */
    char separator;
    skv_row_buffer *buffer;
};

skive_status skv_row_buffer_create(skive_context *ctx, skv_row_buffer **out) {
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof **out, out));
    (*out)->ctx = ctx;
    return SKIVE_OK;
}

void skv_row_buffer_free(skv_row_buffer *b) {
    if (!b) return;
    skive_context *ctx = b->ctx;
    skv_free(ctx, b->bytes);
    skv_free(ctx, b->text);
    skv_free(ctx, b->cells);
    skv_free(ctx, b);
}

/* ---- the window ---- */

/* Makes n bytes from `at` on present, as far as the file has them. */
static skive_status load(skive_context *ctx, const skv_rows *r, uint64_t at, size_t n, skv_row_buffer *b) {
    size_t keep = 0, got;
    if (b->of != r) b->have = 0;
    b->of = r;
    if (at >= b->from && at - b->from <= b->have && n <= b->have - (size_t)(at - b->from)) return SKIVE_OK;
    if (n > b->capacity) {
        SKV_TRY(skv_grow(b->ctx, &b->bytes, b->have, n, 1));
        b->capacity = n;
    }
    if (at >= b->from && at - b->from < b->have) {
        const size_t gone = (size_t)(at - b->from);
        keep = b->have - gone;
        memmove(b->bytes, b->bytes + gone, keep);
    }
    b->from = at;
    b->have = keep;
    SKV_TRY(skv_file_read_at(ctx, r->path, r->fd, at + keep, b->bytes + keep, n - keep, &got));
    b->have = keep + got;
    return SKIVE_OK;
}

/* ---- a row ---- */

typedef enum parse_end { ROW, MORE, NUL_BYTE, AFTER_QUOTE, OPEN_QUOTE, TOO_MANY } parse_end;

typedef struct parsed {
    parse_end end;
    size_t length, offset; /* bytes of the row; where something is wrong */
    uint64_t lines;        /* line ends in it */
    bool blank;
} parsed;

static skive_status add_cell(skv_row_buffer *b, size_t start, size_t end, bool quoted) {
    if (b->n == b->cell_capacity) {
        const size_t more = b->cell_capacity ? 2 * b->cell_capacity : 32;
        SKV_TRY(skv_grow(b->ctx, &b->cells, b->n, more, sizeof *b->cells));
        b->cell_capacity = more;
    }
    b->text[end] = '\0';
    b->cells[b->n++] = (skv_cell){b->text + start, end - start, quoted};
    return SKIVE_OK;
}

/* `last`: nothing follows these n bytes. */
static skive_status parse(skv_row_buffer *b, char separator, const unsigned char *in, size_t n, bool last,
                          parsed *out) {
    enum { START, PLAIN, QUOTED, AFTER } state = START;
    const unsigned char between = (unsigned char)separator;
    size_t to = 0, start = 0, opened = 0;
    bool quoted = false;
    *out = (parsed){.end = MORE};
    if (n + 1 > b->text_capacity) { /* every cell but the last has a separator, whose place its NUL takes */
        skv_free(b->ctx, b->text);
        b->text = NULL;
        b->text_capacity = 0;
        SKV_TRY(skv_alloc(b->ctx, n + 1, &b->text));
        b->text_capacity = n + 1;
    }
    b->n = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = in[i];
        const bool ends = state != QUOTED && (c == '\n' || c == '\r');
        out->offset = i;
        if (c == '\0') {
            out->end = NUL_BYTE;
            return SKIVE_OK;
        }
        if (state == QUOTED && c != '"') {
            out->lines += c == '\n';
            b->text[to++] = (char)c;
        } else if (state == QUOTED) {
            state = AFTER;
        } else if (state == AFTER && c == '"') {
            b->text[to++] = '"';
            state = QUOTED;
        } else if (c == between || ends) {
            if (c == '\r' && i + 1 == n && !last) return SKIVE_OK; /* LF may follow */
            if (b->n == SKV_MOST_COLUMNS) {
                out->end = TOO_MANY;
                return SKIVE_OK;
            }
            SKV_TRY(add_cell(b, start, to++, quoted));
            start = to;
            quoted = false;
            state = START;
            if (!ends) continue;
            out->end = ROW;
            out->lines++;
            out->length = i + 1 + (c == '\r' && i + 1 < n && in[i + 1] == '\n');
            out->blank = b->n == 1 && b->cells[0].length == 0 && !b->cells[0].quoted;
            return SKIVE_OK;
        } else if (state == AFTER) {
            out->end = AFTER_QUOTE;
            return SKIVE_OK;
        } else if (state == START && c == '"' && between != '\n') {
            state = QUOTED;
            quoted = true;
            opened = i;
        } else {
            state = PLAIN;
            b->text[to++] = (char)c;
        }
    }
    if (!last) return SKIVE_OK;
    if (state == QUOTED) {
        out->end = OPEN_QUOTE;
        out->offset = opened;
        return SKIVE_OK;
    }
    SKV_TRY(add_cell(b, start, to, quoted));
    out->end = ROW;
    out->length = n;
    out->blank = b->n == 1 && b->cells[0].length == 0 && !b->cells[0].quoted;
    return SKIVE_OK;
}

/* The line of an offset in a row that begins in `line`. */
static uint64_t line_of(const unsigned char *in, size_t offset, uint64_t line) {
    for (size_t i = 0; i < offset; i++) line += in[i] == '\n';
    return line;
}

static skive_status refuse(skive_context *ctx, const skv_rows *r, const unsigned char *in, uint64_t at, uint64_t line,
                           const parsed *p) {
    const uint64_t byte = at + p->offset, where = line_of(in, p->offset, line);
    const char *path = r->path;
    switch (p->end) {
    case NUL_BYTE:
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: line %" PRIu64 ": there is a NUL byte (byte %" PRIu64
                           " of the file); this is not a text file",
                           path, where, byte);
    case AFTER_QUOTE:
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: line %" PRIu64 ", column %zu: text follows the closing quote; a quote in a quoted cell "
                           "is written twice (\"\")",
                           path, where, (size_t)p->lines + 1);
    case OPEN_QUOTE:
        return skv_fail_at(ctx, SKIVE_ERR_DATA, path,
                           "%s: line %" PRIu64 ": the quote that opens here is not closed before the end of the file",
                           path, where);
    default:
        return skv_fail_at(ctx, SKIVE_ERR_LIMIT, path, "%s: line %" PRIu64 ": has more than %d columns", path, where,
                           (int)SKV_MOST_COLUMNS);
    }
}

static skive_status check_text(skive_context *ctx, const skv_rows *r, const unsigned char *in, size_t n, uint64_t at,
                               uint64_t line) {
    const size_t good = skv_utf8_valid((const char *)in, n);
    if (good == n) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path,
                       "%s: line %" PRIu64 ": is not UTF-8 (byte %" PRIu64
                       " of the file is 0x%02x); convert the file, e.g. with iconv -f latin1 -t utf-8",
                       r->path, line_of(in, good, line), at + good, in[good]);
}

/* ---- the file ---- */

static skive_status skip_mark(skive_context *ctx, skv_rows *r) {
    unsigned char head[3] = {0};
    size_t got;
    SKV_TRY(skv_file_read_at(ctx, r->path, r->fd, 0, head, sizeof head, &got));
    if (got >= 2 && ((head[0] == 0xff && head[1] == 0xfe) || (head[0] == 0xfe && head[1] == 0xff)))
        return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path, "%s: is UTF-16 (byte order mark); save it as UTF-8", r->path);
    if (got >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path, "%s: is compressed; unpack it first (gunzip)", r->path);
    if (got >= 3 && head[0] == 'P' && head[1] == 'K' && head[2] < 8)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path,
                           "%s: is a zip archive or a spreadsheet, not text; unpack it, or export it as CSV", r->path);
    if (got == 3 && head[0] == 0xef && head[1] == 0xbb && head[2] == 0xbf) r->begin = 3;
    if (r->size > r->begin) return SKIVE_OK;
    return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path, "%s: the file is empty", r->path);
}

skive_status skv_rows_open(skive_context *ctx, const char *path, char separator, skv_rows **out) {
    skv_rows *r = NULL;
    skive_status status;
    *out = NULL;
    SKV_TRY(skv_alloc_array(ctx, 1, sizeof *r, &r));
    *r = (skv_rows){.ctx = ctx, .fd = -1, .separator = separator};
    SKV_GO(status, fail, skv_strdup(ctx, path, &r->path));
    SKV_GO(status, fail, skv_row_buffer_create(ctx, &r->buffer));
    SKV_GO(status, fail, skv_file_open(ctx, path, &r->fd, &r->size));
    SKV_GO(status, fail, skip_mark(ctx, r));
    skv_rows_rewind(r);
    *out = r;
    return SKIVE_OK;
fail:
    skv_rows_free(r);
    return status;
}

void skv_rows_free(skv_rows *r) {
    if (!r) return;
    skive_context *ctx = r->ctx;
    skv_file_close(r->fd);
    skv_row_buffer_free(r->buffer);
    skv_free(ctx, r->path);
    skv_free(ctx, r);
}

const char *skv_rows_path(const skv_rows *r) { return r->path; }

void skv_rows_set_separator(skv_rows *r, char separator) { r->separator = separator; }

void skv_rows_rewind(skv_rows *r) {
    r->at = r->begin;
    r->line = 1;
}

skive_status skv_rows_next(skv_rows *r, skv_row *out, bool *end) {
    skv_row_buffer *b = r->buffer;
    parsed p;
    *end = r->at >= r->size;
    *out = (skv_row){.at = r->at, .line = r->line};
    if (*end) return SKIVE_OK;
    for (size_t want = 1;;) {
        /* What is present may hold the row; if not, more is read. */
        SKV_TRY(load(r->ctx, r, r->at, want, b));
        const unsigned char *in = b->bytes + (size_t)(r->at - b->from);
        const size_t n = b->have - (size_t)(r->at - b->from);
        const bool last = b->from + b->have >= r->size || n < want;
        if (n == 0) {
            *end = true; /* the file has become shorter */
            return SKIVE_OK;
        }
        SKV_TRY(parse(b, r->separator, in, n, last, &p));
        if (p.end == MORE && n >= SKV_LONGEST_ROW)
            return skv_fail_at(r->ctx, SKIVE_ERR_LIMIT, r->path, "%s: line %" PRIu64 ": the %s", r->path, r->line,
                               r->separator == '\n' ? "line is longer than 16 MiB"
                                                    : "row is longer than 16 MiB; is a quote not closed?");
        if (p.end == MORE) {
            want = n < WINDOW ? WINDOW : 2 * n;
            continue;
        }
        if (p.end != ROW) {
            if (p.end == AFTER_QUOTE) p.lines = b->n;
            return refuse(r->ctx, r, in, r->at, r->line, &p);
        }
        SKV_TRY(check_text(r->ctx, r, in, p.length, r->at, r->line));
        break;
    }
    out->cells = b->cells;
    out->n = b->n;
    out->blank = p.blank;
    out->length = (uint32_t)p.length;
    r->at += p.length;
    r->line += p.lines;
    return SKIVE_OK;
}

skive_status skv_rows_at(skive_context *ctx, const skv_rows *r, uint64_t at, uint32_t length, bool ahead,
                         skv_row_buffer *b, skv_row *out) {
    parsed p = {.end = MORE};
    const bool present = b->of == r && at >= b->from && at + length <= b->from + b->have;
    *out = (skv_row){.at = at, .length = length};
    SKV_TRY(load(ctx, r, at, present || !ahead || length > WINDOW ? length : WINDOW, b));
    const size_t skip = (size_t)(at - b->from);
    const unsigned char *in = b->bytes + skip;
    const bool whole = b->have >= skip + length;
    if (whole) SKV_TRY(parse(b, r->separator, in, length, true, &p));
    if (p.end != ROW || p.length != length || skv_utf8_valid((const char *)in, length) != length)
        return skv_fail_at(ctx, SKIVE_ERR_DATA, r->path,
                           "%s: the file has changed since it was opened (at byte %" PRIu64 ")", r->path, at);
    out->cells = b->cells;
    out->n = b->n;
    out->blank = p.blank;
    return SKIVE_OK;
}

/* ---- the separator ---- */

skive_status skv_rows_guess_separator(skv_rows *r, char *out) {
    static const char known[] = {',', ';', '\t', '|'};
    size_t counts[sizeof known] = {0}, best = 0;
    bool quoted = false;
    SKV_TRY(load(r->ctx, r, r->begin, WINDOW, r->buffer));
    const unsigned char *in = r->buffer->bytes;
    for (size_t i = 0; i < r->buffer->have && (quoted || (in[i] != '\n' && in[i] != '\r')); i++) {
        if (in[i] == '"') quoted = !quoted;
        for (size_t k = 0; k < sizeof known && !quoted; k++) counts[k] += in[i] == (unsigned char)known[k];
    }
    for (size_t k = 1; k < sizeof known; k++) {
        if (counts[k] > counts[best]) best = k;
    }
    *out = known[best];
    return SKIVE_OK;
}
