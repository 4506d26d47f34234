/* How few bits weights need. */
#include "kernels/int8/few.h"

static int32_t common(int32_t a, int32_t b) {
    while (b) {
        const int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int skv_q8_few_bits(const int8_t *w, size_t n, int32_t *factor) {
    int32_t least = 0, most = 0, divisor = 0;
    bool zero = false;
    for (size_t i = 0; i < n; i++) {
        const int32_t v = w[i];
        if (v == 0) {
            zero = true;
            continue;
        }
        if (divisor != 1) divisor = common(v < 0 ? -v : v, divisor);
        least = v < least ? v : least;
        most = v > most ? v : most;
        if (most > 7 * divisor || least < -8 * divisor) return 0;
    }
    *factor = divisor ? divisor : 1;
    least /= *factor;
    most /= *factor;
    if (!zero && least >= -1 && most <= 1) return 1;
    return least >= -2 && most <= 1 ? 2 : 4;
}
