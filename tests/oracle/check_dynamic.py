"""GRU and RNN after `skive quantize --dynamic`: files are checked by onnx, run by onnxruntime, and by skive as one node, node by node
(--no-fusion) and by its reference kernels. All must give onnxruntime's numbers to float32 rounding, and be near those of the float cell. A state whose last
float32 bit differs may fall on the other side of a rounding limit, and then a gate's sum moves by a step of 1/255 of the state's range times a weight: such runs are
counted, and more than one in ten, or a difference of more than such steps make, fail. Every other cell has weights of 7 bits, and all where onnxruntime clips sums
of products of 8.

    tests/oracle/check_dynamic.py [build/skive] [--seed N]
"""
import argparse
import itertools
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from clipping import clips

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
STEPS, BATCH, INPUT, HIDDEN = 12, 3, 40, 48
failed = 0


def weight(name, *shape):
    return numpy_helper.from_array((0.2 * rng.standard_normal(shape)).astype(np.float32), name)


def cell(op, direction, linear, state, open_sizes, path):
    gates, d = (3 if op == "GRU" else 1), (2 if direction == "bidirectional" else 1)
    names, inputs = ["x", "w", "r", "b"], []
    t, b = ("T", "N") if open_sizes else (STEPS, BATCH)
    inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [t, b, INPUT]))
    if state:
        names += ["", "h"]
        inputs.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [d, b, HIDDEN]))
    attrs = {"hidden_size": HIDDEN, "direction": direction}
    if op == "GRU":
        attrs["linear_before_reset"] = linear
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "last")]
    graph = helper.make_graph([helper.make_node(op, names, ["y", "last"], name="cell", **attrs)], "cell", inputs, outputs,
                              [weight("w", d, gates * HIDDEN, INPUT), weight("r", d, gates * HIDDEN, HIDDEN), weight("b", d, 2 * gates * HIDDEN)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    feeds = {"x": rng.standard_normal((STEPS, BATCH, INPUT)).astype(np.float32)}
    if state:
        feeds["h"] = rng.standard_normal((d, BATCH, HIDDEN)).astype(np.float32)
    return feeds


def by_onnxruntime(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options).run(None, feeds)


def by_skive(path, feeds, folder, *flags):
    given = []
    for name, x in feeds.items():
        np.save(f"{folder}/{name}.npy", x)
        given += ["-i", f"{name}={folder}/{name}.npy"]
    subprocess.run([args.skive, "run", path, *given, "-o", f"y={folder}/y.npy", "-o", f"last={folder}/last.npy", "-q", *flags], check=True)
    return [np.load(f"{folder}/y.npy"), np.load(f"{folder}/last.npy")]


kinds = [("GRU", d, linear, state, sizes) for d, linear, state, sizes in
         itertools.product(("forward", "reverse", "bidirectional"), (0, 1), (False, True), (False, True))]
kinds += [("RNN", d, 0, state, False) for d, state in itertools.product(("forward", "bidirectional"), (False, True))]
worst, exact, stepped, runs = 0.0, 0.0, 0, 0
STEP = 0.01  # 2 / 255 times a weight of a few tenths
grids = ["int7"] if clips() else ["int8", "int7"]
print("weights:", *grids)
with tempfile.TemporaryDirectory() as folder:
    real, made = folder + "/cell.onnx", folder + "/dynamic.onnx"
    for i, kind in enumerate(kinds):
        feeds = cell(*kind, real)
        grid = grids[i % len(grids)]
        subprocess.run([args.skive, "quantize", real, "--dynamic", "--weights", grid, "-o", made, "-q"], check=True, stdout=subprocess.DEVNULL)
        onnx.checker.check_model(made, full_check=True)
        want, float_one = by_onnxruntime(made, feeds), by_onnxruntime(real, feeds)
        for flags in ((), ("--no-fusion",), ("--reference",)):
            got = by_skive(made, feeds, folder, *flags)
            error = max(float(abs(a - b).max()) for a, b in zip(got, want))
            worst, runs = max(worst, error), runs + 1
            if error > 1e-5:
                stepped += 1
            else:
                exact = max(exact, error)
            if any(a.shape != b.shape for a, b in zip(got, want)) or error > STEP:
                print("FAIL", *kind, *flags, "differs from onnxruntime by", error)
                failed += 1
        if max(float(abs(a - b).max()) for a, b in zip(float_one, want)) > 0.15:
            print("FAIL", *kind, "is far from the float cell")
            failed += 1
if stepped > runs / 10:
    print("FAIL", stepped, "of", runs, "runs have a state that was rounded the other way")
    failed += 1
print(f"{len(kinds)} cells, {failed} failures; in {runs - stepped} of {runs} runs the largest difference from onnxruntime is {exact:.2g}; in {stepped} a "
      f"state was rounded the other way: {worst:.2g}")
sys.exit(failed > 0)
