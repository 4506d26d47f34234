/* Coupling of LSTM, GRU and RNN. */
#include "ops/recurrent/common_recurrent.h"

/* Axis `axis` of input i is so many gates of hidden units. */
static void couple_gates(skv_couple *c, int i, int axis, skv_slot hidden) {
    const int64_t n = skv_couple_length(c, SKV_CIN(i, axis)), units = skv_couple_length(c, hidden);
    if (n < 0 || units < 1 || n % units != 0) return;
    const skv_slot gates = skv_couple_factor(c, n / units);
    if (n > units) skv_couple_fix(c, gates, "these are the gates of a recurrent cell");
    skv_couple_product(c, SKV_CIN(i, axis), 0, gates, hidden);
}

void skv_recurrent_couple(skv_couple *c) {
    const bool batch_first = skv_attr_int(skv_couple_node(c), "layout", 0) != 0;
    const int batch = batch_first ? 0 : 1, state_batch = batch_first ? 0 : 1;
    const skv_slot hidden = SKV_CIN(2, 2);
    if (skv_couple_length(c, hidden) < 1) return;
    skv_couple_free(c, hidden);
    skv_couple_same(c, SKV_CIN(0, 2), SKV_CIN(1, 2));
    for (int i = 1; i < 3; i++) couple_gates(c, i, 1, hidden);
    couple_gates(c, 3, 1, hidden);
    couple_gates(c, 7, 1, hidden);
    skv_couple_same(c, SKV_COUT(0, 3), hidden);
    skv_couple_same(c, SKV_COUT(0, batch_first ? 0 : 2), SKV_CIN(0, batch));
    for (int i = 5; i < 7; i++) {
        skv_couple_same(c, SKV_CIN(i, 2), hidden);
        skv_couple_same(c, SKV_CIN(i, state_batch), SKV_CIN(0, batch));
    }
    for (int o = 1; o < 3; o++) {
        skv_couple_same(c, SKV_COUT(o, 2), hidden);
        skv_couple_same(c, SKV_COUT(o, state_batch), SKV_CIN(0, batch));
    }
    skv_couple_same(c, SKV_CIN(4, 0), SKV_CIN(0, batch));
}

skive_status skv_recurrent_shrink(const skv_shrink *s) {
    skive_node *n = skv_shrink_node(s);
    const skv_remaining hidden = skv_shrink_remaining(s, SKV_CIN(2, 2));
    if (!hidden.keep || !skv_node_attr(n, "hidden_size")) return SKIVE_OK;
    return skv_node_set_attr(n, &SKV_INT("hidden_size", hidden.after));
}
