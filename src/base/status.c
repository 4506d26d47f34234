/* Names, meanings and exit statuses of the status codes, from status.inc. */
#include <skive/status.h>

typedef struct status_row {
    skive_status code;
    int exit_status;
    const char *name;
    const char *brief;
} status_row;

static const status_row rows[] = {
#define X(name, code, exit, brief) {SKIVE_##name, exit, #name, brief},
#include <skive/status.inc>
#undef X
};

static const status_row *find(skive_status status) {
    const status_row *internal = &rows[0];
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == status) return &rows[i];
        if (rows[i].code == SKIVE_ERR_INTERNAL) internal = &rows[i];
    }
    return internal;
}

const char *skive_status_name(skive_status status) { return find(status)->name; }

const char *skive_status_brief(skive_status status) { return find(status)->brief; }

int skive_status_exit(skive_status status) { return find(status)->exit_status; }
