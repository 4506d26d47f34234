"""Compares the features of sounds with NumPy formulas of its own, and models that compute them in the graph with onnxruntime.

    tests/oracle/check_features.py [build/skive] [--seed N]

Sounds are written by the standard library and read by tests/sound_samples.c; models that pass their features on are written by the
onnx package, and run by skive and onnxruntime after `skive simplify --features-in-graph`.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import wave

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
folder = pathlib.Path(tempfile.mkdtemp())
failed = checked = 0


def check(what, want, got, tolerance):
    global failed, checked
    checked += 1
    want, got = np.asarray(want, np.float64), np.asarray(got, np.float64)
    worst = np.abs(want - got).max() / np.abs(want).max() if want.shape == got.shape else np.inf
    print("%-60s %.2e" % (what, worst))
    if not worst <= tolerance:
        failed += 1
        print("FAIL %s: shapes %s and %s, difference %g" % (what, want.shape, got.shape, worst))


# ---- the formulas ----


def mel(f):
    return 1127 * np.log1p(np.asarray(f, np.float64) / 700)


def features(x, rate, kind, window=40, hop=20, mels=40, fmin=20, fmax=4000, fft=0, power=1, floor=1e-6, coefficients=10, htk=False):
    frame, step = round(window * rate / 1000), round(hop * rate / 1000)
    n = fft or 1 << (frame - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), frame)[::step]
    spectrum = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)), n)) ** power
    edges = np.linspace(mel(fmin), mel(fmax or rate / 2), mels + 2)
    at = mel(np.arange(n // 2 + 1) * rate / n)[:, None]
    bands = np.maximum(0, np.minimum((at - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - at) / (edges[2:] - edges[1:-1])))
    bands[0] = 0
    logs = np.log(spectrum @ bands + floor)
    if kind == "logmel":
        return logs
    k = np.arange(coefficients)
    cosines = np.sqrt(2 / mels) * np.cos(np.pi * k[:, None] * (np.arange(mels) + 0.5) / mels)
    if not htk:
        cosines[0] /= np.sqrt(2)
    return logs @ cosines.T


# ---- files ----


def write_wav(path, x, rate):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(x.astype("<i2").tobytes())


def identity(shape, settings, mean=None, std=None):
    """A model whose output is its input, flattened, and that says what it takes."""
    size = int(np.prod(shape))
    node = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    graph = helper.make_graph(
        node, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", size])],
        [numpy_helper.from_array(np.array([-1, size], np.int64), "shape")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    meta = {"skive.input.sound": settings}
    if mean is not None:
        meta.update({"skive.input.mean": mean, "skive.input.std": std})
    helper.set_model_props(model, meta)
    path = folder / "identity.onnx"
    onnx.save(model, str(path))
    return path


def run(*command):
    done = subprocess.run([args.skive, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr)
        sys.exit("FAIL %s" % " ".join(map(str, command)))


cases = [
    ("logmel", {}, 16000, 1, (1, 49, 40)),
    ("mfcc", {}, 16000, 1, (1, 49, 10)),
    ("mfcc", dict(window=30, htk=True), 16000, 1, (1, 49, 10)),
    ("mfcc", dict(window=25, hop=10, mels=26, coefficients=13, power=2, fmin=0, fmax=0), 8000, 0.5, (1, 48, 13)),
    ("logmel", dict(window=32, hop=16, mels=64, fft=2048, fmin=50, fmax=7600, floor=1e-3), 16000, 1, (1, 61, 64)),
]
for kind, options, rate, seconds, shape in cases:
    text = ",".join(["features=" + kind] + ["%s=%s" % (k, "yes" if v is True else v) for k, v in options.items()])
    name = "%s at %d Hz" % (text, rate)
    n = int(rate * seconds)
    t = np.arange(n) / rate
    x = np.round(8000 * np.sin(2 * np.pi * 440 * t) + 3000 * np.sin(2 * np.pi * (200 + 900 * t) * t) + 500 * rng.standard_normal(n))
    want = features(x / 32768, rate, kind, **options)
    settings = "rate=%d,seconds=%g,%s" % (rate, seconds, text)

    # in the graph: run by skive and by onnxruntime, with a normalisation that goes along
    model = identity(shape, settings, "-1.5", "2.5")
    raw = folder / "raw.onnx"
    run("simplify", model, "--features-in-graph", "--no-check", "-o", raw)
    onnx.checker.check_model(str(raw), full_check=True)
    sample = (x / 32768).astype(np.float32)[None]
    session = onnxruntime.InferenceSession(str(raw), providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: sample})[0]
    check("onnxruntime, " + name, (want.ravel() + 1.5) / 2.5, got[0], 1e-4)
    np.save(folder / "x.npy", sample)
    run("run", raw, "--input", "x=%s" % (folder / "x.npy"), "--output-dir", folder)
    check("skive run, " + name, (want.ravel() + 1.5) / 2.5, np.load(folder / "y.npy")[0], 1e-4)
    if {p.key: p.value for p in onnx.load(str(raw)).metadata_props}["skive.input.sound"] != "rate=%d,seconds=%g,features=raw" % (rate, seconds):
        failed += 1
        print("FAIL metadata of", name)

    # from files: the output of the model on the set is what NumPy says
    data = folder / kind
    (data / "a").mkdir(parents=True, exist_ok=True)
    write_wav(data / "a" / "0.wav", x, rate)
    samples = pathlib.Path(args.skive).parent / "sound_samples"
    subprocess.run([samples, "audio:%s,%s" % (data, settings), folder / "sample.npy"], check=True)
    check("read from a file, " + name, want, np.load(folder / "sample.npy")[0, 0], 1e-5)

print("%d compared, %d failed" % (checked, failed))
sys.exit(failed > 0)
