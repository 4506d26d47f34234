/* Regular expressions with RE2's syntax over UTF-8, for the questions that string operators ask: does the whole text
 * match, and where does the first, longest match end. Both are answered by stepping all states at once, in time
 * proportional to text times pattern, whatever the pattern.
 *
 * Not supported, and refused: classes of Unicode properties (\p), single bytes (\C). Back references and look-around
 * are no part of RE2. Classes like \w and \d and word boundaries are of ASCII, as RE2's are; (?i) folds Latin, Greek
 * and Cyrillic letters. */
#ifndef SKV_OPS_COMMON_REGEX_H
#define SKV_OPS_COMMON_REGEX_H

#include "base/base.h"

typedef struct skv_regex skv_regex;

/* ERR_UNSUPPORTED with the reason, for what is not supported and what is no expression. */
skive_status skv_regex_compile(skive_context *ctx, const char *pattern, skv_regex **out);
void skv_regex_free(skv_regex *re); /* NULL is accepted */
/* One thread at a time. */
bool skv_regex_matches(skv_regex *re, const char *text, size_t n); /* all of it */
/* The first match at or after `from`, of those that begin there the longest. */
bool skv_regex_find(skv_regex *re, const char *text, size_t n, size_t from, size_t *first, size_t *end);

#endif
