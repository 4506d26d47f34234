"""Models with weights in the bodies of If, Loop and Scan, quantized with samples, in skive and in onnxruntime:

    check_bodies.py SKIVE

onnxruntime loads each quantized file, without and with its optimizations, and gives what skive gives, up to steps of the
grids where it adds in another order; both are near the float model."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

from clipping import clips

RUNS, WIDE = 64, 12
GRID = "int7" if clips() else "int8"
rng = np.random.default_rng(4)


def weight(name, *dims):
    return nh.from_array((rng.standard_normal(dims) / np.sqrt(dims[-2])).astype(np.float32), name)


def info(name, kind, *dims):
    return h.make_tensor_value_info(name, kind, dims)


def layers(name, x, y):
    """x -> MatMul -> Add -> Relu -> MatMul -> y"""
    nodes = [h.make_node("MatMul", [x, name + ".a"], [name + ".1"], name + "/first"),
             h.make_node("Relu", [name + ".1"], [name + ".2"], name + "/relu"),
             h.make_node("MatMul", [name + ".2", name + ".b"], [y], name + "/second")]
    return nodes, [weight(name + ".a", WIDE, 24), weight(name + ".b", 24, WIDE)]


def branches():
    """An If whose branches have layers, one of them reading a weight from outside; a layer follows."""
    bodies = []
    for name in ("yes", "no"):
        nodes, weights = layers(name, "x", name + ".y")
        if name == "no":
            nodes[2].input[1] = "last.w"
            weights = weights[:1]
        bodies.append(h.make_graph(nodes, name, [], [info(name + ".y", T.FLOAT, 1, WIDE)], weights))
    nodes = [h.make_node("ReduceSum", ["x"], ["sum"], keepdims=0), h.make_node("Greater", ["sum", "zero"], ["c"]),
             h.make_node("If", ["c"], ["z"], "choice", then_branch=bodies[0], else_branch=bodies[1]),
             h.make_node("MatMul", ["z", "end.w"], ["y"], "last")]
    return nodes, [nh.from_array(np.float32(0), "zero"), weight("last.w", 24, WIDE), weight("end.w", WIDE, WIDE)], 2 + 2 + 1


def loop():
    nodes, weights = layers("round", "h", "h.next")
    nodes += [h.make_node("Identity", ["go"], ["go.on"]), h.make_node("Identity", ["h.next"], ["each"])]
    body = h.make_graph(nodes, "body", [info("i", T.INT64), info("go", T.BOOL), info("h", T.FLOAT, 1, WIDE)],
                        [info("go.on", T.BOOL), info("h.next", T.FLOAT, 1, WIDE), info("each", T.FLOAT, 1, WIDE)], weights)
    return ([h.make_node("Loop", ["trips", "", "x"], ["last", "all"], "rounds", body=body),
             h.make_node("ReduceSum", ["all", "axis"], ["y"], keepdims=0)],
            [nh.from_array(np.int64(4), "trips"), nh.from_array(np.array([0], np.int64), "axis")], 2)


def scan():
    nodes, weights = layers("step", "both", "h.next")
    nodes = [h.make_node("Add", ["h", "entry"], ["both"], "step/add")] + nodes + [h.make_node("Tanh", ["h.next"], ["out"])]
    body = h.make_graph(nodes, "body", [info("h", T.FLOAT, 1, WIDE), info("entry", T.FLOAT, 1, WIDE)],
                        [info("h.next", T.FLOAT, 1, WIDE), info("out", T.FLOAT, 1, WIDE)], weights)
    return ([h.make_node("Unsqueeze", ["x", "axis"], ["entry.1"]), h.make_node("Concat", ["entry.1"] * 3, ["entries"], axis=0),
             h.make_node("Scan", ["x", "entries"], ["last", "all"], "steps", body=body, num_scan_inputs=1),
             h.make_node("ReduceSum", ["all", "axis"], ["y"], keepdims=0)],
            [nh.from_array(np.array([0], np.int64), "axis")], 3)


def session(path, level):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def quantized_nodes(graph):
    n = sum(x.op_type == "QuantizeLinear" for x in graph.node)
    return n + sum(quantized_nodes(a.g) for x in graph.node for a in x.attribute if a.type == onnx.AttributeProto.GRAPH)


def check(skive, folder, name, make):
    nodes, weights, wanted = make()
    graph = h.make_graph(nodes, name, [info("x", T.FLOAT, 1, WIDE)], [info("y", T.FLOAT, 1, WIDE)], weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    paths = [folder / f"{name}.onnx", folder / f"{name}_int8.onnx"]
    onnx.save(model, paths[0])
    x = rng.standard_normal((RUNS, 1, WIDE)).astype(np.float32)
    np.save(folder / "x.npy", x)
    told = subprocess.run([skive, "quantize", paths[0], "-i", folder / "x.npy", "--weights", GRID, "-o", paths[1]], check=True,
                          capture_output=True, text=True).stdout
    assert f"quantized {wanted} nodes" in told, told
    onnx.checker.check_model(str(paths[1]))
    assert quantized_nodes(onnx.load(paths[1]).graph) >= wanted
    both = [session(paths[1], level) for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
                                                   ort.GraphOptimizationLevel.ORT_ENABLE_ALL)]
    truth = session(paths[0], ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    gap, noise, signal = 0.0, 0.0, 0.0
    for run in x[:16]:
        np.save(folder / "one.npy", run)
        subprocess.run([skive, "run", paths[1], "-i", folder / "one.npy", "-o", folder / "y.npy", "-q"], check=True)
        y = np.load(folder / "y.npy")
        want = truth.run(["y"], {"x": run})[0]
        signal += (want ** 2).sum()
        noise += ((y - want) ** 2).sum()
        for s in both:
            gap = max(gap, np.abs(s.run(["y"], {"x": run})[0] - y).max() / np.abs(want).max())
    sqnr = 10 * np.log10(signal / noise)
    print(f"{name:8} {wanted} nodes quantized, {sqnr:.1f} dB; onnxruntime is at most {gap:.2g} of the largest output away")
    return sqnr > 25 and gap < 0.02


def main():
    skive = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        good = [check(skive, pathlib.Path(folder), name, make)
                for name, make in (("branches", branches), ("loop", loop), ("scan", scan))]
    return 0 if all(good) else 1


sys.exit(main())
