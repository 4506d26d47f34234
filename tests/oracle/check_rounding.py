"""Quantized files in other hands: a network of Conv, depthwise Conv, Gemm and MatMul is given to `skive quantize` with other grids, roundings and edits of
the float model, and the files it writes are checked by onnx and run by skive and by onnxruntime without optimizations. Integers are counted where they differ:
exit 1 when a file does not load, when the largest difference is more than a few steps of the last layer's inputs, or when the two give another class for more than
one sample in fifty.

    tests/oracle/check_rounding.py [build/skive] [--seed N]
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
failed = 0


def fail(message):
    global failed
    print("FAIL " + message)
    failed += 1


def network():
    """3 x 12 x 12 to 10, with channels of different sizes."""
    def weight(name, *shape):
        size = 2.0 ** rng.uniform(-2, 2, (shape[0],) + (1,) * (len(shape) - 1))
        return numpy_helper.from_array((size * rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) + 1)).astype(np.float32), name)

    def norm(name, n):
        return [numpy_helper.from_array(x.astype(np.float32), name + end) for end, x in
                (("s", rng.uniform(0.5, 2, n)), ("b", rng.standard_normal(n)), ("m", rng.standard_normal(n) / 9), ("v", rng.uniform(0.5, 2, n)))]

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], **attributes)

    nodes = [node("Conv", ["x", "w1"], "c1", pads=[1, 1, 1, 1]), node("BatchNormalization", ["c1", "n1s", "n1b", "n1m", "n1v"], "n1"), node("Relu", ["n1"], "r1"),
             node("Conv", ["r1", "w2"], "c2", group=16, pads=[1, 1, 1, 1], strides=[2, 2]), node("BatchNormalization", ["c2", "n2s", "n2b", "n2m", "n2v"], "n2"), node("Relu", ["n2"], "r2"),
             node("Flatten", ["r2"], "f"), node("Gemm", ["f", "w3", "b3"], "g"), node("Relu", ["g"], "h"), node("MatMul", ["h", "w4"], "y")]
    weights = [weight("w1", 16, 3, 3, 3), weight("w2", 16, 1, 3, 3), weight("w3", 576, 60), weight("b3", 60), weight("w4", 60, 10)] + norm("n1", 16) + norm("n2", 16)
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 12])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_ort(path, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]


def check(folder, what, options, x):
    path = folder / "q.onnx"
    run = subprocess.run([args.skive, "quantize", folder / "float.onnx", "--quiet", *options, "-o", path], capture_output=True, text=True)
    if run.returncode:
        return fail(f"{what}: {run.stderr.strip()}")
    try:
        onnx.checker.check_model(str(path), full_check=True)
        theirs = in_ort(path, x)
    except Exception as error:
        return fail(f"{what}: {error}")
    subprocess.run([args.skive, "run", path, "--quiet", "--input", f"x={folder / 'x.npy'}", "-o", f"y={folder / 'y.npy'}"], check=True)
    ours = np.load(folder / "y.npy")
    real = in_ort(folder / "float.onnx", x)
    worst = np.abs(ours - theirs).max() / np.abs(theirs).max()
    classes = (ours.argmax(1) != theirs.argmax(1)).mean()
    noise = 10 * np.log10((real ** 2).sum() / ((real - theirs) ** 2).sum())
    print(f"{what:58s} SQNR {noise:5.1f} dB; largest difference {100 * worst:.3f} % of the largest output, other class {100 * classes:.1f} %")
    if worst > 0.02 or classes > 0.02:
        fail(f"{what}: skive and onnxruntime differ")


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    onnx.save(network(), folder / "float.onnx")
    samples = rng.standard_normal((200, 3, 12, 12)).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    x = rng.standard_normal((100, 3, 12, 12)).astype(np.float32)
    np.save(folder / "x.npy", x)
    data = ["--input", f"x={folder / 'samples.npy'}", "--threads", "1"]
    for options in (["--weights", "int4"], ["--weights", "int4:tensor"], ["--weights", "int4:32"], ["--weights", "uint4:32,asymmetric"], ["--activations", "int8"],
                    ["--activations", "int16"], ["--activations", "uint16"], ["--weights", "f8e4m3"], ["--equalize", "--per-tensor"], ["--equalize", "--absorb-bias"],
                    ["--bias-correction", "analytic", "--weights", "int4"], ["--bias-correction", "empirical", "--weights", "int4"], ["--smooth", "--per-tensor"],
                    ["--rounding", "awq", "--weights", "int4:32"], ["--rounding", "gptq", "--weights", "int4"], ["--rounding", "gptq", "--weights", "int4:32"],
                    ["--rounding", "adaround:iterations=200", "--weights", "int4:tensor"]):
        check(folder, " ".join(options), data + options, x)
    check(folder, "--data none --equalize", ["--data", "none", "--equalize", "--input-low", "-4", "--input-high", "4"], x)
sys.exit(failed > 0)
