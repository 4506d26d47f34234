/* Messages, notes and log lines.
 *
 * A message is formatted on the stack first, since its arguments may point into the message it replaces, and lives in
 * an array inside the context, since there may be no memory left. All become one line of printable text: names from a
 * hostile file must not reach the terminal as control sequences. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/context.h"

static void one_line(char *text) {
    skv_utf8_mend(text);
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c == '\n' || *c == '\t' || *c == '\r')
            *c = ' ';
        else if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

/* Marks a truncated text, with room for three more characters. */
static void add_dots(char *text) {
    skv_utf8_trim(text);
    memcpy(text + strlen(text), "...", 4);
}

/* Copies what fits; truncated text ends in "...". */
static void copy_text(char *to, size_t size, const char *from) {
    size_t length = strlen(from);
    if (length < size) {
        memcpy(to, from, length + 1);
    } else {
        memcpy(to, from, size - 4);
        to[size - 4] = '\0';
        add_dots(to);
    }
}

static void format_line(char *buffer, size_t size, const char *format, va_list args) {
    int length = vsnprintf(buffer, size, format, args);
    if (length < 0) {
        copy_text(buffer, size, "(a message that could not be formatted)");
    } else if ((size_t)length >= size) {
        buffer[size - 4] = '\0';
        add_dots(buffer);
    }
    one_line(buffer);
}

skive_status(skv_fail)(skive_context *ctx, skive_status code, const char *format, ...) {
    if (!ctx) return code;
    char line[SKV_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    format_line(line, sizeof line, format, args);
    va_end(args);
    copy_text(ctx->message, sizeof ctx->message, line);
    ctx->subject[0] = '\0';
    return code;
}

skive_status(skv_fail_at)(skive_context *ctx, skive_status code, const char *subject, const char *format, ...) {
    if (!ctx) return code;
    char line[SKV_MESSAGE_SIZE], name[SKV_SUBJECT_SIZE];
    va_list args;
    va_start(args, format);
    format_line(line, sizeof line, format, args);
    va_end(args);
    copy_text(name, sizeof name, subject ? subject : "");
    one_line(name);
    copy_text(ctx->message, sizeof ctx->message, line);
    copy_text(ctx->subject, sizeof ctx->subject, name);
    return code;
}

skive_status(skv_fail_prefix)(skive_context *ctx, skive_status code, const char *format, ...) {
    if (!ctx) return code;
    char prefix[SKV_MESSAGE_SIZE], line[2 * SKV_MESSAGE_SIZE + 2];
    va_list args;
    va_start(args, format);
    format_line(prefix, sizeof prefix, format, args);
    va_end(args);
    (void)snprintf(line, sizeof line, "%s%s%s", prefix, ctx->message[0] ? ": " : "", ctx->message);
    copy_text(ctx->message, sizeof ctx->message, line);
    return code;
}

void skv_fail_cut(skive_context *ctx, const char *beginning) {
    const size_t n = strlen(beginning);
    if (ctx && strncmp(ctx->message, beginning, n) == 0)
        memmove(ctx->message, ctx->message + n, strlen(ctx->message + n) + 1);
}

const char *skv_errno_text(int error, char *buffer, size_t size) {
#ifdef __GLIBC__
    return strerror_r(error, buffer, size); /* GNU's gives the text, */
#else
    return strerror_r(error, buffer, size) == 0 ? buffer : "unknown error"; /* POSIX's a number */
#endif
}

skive_status(skv_fail_errno)(skive_context *ctx, const char *path, const char *action, int error) {
    char buffer[128];
    const char *reason = skv_errno_text(error, buffer, sizeof buffer);
    return skv_fail_at(ctx, error == ENOMEM ? SKIVE_ERR_MEMORY : SKIVE_ERR_IO, path, "%s: cannot %s: %s", path, action,
                       reason);
}

void skv_note(skive_context *ctx, const char *format, ...) {
    if (!ctx || ctx->note_count >= SKV_NOTES_MAX) return;
    char line[SKV_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    format_line(line, sizeof line, format, args);
    va_end(args);
    /* Reported once, even if it occurs repeatedly, as in each epoch. */
    for (size_t i = 0; i < ctx->note_count; i++) {
        if (strcmp(ctx->notes[i], line) == 0) return;
    }
    /* The raw allocator: a note without memory is dropped and must not replace the message. */
    if (ctx->note_count == ctx->note_capacity) {
        size_t capacity = ctx->note_capacity ? ctx->note_capacity * 2 : 16;
        char **notes = skv_raw_alloc(ctx, capacity * sizeof *notes);
        if (!notes) return;
        if (ctx->note_count) memcpy(notes, ctx->notes, ctx->note_count * sizeof *notes);
        skv_free(ctx, ctx->notes);
        ctx->notes = notes;
        ctx->note_capacity = capacity;
    }
    size_t size = strlen(line) + 1;
    char *copy = skv_raw_alloc(ctx, size);
    if (!copy) return;
    memcpy(copy, line, size);
    ctx->notes[ctx->note_count++] = copy;
}

void skv_log(skive_context *ctx, skive_log_level level, const char *format, ...) {
    if (!ctx || !ctx->log || level > ctx->log_level) return;
    char line[SKV_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    format_line(line, sizeof line, format, args);
    va_end(args);
    ctx->log(ctx->log_user, level, line);
}
