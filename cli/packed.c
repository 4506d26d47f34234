/* The contents of a packed file, as text and as JSON. */
#include "cli.h"

static const char *shape_text(const skive_pack_row *r, char *buffer, size_t size) {
    int at = snprintf(buffer, size, "%s[", skive_dtype_name(r->dtype));
    for (int d = 0; d < r->rank && (size_t)at < size; d++)
        at += snprintf(buffer + at, size - (size_t)at, "%s%lld", d ? "," : "", (long long)r->dims[d]);
    if ((size_t)at < size) snprintf(buffer + at, size - (size_t)at, "]");
    return buffer;
}

void cli_print_pack_rows(const skive_pack_report *r) {
    static const char *const heads[] = {"<parameter", "<type",     "non-zeros", "<form",    "<coder",     "bytes",
                                        "values",     "positions", "both",      "codebook", "bits/weight"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char text[160];
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_pack_row *row = &r->rows[i];
        cli_table_cell(t, "%s", row->parameter[0] ? row->parameter : "-");
        cli_table_cell(t, "%s", shape_text(row, text, sizeof text));
        cli_table_cell(t, "%s", cli_thousands(row->nonzeros, text, sizeof text));
        cli_table_cell(t, "%s", row->form);
        cli_table_cell(t, "%s", row->coder);
        cli_table_cell(t, "%zu", row->bytes);
        const size_t parts[] = {row->values, row->positions, row->together, row->table};
        for (size_t k = 0; k < CLI_COUNT(parts); k++) {
            if (parts[k])
                cli_table_cell(t, "%zu", parts[k]);
            else
                cli_table_cell(t, "%s", "-");
        }
        if (row->count)
            cli_table_cell(t, "%.3f", 8.0 * (double)row->bytes / (double)row->count);
        else
            cli_table_cell(t, "%s", "-");
    }
    cli_table_print(t, stdout);
}

typedef struct purpose {
    const char *key, *name;
    size_t bytes;
} purpose;
enum { PURPOSES = 10 };

static void purposes(const skive_pack_report *r, purpose out[PURPOSES]) {
    const purpose all[PURPOSES] = {{"values", "values", r->values},
                                   {"positions", "positions", r->positions},
                                   {"together", "positions and values in one", r->together},
                                   {"codebooks", "codebooks and scales", r->tables},
                                   {"heads", "types and shapes of weights", r->heads},
                                   {"biases", "biases, scales, shifts", r->biases},
                                   {"graph", "graph", r->graph},
                                   {"names", "names", r->names},
                                   {"metadata", "metadata", r->meta},
                                   {"frame", "header and checksums", r->frame}};
    for (int i = 0; i < PURPOSES; i++) out[i] = all[i];
}

void cli_print_pack_purposes(const skive_pack_report *r) {
    static const char *const heads[] = {"<purpose", "bytes", "share"};
    purpose list[PURPOSES];
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    purposes(r, list);
    for (int i = 0; i < PURPOSES; i++) {
        if (!list[i].bytes) continue;
        cli_table_cell(t, "%s", list[i].name);
        cli_table_cell(t, "%zu", list[i].bytes);
        cli_table_cell(t, "%.1f %%", 100.0 * (double)list[i].bytes / (double)r->file_bytes);
    }
    cli_table_rule(t);
    cli_table_cell(t, "file");
    cli_table_cell(t, "%zu", r->file_bytes);
    cli_table_cell(t, "%.3f bits/parameter", r->parameters ? 8.0 * (double)r->file_bytes / (double)r->parameters : 0.0);
    cli_table_print(t, stdout);
}

json_t *cli_pack_json(const skive_pack_report *r) {
    json_t *rows = json_array(), *parts = json_object();
    purpose list[PURPOSES];
    char text[160];
    for (size_t i = 0; i < r->n_rows; i++) {
        const skive_pack_row *row = &r->rows[i];
        json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "parameter",
                              cli_json_text(row->parameter), "type", shape_text(row, text, sizeof text), "elements",
                              (json_int_t)row->count, "nonzeros", (json_int_t)row->nonzeros, "form", row->form, "coder",
                              row->coder, "bytes", (json_int_t)row->bytes, "values", (json_int_t)row->values,
                              "positions", (json_int_t)row->positions, "together", (json_int_t)row->together,
                              "codebook", (json_int_t)row->table);
        if (row->error > 0) json_object_set_new(j, "relative_error", json_real(row->error));
        json_array_append_new(rows, j);
    }
    purposes(r, list);
    for (int i = 0; i < PURPOSES; i++) json_object_set_new(parts, list[i].key, json_integer((json_int_t)list[i].bytes));
    json_t *j =
        json_pack("{s:I, s:I, s:I, s:o, s:o}", "bytes", (json_int_t)r->file_bytes, "parameters",
                  (json_int_t)r->parameters, "nonzeros", (json_int_t)r->nonzeros, "purposes", parts, "tensors", rows);
    if (r->han_fixed > 0) json_object_set_new(j, "deep_compression_fixed_bytes", json_real(r->han_fixed));
    if (r->han_huffman > 0) json_object_set_new(j, "deep_compression_huffman_bytes", json_real(r->han_huffman));
    return j;
}
