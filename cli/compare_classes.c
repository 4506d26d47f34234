/* The figures of each class in skive compare: where one model is worse than another. */
#include <math.h>
#include <stdlib.h>

#include "compare.h"

enum { MOST_ROWS = 20 };

typedef struct class_row {
    int64_t class;
    double change; /* of F1, the worst among the models behind the first */
} class_row;

static int by_change(const void *a, const void *b) {
    const class_row *x = a, *y = b;
    if (x->change != y->change) return x->change < y->change ? -1 : 1;
    return x->class < y->class ? -1 : x->class > y->class;
}

static int64_t samples_of(const skive_eval_report *r, int64_t c) {
    int64_t n = 0;
    for (int64_t k = 0; r->confusion && k < r->classes; k++) n += r->confusion[c * r->classes + k];
    return n;
}

static double change_of(const compare_entry *e, size_t n, int64_t c) {
    double worst = 0;
    for (size_t i = 1; i < n; i++) {
        const double change = e[i].eval.f1[c] - e[0].eval.f1[c];
        if (i == 1 || change < worst || isnan(worst)) worst = change;
    }
    return isnan(worst) ? 1 : worst;
}

static void figure_cell(cli_table *t, double x, double first, bool is_first) {
    if (isnan(x))
        cli_table_cell(t, "-");
    else if (is_first || isnan(first))
        cli_table_cell(t, "%.4f", x);
    else
        cli_table_cell(t, "%.4f (%+.4f)", x, x - first);
}

static bool comparable(const compare_entry *e, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!e[i].eval.f1 || !e[i].eval.confusion || e[i].eval.classes != e[0].eval.classes) return false;
    return n > 1 && e[0].eval.classes > 1 && e[0].eval.task < SKIVE_TASK_VALUES && e[0].eval.task != SKIVE_TASK_LABELS;
}

void compare_print_classes(const compare_entry *e, size_t n, const skive_dataset_info *info) {
    const skive_eval_report *first = &e[0].eval;
    const char **heads = calloc(n + 2, sizeof *heads);
    class_row *rows = comparable(e, n) ? calloc((size_t)first->classes, sizeof *rows) : NULL;
    if (heads && rows) {
        heads[0] = "<F1 of class";
        heads[1] = "samples";
        for (size_t i = 0; i < n; i++) heads[i + 2] = e[i].name;
        for (int64_t c = 0; c < first->classes; c++) rows[c] = (class_row){c, change_of(e, n, c)};
        qsort(rows, (size_t)first->classes, sizeof *rows, by_change);
        cli_table *t = cli_table_new(heads, n + 2);
        for (int64_t k = 0; t && k < first->classes && k < MOST_ROWS; k++) {
            const int64_t c = rows[k].class;
            if (info->class_names && c < info->classes)
                cli_table_cell(t, "%s", info->class_names[c]);
            else
                cli_table_cell(t, "%lld", (long long)c);
            cli_table_cell(t, "%lld", (long long)samples_of(first, c));
            for (size_t i = 0; i < n; i++) figure_cell(t, e[i].eval.f1[c], first->f1[c], i == 0);
        }
        fputc('\n', stdout);
        if (t) cli_table_print(t, stdout);
        if (first->classes > MOST_ROWS)
            cli_printf("These are the %d of %lld classes that lose most.", (int)MOST_ROWS, (long long)first->classes);
    }
    free(heads);
    free(rows);
}

json_t *compare_classes_json(const skive_eval_report *r) {
    json_t *list = json_array();
    for (int64_t c = 0; c < r->classes; c++) {
        json_t *row = json_object();
        json_object_set_new(row, "samples", json_integer(samples_of(r, c)));
        json_object_set_new(row, "recall", isfinite(r->recall[c]) ? json_real(r->recall[c]) : json_null());
        json_object_set_new(row, "f1", isfinite(r->f1[c]) ? json_real(r->f1[c]) : json_null());
        json_array_append_new(list, row);
    }
    return list;
}
