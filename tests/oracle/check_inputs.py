"""Models with several inputs and outputs, trained, distilled and quantized by the command and run by onnxruntime on the
same samples: the figures of `skive eval` must be those of the outputs that onnxruntime gives.

    check_inputs.py SKIVE

A picture and a table with two outputs (classes and a value), and tokens with their lengths."""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SAMPLES, SIDE, COLUMNS, WORDS, VOCABULARY = 600, 4, 3, 6, 12


def people(rng):
    bright, plus = rng.integers(0, 2, SAMPLES), rng.integers(0, 2, SAMPLES)
    image = (rng.integers(0, 50, (SAMPLES, 1, SIDE, SIDE)) + np.where(bright, 150, 50)[:, None, None, None])
    table = rng.normal(size=(SAMPLES, COLUMNS))
    table[:, 0] = np.where(plus, 1, -1) + 0.2 * rng.normal(size=SAMPLES)
    return {"image": image.astype(np.uint8), "table": table.astype(np.float32), "kind": (2 * bright + plus),
            "age": (100 + 30 * bright - 20 * plus).astype(np.float32)}


def texts(rng):
    high, length = rng.integers(0, 2, SAMPLES), rng.integers(1, WORDS + 1, SAMPLES)
    ids = rng.integers(0, VOCABULARY // 2, (SAMPLES, WORDS))
    ids += (((np.arange(WORDS) < length[:, None]) == (high == 1)[:, None]) * (VOCABULARY // 2))
    return {"ids": ids, "len": length, "y": high}


def weight(rng, name, *shape):
    return numpy_helper.from_array((0.4 * rng.normal(size=shape) * (len(shape) > 1)).astype(np.float32), name)


def two(rng, width):
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]),
             helper.make_node("Gemm", ["flat", "w1", "b1"], ["p0"], transB=1), helper.make_node("Relu", ["p0"], ["p"]),
             helper.make_node("Gemm", ["table", "w2", "b2"], ["q0"], transB=1), helper.make_node("Relu", ["q0"], ["q"]),
             helper.make_node("Concat", ["p", "q"], ["h"], axis=1),
             helper.make_node("Gemm", ["h", "w3", "b3"], ["kind"], transB=1),
             helper.make_node("Gemm", ["h", "w4", "b4"], ["age"], transB=1)]
    weights = [weight(rng, "w1", width, SIDE * SIDE), weight(rng, "b1", width), weight(rng, "w2", width, COLUMNS),
               weight(rng, "b2", width), weight(rng, "w3", 4, 2 * width), weight(rng, "b3", 4),
               weight(rng, "w4", 1, 2 * width), weight(rng, "b4", 1)]
    value = helper.make_tensor_value_info
    return model(nodes, [value("table", TensorProto.FLOAT, ["N", COLUMNS]),
                         value("image", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
                 [value("kind", TensorProto.FLOAT, ["N", 4]), value("age", TensorProto.FLOAT, ["N", 1])], weights)


def words(rng, width):
    nodes = [helper.make_node("Gather", ["table", "ids"], ["e"]),
             helper.make_node("Unsqueeze", ["len", "one"], ["column"]),
             helper.make_node("Less", ["places", "column"], ["before"]),
             helper.make_node("Cast", ["before"], ["mask"], to=TensorProto.FLOAT),
             helper.make_node("Unsqueeze", ["mask", "two"], ["mask3"]), helper.make_node("Mul", ["e", "mask3"], ["kept"]),
             helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
             helper.make_node("Cast", ["column"], ["count"], to=TensorProto.FLOAT),
             helper.make_node("Div", ["sum", "count"], ["mean"]),
             helper.make_node("Gemm", ["mean", "w", "b"], ["y"], transB=1)]
    ints = lambda name, *x: numpy_helper.from_array(np.array(x, np.int64), name)
    weights = [weight(rng, "table", VOCABULARY, width), weight(rng, "w", 2, width), weight(rng, "b", 2), ints("one", 1),
               ints("two", 2), ints("places", *range(WORDS))]
    value = helper.make_tensor_value_info
    return model(nodes, [value("ids", TensorProto.INT64, ["N", WORDS]), value("len", TensorProto.INT64, ["N"])],
                 [value("y", TensorProto.FLOAT, ["N", 2])], weights)


def model(nodes, inputs, outputs, weights):
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(result, full_check=True)
    return result


def run(skive, *arguments):
    done = subprocess.run([skive, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, done.args))}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def outputs(path, feeds):
    onnx.checker.check_model(str(path), full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {i.name: feeds[i.name] for i in session.get_inputs()})))


