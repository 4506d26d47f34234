/* Levels that are whole multiples of one number. */
#include "tensor/grid_whole.h"

int32_t skv_grid_whole(const skv_grid *grid) {
    if (grid == &skv_grid_binary) return 1;
    /* of other codes a level is not the table's alone */
    if (!grid->table || grid->encode != skv_table_encode) return 0;
    for (int32_t by = 1; by <= INT8_MAX; by++) {
        bool all = true;
        for (int32_t c = grid->low; all && c <= grid->high; c++) {
            const float level = grid->table[c - grid->low] * (float)by;
            all = level == rintf(level) && level >= INT8_MIN && level <= INT8_MAX;
        }
        if (all) return by;
    }
    return 0;
}
