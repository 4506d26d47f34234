/* tsv: csv with tabs between the cells. */
#include "data/tables/table.h"

static const skv_option options[] = {SKV_SHEET_OPTIONS};

const skv_dataset_kind skv_dataset_tsv = {
    .name = "tsv",
    .syntax = "tsv:FILE[,label=COLUMN,test=FILE]",
    .brief = "the same, with tabs between the cells",
    SKV_OPTIONS(options),
    .needs_args = true,
    .open = skv_csv_open,
    .read = skv_csv_read,
    .load = skv_csv_load,
    .close = skv_csv_close,
};
