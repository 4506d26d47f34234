"""Compares skive's number grids with independent formulas (NumPy, ml_dtypes, the quantile formula of NF4), and QuantizeLinear with
DequantizeLinear of every element type with onnxruntime, with one scale, one per channel and one per block. Exit 1 when a bit differs.

    tests/oracle/check_grids.py [build/skive] [--seed N]
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
failed = checked = 0
folder = pathlib.Path(tempfile.mkdtemp())


def same(what, want, got):
    global failed, checked
    checked += 1
    want, got = np.asarray(want, np.float32) + 0.0, np.asarray(got, np.float32) + 0.0  # -0 is 0
    if want.shape == got.shape and np.array_equal(want.view(np.uint32), got.view(np.uint32)):
        return
    failed += 1
    at = np.flatnonzero(want != got)[:1]
    print("FAIL %s: %d of %d differ, the first %s instead of %s" % (what, np.count_nonzero(want != got), want.size, got.flat[at], want.flat[at]))


# ---- the grids: a weight rounded by `skive pack` ----

def rounded(weight, grid):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, weight.shape[0]])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, weight.shape[1]])], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "w.onnx")
    for command in (["pack", folder / "w.onnx", "-w", grid, "-o", folder / "w.skv"], ["unpack", folder / "w.skv", "-o", folder / "back.onnx"]):
        subprocess.run([args.skive, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return numpy_helper.to_array(onnx.load(folder / "back.onnx").graph.initializer[0])


def nearest(levels, t):
    """Ties by the parity of the place, counted from 0 or from the first level as the grid counts."""
    levels = np.asarray(levels, np.float64)
    zero = int(np.flatnonzero(levels == 0)[0]) if levels[0] == -levels[-1] and len(levels) % 2 else 0
    high = np.clip(np.searchsorted(levels, t), 1, len(levels) - 1)
    below, above = t - levels[high - 1], levels[high] - t
    pick = np.where(below < above, high - 1, np.where(above < below, high, np.where((high - zero) % 2 == 0, high, high - 1)))
    return levels[pick]


def nf4():
    normal, offset = statistics.NormalDist(), 0.9677083
    up = [normal.inv_cdf(p) for p in np.linspace(offset, 0.5, 9)[:-1]]
    down = [-normal.inv_cdf(p) for p in np.linspace(offset, 0.5, 8)[:-1]]
    levels = np.sort(np.array(up + [0.0] + down))
    return (levels / np.abs(levels).max()).astype(np.float32)


def scaled(weight, top, levels):
    scale = np.float32(np.abs(weight).max() / np.float32(top))
    return levels((weight / scale).astype(np.float32)) * scale


def as_type(dtype, top):
    return lambda t: np.clip(t, -top, top).astype(dtype).astype(np.float32)


def grids(weight):
    most = np.abs(weight).max()
    for bits in range(2, 9):
        top, low = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
        scale = np.float32(np.float64(most) / top)
        codes = np.clip(np.rint(weight / scale), low, top).astype(np.float32)
        same("int%d" % bits, codes * scale, rounded(weight, "int%d:tensor,fit=range" % bits))
        scale = np.float32(2.0 ** np.ceil(np.log2(np.float64(most) / top)))
        codes = np.clip(np.rint(weight / scale), -top, top).astype(np.float32)
        same("int%d, power of two" % bits, codes * scale, rounded(weight, "int%d:tensor,narrow,power-of-two,fit=range" % bits))
    for n in (3, 6):
        same("fixed", np.clip(np.rint(weight * 2.0**n), -128, 127) / 2.0**n, rounded(weight, "fixed:%d" % n))
    with np.errstate(over="ignore"):
        same("f16", weight.astype(np.float16), rounded(weight, "f16"))
    same("bf16", weight.astype(ml_dtypes.bfloat16), rounded(weight, "bf16"))
    for name, dtype, top in (("f8e4m3", ml_dtypes.float8_e4m3fn, 448), ("f8e5m2", ml_dtypes.float8_e5m2, 57344), ("f4e2m1", ml_dtypes.float4_e2m1fn, 6),
                             ("f8e4m3fnuz", ml_dtypes.float8_e4m3fnuz, 240), ("f8e5m2fnuz", ml_dtypes.float8_e5m2fnuz, 57344)):
        same(name, scaled(weight, top, as_type(dtype, np.float32(top))), rounded(weight, name + ":fit=range"))
    logs = [2.0**-k for k in range(7)]
    same("log2", scaled(weight, 1, lambda t: nearest(sorted([-v for v in logs] + [0] + logs), t).astype(np.float32)), rounded(weight, "log2:fit=range"))
    table = nf4()
    got = rounded(weight, "nf4:fit=range")
    checked_levels = np.unique(got) / most
    same("nf4's levels", np.abs(checked_levels[:, None] - table[None, :]).min(axis=1) < 2e-7, np.ones(len(checked_levels)))
    same("nf4", np.abs(got - scaled(weight, 1, lambda t: nearest(table, t).astype(np.float32))) <= 4e-7 * most, np.ones_like(got))
    mean = np.abs(weight.astype(np.float64)).mean()
    kept = np.abs(weight) > 0.7 * mean
    same("ternary", np.sign(weight) * kept * np.float32(np.abs(weight.astype(np.float64))[kept].mean()), rounded(weight, "ternary:tensor"))
    same("binary", np.where(weight < 0, -1, 1).astype(np.float32) * np.float32(mean), rounded(weight, "binary:tensor"))


# ---- QuantizeLinear and DequantizeLinear ----

def operators(name, element, zero_points):
    x = (rng.standard_normal((4, 6, 8)) * 3).astype(np.float32)
    x.flat[:6] = [0, -0.0, 1e9, -1e9, 0.75, 1.5]
    for how, shape, attributes in (("one scale", (), {}), ("a scale per channel", (6,), {"axis": 1}), ("a scale per block", (4, 3, 8), {"axis": 1, "block_size": 2})):
        scale = (2.0 ** rng.integers(-6, 2, shape) * rng.uniform(0.6, 1.4, shape)).astype(np.float32)
        zero = rng.integers(*zero_points, shape)
        proto = helper.make_tensor("z", element, shape, np.atleast_1d(zero).flatten().tolist())
        nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes)]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
                                  [numpy_helper.from_array(scale, "s"), proto])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), folder / "q.onnx")
        np.save(folder / "x.npy", x)
        subprocess.run([args.skive, "run", folder / "q.onnx", "-i", "x=%s" % (folder / "x.npy"), "-o", "y=%s" % (folder / "y.npy"), "--quiet"], check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            want = onnxruntime.InferenceSession(str(folder / "q.onnx"), options, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
        except Exception as error:
            print("onnxruntime does not run %s with %s: %s" % (name, how, str(error).splitlines()[0][:120]))
            continue
        same("%s with %s" % (name, how), want, np.load(folder / "y.npy"))


for shape, by in (((64, 96), 0.1), ((33, 7), 40.0)):
    grids((rng.standard_normal(shape) * by).astype(np.float32))
for name, element, zero_points in (("int8", TensorProto.INT8, (-128, 128)), ("uint8", TensorProto.UINT8, (0, 256)), ("int16", TensorProto.INT16, (-32768, 32768)),
                                   ("uint16", TensorProto.UINT16, (0, 65536)), ("int4", TensorProto.INT4, (-8, 8)), ("uint4", TensorProto.UINT4, (0, 16)),
                                   ("f8e4m3", TensorProto.FLOAT8E4M3FN, (0, 1)), ("f8e5m2", TensorProto.FLOAT8E5M2, (0, 1)),
                                   ("f8e4m3fnuz", TensorProto.FLOAT8E4M3FNUZ, (0, 1)), ("f8e5m2fnuz", TensorProto.FLOAT8E5M2FNUZ, (0, 1))):
    operators(name, element, zero_points)
print("%d comparisons, %d failed" % (checked, failed))
sys.exit(1 if failed else 0)
