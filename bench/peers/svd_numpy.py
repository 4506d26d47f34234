"""The leading singular values and vectors of a square matrix of normal numbers by random projection in NumPy, float32: 16 columns more than the
rank, three power iterations with a QR decomposition on either side (Halko, Martinsson & Tropp 2011, algorithm 4.4).

    python svd_numpy.py [--size 4096] [--rank 256] [--threads 1]
"""

import argparse
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv))

import numpy as np  # noqa: E402


def leading(a, rank, rng):
    q = np.linalg.qr(a @ rng.standard_normal((a.shape[1], rank + 16), dtype=np.float32))[0]
    for _ in range(3):
        q = np.linalg.qr(a @ np.linalg.qr(a.T @ q)[0])[0]
    u, s, vt = np.linalg.svd(q.T @ a, full_matrices=False)
    return q @ u[:, :rank], s[:rank], vt[:rank]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rank", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    a = rng.standard_normal((args.size, args.size), dtype=np.float32)
    kept = (leading(a, args.rank, rng)[1] ** 2).sum() / (a**2).sum()
    print(f"svd_numpy: share of the squared norm left out: {1 - kept:.6f}", file=sys.stderr)
    protocol.serve(lambda: leading(a, args.rank, rng), lambda: {"version": "numpy " + np.__version__})


main()
