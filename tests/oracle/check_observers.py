#!/usr/bin/env python3
"""Compares the ranges that skive's calibration methods choose with an independent implementation in numpy.

    check_observers.py SKIVE

Each distribution is given as samples of a model of one product, whose input's range `quantize --json` tells. minmax and percentile
are compared by value; mse by the error its range makes of the values themselves; entropy by the divergence after Migacz (8-bit
inference with TensorRT, 2017) as PyTorch's quantization toolkit computes it: 2048 bins, the bin at zero as full as its
neighbour, what lies outside counted into the outermost bin, empty bins left empty in the candidate, which are smoothed to one value where outliers are counted into one of them."""

import json, os, subprocess, sys, tempfile
import numpy as np, onnx
from onnx import helper, numpy_helper

SKIVE = os.path.abspath(sys.argv[1])
N, K = 500, 100
r = np.random.default_rng(5)
wrong = []


def distributions():
    normal = r.standard_normal((N, K))
    scales = 10 ** r.uniform(-1.5, 0.3, K)
    yield 'normal', normal
    yield 'laplace', r.laplace(size=(N, K))
    yield 'relu', np.maximum(normal, 0)
    yield 'relu, mostly zero', np.maximum(normal - 1.5, 0)
    yield 'heavy tails', r.standard_t(3, (N, K))
    yield 'bimodal', normal * 0.2 + np.sign(r.standard_normal((N, K))) * 3
    yield 'sparse', normal * (r.random((N, K)) < 0.02)
    yield 'constant', np.full((N, K), 2.5)
    yield 'one-sided far from zero', 7 + 0.3 * normal
    yield 'negative', -np.abs(normal)
    yield 'lopsided (hard swish)', normal * np.clip(normal + 3, 0, 6) / 6 * 3
    yield 'depthwise (channels of many scales)', normal * scales
    yield 'depthwise (and samples of many volumes)', normal * scales * np.exp(r.standard_normal((N, 1)))
    yield 'uniform', r.random((N, K))
    yield 'outlier', np.where(np.arange(N * K).reshape(N, K) == 777, 60, np.abs(normal))
    yield 'tiny', 1e-12 * normal


def grid(low, high):
    """Scale and zero point of asymmetric u8 that holds zero."""
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / 255 or 1.0
    return scale, np.clip(np.rint(-low / scale), 0, 255)


def error(x, scale, zero):
    q = np.clip(np.rint(x / scale) + zero, 0, 255)
    return ((scale * (q - zero) - x) ** 2).mean()


def divergence(bins, first, last, levels=256):
    """Of what is left of `bins` when [first, last) is quantized to so many levels."""
    p = bins[first:last].copy()
    level = np.minimum((np.arange(len(p)) * levels) // len(p), levels - 1)
    used = p > 0
    mass, n = np.bincount(level, p, levels), np.bincount(level, used, levels)
    q = np.where(used, mass[level] / np.maximum(n[level], 1), 0)
    p[0] += bins[:first].sum()
    p[-1] += bins[last:].sum()
    if not q.sum():
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    q[q == 0] = 1 / bins.sum()
    return (p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum()


def entropy(x):
    """Bins, their width, where zero lies, and each candidate's (half width in bins, divergence)."""
    top = np.abs(x).max()
    width = top / 2048
    below, above = int(np.ceil(max(0, -x.min()) / width)), int(np.ceil(max(0, x.max()) / width))
    bins = np.histogram(x, below + above, (-below * width, above * width))[0].astype(float)
    zero = min(below, below + above - 1) if above else below - 1
    beside = [bins[i] for i in (zero - 1, zero + 1) if 0 <= i < len(bins)]
    bins[zero] = min(bins[zero], np.mean(beside))
    found = []
    for half in range(128, 2049, 8):
        first, last = max(0, below - half), min(below + above, below + half)
        if last - first >= 256:
            found.append((half, divergence(bins, first, last)))
    return bins, width, below, above, found


def ask(folder, x, method):
    """Scale and zero point that skive chooses. All samples are of one batch, so that all calibrate."""
    np.save(folder + '/x.npy', x)
    out = subprocess.run([SKIVE, 'quantize', folder + '/m.onnx', '-i', f'x={folder}/x.npy', '--batch', str(len(x)), '--calibration', method,
                          '-o', folder + '/q.onnx', '--json', '-t', '1'], capture_output=True, text=True)
    if out.returncode:
        sys.exit(f'{method}: {out.stderr}')
    row = next(v for v in json.loads(out.stdout)['values'] if v['name'] == 'x')
    return row['scale'], row['zero_point']


def must(holds, what):
    if not holds:
        wrong.append(what)


def check(folder, name, x):
    near = lambda a, b, part: abs(a - b) <= part * abs(b)
    scale, zero = ask(folder, x, 'minmax')
    want = grid(x.min(), x.max())
    must(near(scale, want[0], 1e-5) and zero == want[1], f'{name}, minmax: {scale} {zero}, not {want}')

    scale, zero = ask(folder, x, 'percentile')
    want = grid(*np.percentile(x, [0.01, 99.99]))
    must(near(scale, want[0], 0.05) and abs(zero - want[1]) <= 3, f'{name}, percentile: {scale} {zero}, not {want}')

    scale, zero = ask(folder, x, 'mse')
    best = min(error(x, *grid(x.min() * k / 100, x.max() * k / 100)) for k in range(20, 101))
    got = error(x, scale, zero)
    must(got <= 1.03 * best + 1e-12 * (x**2).mean(), f'{name}, mse: error {got:.4g}, the least is {best:.4g}')

    scale, zero = ask(folder, x, 'entropy')
    bins, width, below, above, found = entropy(x)
    if found:
        half = max(zero, 255 - zero) * scale / width
        least = min(d for _, d in found)
        # The reference's divergence where skive's range ends: nearly the least there is.
        at = min(found, key=lambda f: abs(f[0] - half))
        window = [d for h, d in found if abs(h - at[0]) <= 64]
        must(min(window) <= 1.3 * least + 0.001,
             f'{name}, entropy: range {half:.0f} of 2048 bins, divergence {min(window):.4g}; the least is {least:.4g} at '
             f'{min(found, key=lambda f: f[1])[0]}')


def main():
    with tempfile.TemporaryDirectory() as folder:
        w = numpy_helper.from_array(r.standard_normal((K, 4)).astype(np.float32), 'w')
        value = helper.make_tensor_value_info
        g = helper.make_graph([helper.make_node('MatMul', ['x', 'w'], ['y'])], 'g', [value('x', 1, ['N', K])],
                              [value('y', 1, ['N', 4])], [w])
        onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid('', 17)], ir_version=9), folder + '/m.onnx')
        n = 0
        for name, x in distributions():
            check(folder, name, x.astype(np.float32))
            n += 1
    print('\n'.join(wrong) or f'{n} distributions: the ranges of all four methods agree')
    sys.exit(1 if wrong else 0)


main()
