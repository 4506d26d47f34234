/* Cholesky's method from the last column to the first, in blocks of columns: what later columns subtract from a block
 * is computed row by row, while the rows of the block stay in the cache. */
#include "base/cholesky.h"

#include <math.h>

enum { BLOCK = 48 };

static double dot(const double *x, const double *y, int64_t n) {
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s[0] += x[i] * y[i];
        s[1] += x[i + 1] * y[i + 1];
        s[2] += x[i + 2] * y[i + 2];
        s[3] += x[i + 3] * y[i + 3];
    }
    for (; i < n; i++) s[0] += x[i] * y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Columns first to end of the rows above the block, once the block itself is done. */
static void solve_row(double *row, const double *a, int64_t n, int64_t first, int64_t end) {
    for (int64_t j = end; j-- > first;) {
        const double *m = a + j * n;
        row[j] = (row[j] - dot(row + j + 1, m + j + 1, end - j - 1)) / m[j];
    }
}

bool skv_cholesky_upper(double *a, int64_t n, int threads) {
    for (int64_t end = n; end > 0;) {
        const int64_t first = end > BLOCK ? end - BLOCK : 0;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && end > 4 * BLOCK)
        for (int64_t i = 0; i < end; i++) {
            for (int64_t j = first > i ? first : i; j < end; j++)
                a[i * n + j] -= dot(a + i * n + end, a + j * n + end, n - end);
        }
        for (int64_t j = end; j-- > first;) {
            const double d = a[j * n + j] - dot(a + j * n + j + 1, a + j * n + j + 1, end - j - 1);
            if (!(d > 0) || !isfinite(d)) return false;
            a[j * n + j] = sqrt(d);
            for (int64_t i = first; i < j; i++)
                a[i * n + j] = (a[i * n + j] - dot(a + i * n + j + 1, a + j * n + j + 1, end - j - 1)) / a[j * n + j];
        }
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && first > 4 * BLOCK)
        for (int64_t i = 0; i < first; i++) solve_row(a + i * n, a, n, first, end);
        end = first;
    }
    return true;
}

void skv_cholesky_solve(const double *m, int64_t n, double *x) {
    for (int64_t i = n; i-- > 0;) x[i] = (x[i] - dot(m + i * n + i + 1, x + i + 1, n - i - 1)) / m[i * n + i];
    for (int64_t i = 0; i < n; i++) { /* with the transpose, row by row */
        x[i] /= m[i * n + i];
        const double *row = m + i * n;
        for (int64_t k = i + 1; k < n; k++) x[k] -= row[k] * x[i];
    }
}

/* Column by column of the result, as rows of the transposed factor would have it. */
void skv_cholesky_invert(const double *m, int64_t n, double *u, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) if (threads > 1 && n > 4 * BLOCK)
    for (int64_t r = 0; r < n; r++) { /* row r of u: u_r m = e_r */
        double *to = u + r * n;
        for (int64_t k = 0; k < n; k++) to[k] = 0;
        to[r] = 1;
        for (int64_t k = r; k < n; k++) {
            to[k] /= m[k * n + k];
            const double x = to[k];
            for (int64_t j = k + 1; j < n; j++) to[j] -= x * m[k * n + j];
        }
    }
}
