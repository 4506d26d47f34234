/* Runs the files of the folders it is given through the target it is linked with. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

enum { LARGEST = 16 << 20 };

static int replay(const char *path) {
    static uint8_t buffer[LARGEST];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    const size_t size = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    /* A block of its own size, so that a sanitizer sees a read beyond the end. */
    uint8_t *data = malloc(size ? size : 1);
    if (!data) return 1;
    for (size_t i = 0; i < size; i++) data[i] = buffer[i];
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0, count = 0;
    (void)LLVMFuzzerTestOneInput(NULL, 0);
    for (int a = 1; a < argc; a++) {
        DIR *folder = opendir(argv[a]);
        if (!folder) continue; /* no such input is known yet */
        const struct dirent *entry;
        while ((entry = readdir(folder))) {
            char path[4096];
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[a], entry->d_name);
            failed += replay(path);
            count++;
        }
        closedir(folder);
    }
    printf("%d files\n", count);
    return failed != 0;
}
