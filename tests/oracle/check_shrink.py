"""Models with a quarter of the channels of every family removed, against the same models with these channels masked to
zero, both run by onnxruntime:

    check_shrink.py SKIVE [MODEL.onnx ...]

Without models: built-in networks, vision transformers as exporters write them with an open batch (run with batches of
1, 2 and 3), and those of ../shared/models if that is there. Needs build/shrink_model beside
SKIVE. Prints a row per model and the reasons why layers keep their channels."""
import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

import export_graphs

BUILT_IN = ["mlp", "lenet5", "vgg-small:0.25", "resnet20", "resnet18:0.25", "resnet50:0.25", "mobilenet:0.25",
            "mobilenetv2:0.35", "lstm", "gru", "vit:dim=64,depth=2,heads=4,patch=4"]
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
         "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(bool)": np.bool_}


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feeds(model, rng, batch):
    result = {}
    for value in model.get_inputs():
        dims = [d if isinstance(d, int) and d > 0 else (batch if i == 0 else 48) for i, d in enumerate(value.shape)]
        kind = TYPES[value.type]
        if np.issubdtype(kind, np.floating):
            result[value.name] = rng.uniform(-1, 1, dims).astype(kind)
        elif not dims:  # a setting, such as a sample rate
            result[value.name] = np.array(16000, kind)
        else:
            result[value.name] = rng.integers(-20 if kind == np.int8 else 0, 20, dims).astype(kind)
    return result


def gap(small, masked, rng):
    a, b = session(small), session(masked)
    worst = 0.0
    for batch in (1, 2, 3):  # where it is open
        x = feeds(b, rng, batch)
        for p, q in zip(a.run(None, x), b.run(None, x)):
            assert p.shape == q.shape and np.isfinite(np.asarray(p, np.float64)).all()
            p, q = p.astype(np.float64), q.astype(np.float64)
            worst = max(worst, np.abs(p - q).max() / max(np.abs(q).max(), 1e-30))
    return worst


def is_integer(path):
    """Does the model quantize its activations? Then a rounding may fall to the other side."""
    return any(n.op_type in ("QuantizeLinear", "QLinearConv") for n in onnx.load(str(path)).graph.node)


def check(tool, path, folder, rng):
    small, masked = folder / "small.onnx", folder / "masked.onnx"
    done = subprocess.run([tool, path, small, masked, "0.25", "1"], capture_output=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    table = {row[0]: row[1:] for row in rows if row[0] != "layer"}
    why = collections.Counter()
    for row in rows:
        if row[0] == "layer" and row[5]:
            why[f"{row[5]} ({row[6]})" if row[6] else row[5]] += 1
    reasons = "; ".join(f"{n} x {text}" for text, n in why.most_common(6))
    if done.returncode == 3:
        return True, f"nothing to remove: {reasons}"
    if done.returncode != 0:
        return False, f"failed: {done.stderr.strip()}"
    onnx.checker.check_model(onnx.load(str(small)), full_check=True)
    difference = gap(small, masked, rng)
    if not path.startswith("zoo:") and gap(masked, path, rng) < 1e-4:
        return False, "the masked channels do not count: nothing is shown"
    limit = 0.05 if is_integer(small) else 1e-5
    macs, parameters = [f"{int(v[1]) / max(int(v[0]), 1):.3f}" for v in (table["macs"], table["parameters"])]
    text = (f"layers {table['layers'][1]} of {table['layers'][0]}, channels {table['channels'][0]}, "
            f"MACs x {macs}, parameters x {parameters}, {table['seconds'][3]} s, difference {difference:.2e}")
    return difference <= limit, text + (f"; kept: {reasons}" if reasons else "")


def main():
    skive = pathlib.Path(sys.argv[1])
    tool = skive.parent / "shrink_model"
    rng = np.random.default_rng(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = sys.argv[2:]
        if not models:
            models = ["zoo:" + spec for spec in BUILT_IN]
            for make in (export_graphs.vit_joint, export_graphs.vit_whole, export_graphs.vit_batch):
                make(folder)
                models.append(str(folder / f"{make.__name__}.onnx"))
            models += sorted(str(p) for p in pathlib.Path("../shared/models").glob("**/*.onnx"))
        for model in models:
            right, text = check(tool, model, folder, rng)
            name = model[4:] if model.startswith("zoo:") else pathlib.Path(model).stem
            print(f"{'ok  ' if right else 'FAIL'} {name}: {text}", flush=True)
            wrong += not right
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
