"""k-means of random weights in one dimension, started evenly between the least and the largest, until nothing moves (1,000 iterations at most), and
the index of every weight. With NumPy: sorted, by cumulative sums, which is the way skive does it; or with scikit-learn's KMeans (Lloyd).

    python kmeans_numpy.py [--weights 1000000] [--bits 4] [--threads 1] [--sklearn]
"""

import argparse
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv))

import numpy as np  # noqa: E402


def by_sums(w, k):
    x = np.sort(w)
    sums = np.concatenate([[0], np.cumsum(x, dtype=np.float64)])
    centers, before = np.linspace(x[0], x[-1], k, dtype=np.float64), None
    for _ in range(1000):
        ends = np.concatenate([[0], np.searchsorted(x, (centers[1:] + centers[:-1]) / 2, side="right"), [x.size]])
        if before is not None and np.array_equal(ends, before):
            break
        counts = np.diff(ends)
        centers = np.where(counts > 0, (sums[ends[1:]] - sums[ends[:-1]]) / np.maximum(counts, 1), centers)
        before = ends
    return centers.astype(np.float32), np.searchsorted((centers[1:] + centers[:-1]) / 2, w).astype(np.uint8)


def by_sklearn(w, k):
    from sklearn.cluster import KMeans

    start = np.linspace(w.min(), w.max(), k, dtype=np.float32).reshape(-1, 1)
    model = KMeans(k, init=start, n_init=1, max_iter=1000, tol=0).fit(w.reshape(-1, 1))
    return model.cluster_centers_, model.labels_.astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, default=1000000)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sklearn", action="store_true")
    args = parser.parse_args()
    w = np.random.default_rng(1).normal(0, 0.05, args.weights).astype(np.float32)
    cluster = by_sklearn if args.sklearn else by_sums
    version = "scikit-learn" if args.sklearn else "numpy " + np.__version__
    protocol.serve(lambda: cluster(w, 1 << args.bits), lambda: {"version": version})


main()
