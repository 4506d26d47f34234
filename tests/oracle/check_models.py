"""Runs every ONNX model below the folders given in onnxruntime and in skive, on random and on natural inputs, compares all outputs and
times both, one and two threads. Prints a Markdown table.

    check_models.py [--skive build/skive] [--seconds S] FOLDER ...

Random inputs are normal numbers, integers 0 or 1. Natural ones: images of soft shapes for inputs of rank 4, a sum of tones for the others.
A float output passes when no element is off by more than 1e-4 of the largest; integers are counted when they differ.
Latencies are medians of processes that take turns: skive bench, then onnxruntime in a process of its own, three times each.
Exit status: 0 when every model runs and no float output fails.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

import check_model

TIMER = """
import sys, time, numpy as np, onnxruntime as ort
o = ort.SessionOptions(); o.intra_op_num_threads = int(sys.argv[2]); o.inter_op_num_threads = 1; o.log_severity_level = 3
s = ort.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"])
feed = {a.partition("=")[0]: np.load(a.partition("=")[2]) for a in sys.argv[4:]}
for _ in range(5): s.run(None, feed)
times, end = [], time.perf_counter() + float(sys.argv[3])
while time.perf_counter() < end or len(times) < 20:
    t = time.perf_counter(); s.run(None, feed); times.append(time.perf_counter() - t)
print(sorted(times)[len(times) // 2])
"""

# Inputs that a model needs to be just so: the sample rate of the voice detector, and its frame of 512 samples.
FIXED = {"silero_vad_v5.onnx": {"sr": np.array(16000, np.int64), "input": (1, 512), "state": (2, 1, 128)},
         "ppocr_cls_mobilenetv3.onnx": {"x": (1, 3, 48, 192)}}


def shape_of(model, value):
    fixed = FIXED.get(os.path.basename(model), {}).get(value.name)
    if isinstance(fixed, tuple):
        return list(fixed)
    return [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]


def natural(shape, rng):
    """Soft blobs on a gradient, or tones; about -1 to 1."""
    if len(shape) == 4:
        channels_last = shape[3] <= 4
        h, w = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
        y, x = np.mgrid[0:h, 0:w] / max(h, w)
        planes = []
        for _ in range(shape[3] if channels_last else shape[1]):
            plane = 0.5 * x - 0.3 * y
            for _ in range(4):
                cy, cx, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.3)
                plane = plane + rng.uniform(-1, 1) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / r ** 2)
            planes.append(plane)
        image = np.stack(planes, axis=-1 if channels_last else 0)
        return np.broadcast_to(image, shape).copy()
    t = np.arange(int(np.prod(shape))).reshape(shape)
    return 0.3 * np.sin(0.05 * t) + 0.2 * np.sin(0.31 * t) + 0.05 * rng.standard_normal(shape)


def make_feed(model, session, rng, is_natural):
    feed = {}
    for value in session.get_inputs():
        fixed = FIXED.get(os.path.basename(model), {}).get(value.name)
        dtype, shape = check_model.dtype_of(value), shape_of(model, value)
        if isinstance(fixed, np.ndarray):
            feed[value.name] = fixed
        elif dtype.kind == "f":
            feed[value.name] = (natural(shape, rng) if is_natural else rng.standard_normal(shape)).astype(dtype)
        elif dtype in (np.int8, np.uint8):
            info = np.iinfo(dtype)
            x = natural(shape, rng) * 64 + (info.max + info.min + 1) / 2 if is_natural else rng.integers(info.min, info.max, shape)
            feed[value.name] = np.clip(np.round(x), info.min, info.max).astype(dtype)
        else:
            feed[value.name] = rng.integers(0, 2, shape).astype(dtype)
    return feed


def difference(want, got):
    """(largest difference relative to the largest value, or None for integers; elements that differ)."""
    if want.shape != got.shape or want.dtype != got.dtype:
        return float("inf"), want.size
    if want.dtype.kind in "biu":
        return None, int(np.count_nonzero(want != got))
    a, b = want.astype(np.float64), got.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf"), want.size
    scale = max(float(np.nanmax(np.abs(a))) if a.size else 0.0, 1e-30)
    return (float(np.nanmax(np.abs(a - b))) / scale if a.size else 0.0), 0


def times(skive, model, feed, folder, threads, seconds):
    paths = []
    for i, (name, array) in enumerate(feed.items()):
        paths.append("%s=%s" % (name, os.path.join(folder, "t%d.npy" % i)))
        np.save(paths[-1].partition("=")[2], np.asarray(array, order="C"))
    ours, theirs = [], []
    for _ in range(3):
        command = [skive, "bench", model, "--threads", str(threads), "--seconds", str(seconds), "--json", "--quiet"]
        for path in paths:
            command += ["--input", path]
        ours.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["p50"])
        done = subprocess.run([sys.executable, "-c", TIMER, model, str(threads), str(seconds)] + paths, stdout=subprocess.PIPE, check=True)
        theirs.append(float(done.stdout))
    return statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--skive", default=os.environ.get("SKIVE", "build/skive"))
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    models = sorted(os.path.join(root, f) for folder in args.folders for root, _, files in os.walk(folder) for f in files if f.endswith(".onnx"))
    print("| model | opset | nodes | operators | difference, random | difference, natural | skive, 1 thread | onnxruntime | ratio | skive, 2 threads | onnxruntime | ratio |")
    print("|---|---:|---:|---|---|---|---:|---:|---:|---:|---:|---:|")
    good, ratios = True, {1: [], 2: []}
    for model in models:
        proto = onnx.load(model)
        ops = sorted({n.op_type for n in proto.graph.node} | {m.op_type for n in proto.graph.node for a in n.attribute if a.HasField("g") for m in a.g.node})
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [v.name for v in session.get_outputs()]
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            for is_natural in (False, True):
                feed = make_feed(model, session, np.random.default_rng(7), is_natural)
                want, got = session.run(names, feed), check_model.run_skive(args.skive, model, feed, names, folder)
                results = [difference(w, g) for w, g in zip(want, got)]
                floats = [r for r, _ in results if r is not None]
                whole = [(n, w.size) for (r, n), w in zip(results, want) if r is None]
                good = good and all(r <= 1e-4 for r in floats)
                cells.append(", ".join((["%.1e" % max(floats)] if floats else []) + ["%d of %d integers" % w for w in whole]))
            row = []
            for threads in (1, 2):
                ours, theirs = times(args.skive, model, feed, folder, threads, args.seconds)
                ratios[threads].append(theirs / ours)
                row.append("%.3f ms | %.3f ms | %.2f" % (ours, theirs, theirs / ours))
        opset = max(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
        print("| %s | %d | %d | %s | %s | %s | %s |" % (os.path.basename(model), opset, len(proto.graph.node), " ".join(ops), cells[0], cells[1], " | ".join(row)), flush=True)
    for threads, values in ratios.items():
        print("\nGeometric mean of the ratios, %d thread%s: %.2f; least %.2f." % (threads, "" if threads == 1 else "s", float(np.exp(np.mean(np.log(values)))), min(values)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
