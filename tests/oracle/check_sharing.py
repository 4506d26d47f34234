"""Shared weights in other hands: a network of Conv, Gemm and MatMul is given to `skive share` in every way there is, and the files it writes, with
codebooks and with plain weights, are run by skive and by onnxruntime. Exit 1 when the two files of one way differ in onnxruntime at all (or in skive),
when skive and onnxruntime differ by more than 1e-4 of the largest value, or when a codebook's file is not small.

    tests/oracle/check_sharing.py [build/skive] [--seed N]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
failed, checked, worst = 0, 0, 0.0


def fail(message):
    global failed
    print("FAIL " + message)
    failed += 1


def network(sparsity):
    """Conv, then Gemm with its weight one way and the other, then MatMul: 3 x 12 x 12 to 10."""
    def weight(name, *shape):
        w = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        w[rng.random(shape) < sparsity] = 0
        return numpy_helper.from_array(w, name)

    nodes = [helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]), helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Flatten", ["r"], ["f"]),
             helper.make_node("Gemm", ["f", "fc1.w", "fc1.b"], ["g"], transB=1), helper.make_node("Relu", ["g"], ["h"]), helper.make_node("Gemm", ["h", "fc2.w", "fc2.b"], ["i"]),
             helper.make_node("MatMul", ["i", "out.w"], ["y"])]
    weights = [weight("conv.w", 16, 3, 3, 3), weight("conv.b", 16), weight("fc1.w", 300, 576), weight("fc1.b", 300), weight("fc2.w", 300, 100), weight("fc2.b", 100), weight("out.w", 100, 10)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 12])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_ort(path, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]


def in_skive(folder, path, x):
    np.save(folder / "x.npy", x)
    subprocess.run([args.skive, "run", path, "--quiet", "--input", "x=%s" % (folder / "x.npy"), "-o", "y=%s" % (folder / "y.npy")], check=True)
    return np.load(folder / "y.npy")


def check(folder, model, what, options):
    global checked, worst
    source, files = folder / "m.onnx", {}
    onnx.save(model, source)
    x = rng.standard_normal((4, 3, 12, 12)).astype(np.float32)
    for kind in ("codebook", "plain"):
        files[kind] = folder / (kind + ".onnx")
        done = subprocess.run([args.skive, "share", source, "--quiet", "-o", files[kind]] + options + (["--plain"] if kind == "plain" else []), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            return fail("%s: %s" % (what, done.stdout.strip().splitlines()[-1]))
        onnx.checker.check_model(str(files[kind]), full_check=True)
    ort = {kind: in_ort(path, x) for kind, path in files.items()}
    skive = {kind: in_skive(folder, path, x) for kind, path in files.items()}
    checked += 1
    off = float(np.max(np.abs(ort["plain"].astype(np.float64) - skive["plain"]))) / float(np.max(np.abs(ort["plain"])))
    worst = max(worst, off)
    if not np.array_equal(ort["codebook"], ort["plain"]):
        fail("%s: the two files differ in onnxruntime" % what)
    if not np.array_equal(skive["codebook"], skive["plain"]):
        fail("%s: the two files differ in skive" % what)
    if not off <= 1e-4:
        fail("%s: onnxruntime and skive differ by %g" % (what, off))
    # A byte a weight; hashed, two where there are more than 256 places, and each value twice.
    limit = 0.29 if "--hash" not in options else 0.54 + 2 / float(options[-1].replace("1/", ""))
    if files["codebook"].stat().st_size > limit * source.stat().st_size:
        fail("%s: %d bytes of %d" % (what, files["codebook"].stat().st_size, source.stat().st_size))


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for sparsity in (0, 0.7):
        model = network(sparsity)
        for bits in (1, 2, 4, 5, 8):
            for init in ("linear", "density", "random"):
                check(folder, model, "%d bits, %s, %g of zeros" % (bits, init, sparsity), ["--bits", str(bits), "--init", init])
        check(folder, model, "one codebook, %g of zeros" % sparsity, ["--bits", "4", "--one-codebook"])
        check(folder, model, "zeros not kept, %g of zeros" % sparsity, ["--bits", "3", "--no-keep-zero"])
        check(folder, model, "exact, %g of zeros" % sparsity, ["--bits", "3", "--init", "exact"])
        for ratio in ("8", "64", "1/3000"):
            check(folder, model, "hashed %s, %g of zeros" % (ratio, sparsity), ["--hash", ratio])
print("%d ways of sharing compared, %d failed; skive and onnxruntime differ by %.1e of the largest value at most" % (checked, failed, worst))
sys.exit(failed != 0)
