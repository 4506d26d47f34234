/* Whether an output would overwrite a file of the data set that is read. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli.h"

/* A file that data sets read from folders, by the ending of its name. */
static bool is_sample_file(const char *path) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".bmp", ".wav",   ".flac", ".ogg",
                                          ".txt", ".csv", ".tsv",  ".bin", "-ubyte", ".gz"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < CLI_COUNT(endings); i++) {
        const size_t n = strlen(endings[i]);
        if (length > n && strcasecmp(path + length - n, endings[i]) == 0) return true;
    }
    return false;
}

/* Does the file, which is there, lie in this folder or below it? */
static bool lies_in(const char *path, const char *folder) {
    char *file = realpath(path, NULL), *dir = realpath(folder, NULL);
    const size_t n = dir ? strlen(dir) : 0;
    const bool in = file && dir && strncmp(file, dir, n) == 0 && (file[n] == '/' || (n == 1 && dir[0] == '/'));
    free(file);
    free(dir);
    return in;
}

/* Whether a path in the text of a data set, such as npy:x.npy,y.npy or inputs:a=x.npy;b=z.npy, names this file, or
 * a folder with this file of samples in it. Each kind has its own marks, so every piece between marks that is a file or
 * folder is taken for one. */
skive_status cli_is_in_spec(const char *spec, const char *path, bool *is) {
    static const char marks[] = ":,;=";
    struct stat s;
    char *piece = malloc(strlen(spec) + 1);
    *is = false;
    if (!piece) return SKIVE_ERR_MEMORY;
    for (const char *from = spec; *from && !*is; from++) {
        size_t n = 0;
        if (from != spec && !strchr(marks, from[-1])) continue;
        for (const char *at = from; !*is; at++) {
            piece[n] = '\0';
            if ((!*at || strchr(marks, *at)) && n && stat(piece, &s) == 0) {
                if (S_ISREG(s.st_mode)) *is = *is || cli_same_file(path, piece);
                if (S_ISDIR(s.st_mode)) *is = *is || (is_sample_file(path) && lies_in(path, piece));
            }
            if (!*at) break;
            if (at[0] == '\\' && at[1] && strchr(",;\\", at[1])) at++;
            piece[n++] = *at;
        }
    }
    free(piece);
    return SKIVE_OK;
}