def check(skive, path, data, test, feeds, tolerance):
    report = json.loads(run(skive, "eval", path, "--data", data, "--json"))
    result = outputs(path, feeds)
    answers = {report.get("target", "y"): report}
    answers.update({r["target"]: r for r in report.get("other_targets", [])})
    for name, figures in answers.items():
        if "accuracy" in figures:
            ours, theirs = figures["accuracy"], float(np.mean(result[name].argmax(1) == test[name]))
        else:
            ours = figures["rmse"]
            theirs = float(np.sqrt(np.mean((result[name][:, 0].astype(np.float64) - test[name]) ** 2)))
        print(f"{path.name:22} {name:6} skive {ours:.6f}  onnxruntime {theirs:.6f}")
        if abs(ours - theirs) > tolerance * max(1, abs(theirs)):
            sys.exit(f"{path.name}: the figures of '{name}' differ")


def main():
    skive, rng = sys.argv[1], np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        train, test = people(rng), people(rng)
        np.savez_compressed(folder / "people.npz", **{f"{k}_train": v for k, v in train.items()},
                            **{f"{k}_test": v for k, v in test.items()})
        onnx.save(two(rng, 8), folder / "two.onnx")
        onnx.save(two(rng, 5), folder / "student.onnx")
        data = f"npz:{folder}/people.npz,labels=kind,age"
        feeds = {"image": test["image"].astype(np.float32) / np.float32(255), "table": test["table"]}
        common = ["--data", data, "--epochs", 15, "--batch", 20, "--lr", 0.03, "--threads", 1]
        run(skive, "train", folder / "two.onnx", *common, "--outputs", "kind;age=0.5", "-o", folder / "trained.onnx")
        check(skive, folder / "trained.onnx", data, test, feeds, 1e-4)
        run(skive, "distill", "--student", folder / "student.onnx", "--teacher", folder / "trained.onnx", *common, "-o",
            folder / "distilled.onnx")
        check(skive, folder / "distilled.onnx", data, test, feeds, 1e-4)
        run(skive, "quantize", folder / "trained.onnx", "--data", data, "-o", folder / "quantized.onnx")
        check(skive, folder / "quantized.onnx", data, test, feeds, 5e-3)
        run(skive, "compare", folder / "trained.onnx", folder / "quantized.onnx", "--data", data, "--seconds", 0.01)

        train, test = texts(rng), texts(rng)
        np.savez(folder / "texts.npz", **train)
        np.savez(folder / "test.npz", **test)
        onnx.save(words(rng, 8), folder / "words.onnx")
        data = f"npz:{folder}/texts.npz,test={folder}/test.npz"
        common = ["--data", data, "--epochs", 15, "--batch", 20, "--lr", 0.2, "--threads", 1]
        run(skive, "train", folder / "words.onnx", *common, "-o", folder / "read.onnx")
        check(skive, folder / "read.onnx", data, test, test, 1e-4)
        run(skive, "distill", "--student", folder / "words.onnx", "--teacher", folder / "read.onnx", *common, "-o",
            folder / "retold.onnx")
        check(skive, folder / "retold.onnx", data, test, test, 1e-4)
        run(skive, "quantize", folder / "read.onnx", "--data", data, "-o", folder / "small.onnx")
        check(skive, folder / "small.onnx", data, test, test, 5e-3)


main()
