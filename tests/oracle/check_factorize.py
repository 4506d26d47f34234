"""Factorized models in other hands: networks with each kind of layer are given to `skive factorize` by every method, at full rank and below, and the
files it writes go through onnx's checker and are run by skive and by onnxruntime. Exit 1 when a file is not valid, when skive and onnxruntime differ by
more than 1e-4 of the largest value, or when factors at full rank differ from the model by more than 1e-5 of it.

    tests/oracle/check_factorize.py [build/skive] [--seed N]
"""
import argparse
import os
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
failed, checked, worst, worst_full = 0, 0, 0.0, 0.0


def weight(name, *shape):
    return numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)


def model(nodes, weights, shape, out, kind=TensorProto.FLOAT):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def networks():
    node = helper.make_node
    yield "conv", model([node("Conv", ["x", "w", "b"], ["c"], name="layer", pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]), node("Relu", ["c"], ["y"])],
                        [weight("w", 12, 8, 3, 3), weight("b", 12)], ["N", 8, 11, 13], None), {"channel": 12, "spatial": 24, "tucker2": 12, "separable": 9, "cp": 72, "grouped": 3, "sparse": 12}
    yield "same", model([node("Conv", ["x", "w"], ["y"], name="layer", auto_pad="SAME_LOWER", strides=[2, 2])], [weight("w", 12, 8, 4, 3)], [2, 8, 11, 13], None), \
        {"channel": 12, "spatial": 32, "tucker2": 12, "separable": 12, "cp": 96}
    yield "point", model([node("Conv", ["x", "w"], ["y"], name="layer")], [weight("w", 12, 8, 1, 1)], ["N", 8, 5, 4], None), {"svd": 8}
    yield "series", model([node("Conv", ["x", "w"], ["y"], name="layer", pads=[2, 1])], [weight("w", 12, 8, 4)], ["N", 8, 17], None), {"channel": 12, "tucker2": 12, "separable": 4}
    yield "gemm", model([node("Gemm", ["x", "w", "b"], ["y"], name="layer", transB=1, alpha=0.5, beta=2.0)], [weight("w", 24, 36), weight("b", 24)], ["N", 36], None), \
        {"svd": 24, "grouped": 6, "tt": 24, "sparse": 24}
    yield "matmul", model([node("MatMul", ["x", "w"], ["y"], name="layer")], [weight("w", 36, 24)], ["N", "T", 36], None), {"svd": 24, "grouped": 6, "tt": 24}
    yield "lstm", model([node("LSTM", ["x", "w", "r"], ["z", "", ""][:1], name="layer", hidden_size=7, direction="bidirectional"), node("Relu", ["z"], ["y"])],
                        [weight("w", 2, 28, 10), weight("r", 2, 28, 7)], [5, 3, 10], None), {"svd": 10}
    yield "gru", model([node("GRU", ["x", "w", "r"], ["y"], name="layer", hidden_size=7, linear_before_reset=1)], [weight("w", 1, 21, 10), weight("r", 1, 21, 7)], [5, 3, 10], None), {"svd": 10}
    yield "table", model([node("Gather", ["w", "x"], ["y"], name="layer")], [weight("w", 30, 12)], ["N", 4], None, TensorProto.INT64), {"svd": 12}


def in_ort(path, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]


def in_skive(folder, path, x):
    np.save(folder / "x.npy", x)
    subprocess.run([args.skive, "run", path, "--quiet", "--input", "x=%s" % (folder / "x.npy"), "-o", "y=%s" % (folder / "y.npy")], check=True)
    return np.load(folder / "y.npy")


def check(folder, name, method, rank, full, x, before):
    global failed, checked, worst, worst_full
    path = folder / "out.onnx"
    checked += 1
    subprocess.run([args.skive, "factorize", folder / "in.onnx", "--layer", "layer=%s:%d" % (method, rank), "--no-measure", "-q", "-o", path], check=True, capture_output=True)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    theirs, ours = in_ort(path, x), in_skive(folder, path, x)
    size = np.abs(before).max()
    differ, changed = np.abs(theirs - ours).max() / size, np.abs(theirs - before).max() / size
    worst = max(worst, differ)
    if full:
        worst_full = max(worst_full, changed)
    if differ > 1e-4 or (full and changed > 1e-5) or theirs.shape != before.shape:
        print("FAIL %s %s:%d: skive and onnxruntime differ by %.2g, from the model by %.2g" % (name, method, rank, differ, changed))
        failed += 1


with tempfile.TemporaryDirectory() as root:
    folder = pathlib.Path(root)
    os.environ["XDG_CACHE_HOME"] = root
    for name, proto, methods in networks():
        onnx.save(proto, folder / "in.onnx")
        shape = [d.dim_value or 2 for d in proto.graph.input[0].type.tensor_type.shape.dim]
        x = rng.integers(0, 30, shape).astype(np.int64) if name == "table" else rng.standard_normal(shape).astype(np.float32)
        before = in_ort(folder / "in.onnx", x)
        for method, full in methods.items():
            check(folder, name, method, full, True, x, before)
            check(folder, name, method, max(full // 3, 1), False, x, before)
print("factorized files: %d, skive and onnxruntime differ by at most %.2g, factors at full rank from the model by %.2g; %d failed" % (checked, worst, worst_full, failed))
sys.exit(failed > 0)
