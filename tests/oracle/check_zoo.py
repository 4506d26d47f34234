"""Compares every built-in network with onnxruntime: the file passes the ONNX checker, loads, and gives the same outputs.

    check_zoo.py SKIVE

Exit status: 0 when all agree within 1e-4 of the largest output, 1 otherwise.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

# In place of the usual sizes, where those would take long; and the forms that options make.
SMALL = {
    "vgg16": ("vgg16:0.25", "3,32,32", 0), "resnet18": ("resnet18:0.25", "3,64,64", 0),
    "resnet50": ("resnet50:0.25", "3,64,64", 0), "mobilenet": ("mobilenet:0.5", "3,64,64", 0),
    "unet": ("unet:0.125", "3,32,48", 0), "vit": ("vit:dim=64,depth=3,heads=4", "3,64,64", 0),
    "squeezenet": ("squeezenet", "3,64,64", 0), "efficientnet-b0": ("efficientnet-b0", "3,64,64", 0),
}
MORE = [
    ("resnet20:shortcut=padding", "3,32,32", 0),
    ("vit:dim=32,depth=2,heads=4,patch=7,pool=mean", "1,28,28", 0),
    ("mobilenetv3-small", "3,32,32", 0),
    ("efficientnet-b0:0.5", "3,32,32", 0),
    ("transformer:dim=32,positions=sinusoidal,norm=after", "16", 50),
    ("transformer:dim=32,positions=none,dropout=0.2", "9,12", 0),
    ("lstm:layers=2,bidirectional", "16", 50),
    ("lstm:bidirectional", "3,8,8", 0),
    ("gru:layers=3", "16", 50),
    ("gru:layers=2,bidirectional", "12,7", 0),
    ("crnn:0.25,per-step", "1,32,64", 0),
    ("autoencoder:widths=32,16,code=4", "1,8,8", 0),
    ("autoencoder:kind=conv", "1,28,28", 0),
]


def check(skive, spec, sample, vocabulary, folder, rng):
    path, x_path, y_path = (os.path.join(folder, f) for f in ("net.onnx", "x.npy", "y.npy"))
    told = (["--sample", sample] if sample else []) + (["--vocabulary", str(vocabulary)] if vocabulary else [])
    subprocess.run([skive, "zoo", spec, "-q", "-o", path] + told, check=True, stdout=subprocess.DEVNULL)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    opset = max(o.version for o in model.opset_import)
    foreign = sorted({n.domain for n in model.graph.node if n.domain})
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    put = session.get_inputs()[0]
    shape = [3] + put.shape[1:]
    if put.type == "tensor(int64)":
        x = rng.integers(1, 9, shape)
        x[0, shape[1] // 2:] = 0
        x[2, 1:] = 0
    else:
        x = rng.normal(size=shape).astype(np.float32)
    np.save(x_path, x)
    subprocess.run([skive, "run", path, "-q", "-i", "%s=%s" % (put.name, x_path), "-o",
                    "%s=%s" % (session.get_outputs()[0].name, y_path)], check=True, stdout=subprocess.DEVNULL)
    reference, got = session.run(None, {put.name: x})[0], np.load(y_path)
    error = np.abs(got - reference).max() / max(1e-9, np.abs(reference).max()) if got.shape == reference.shape else np.inf
    good = error <= 1e-4 and opset <= 17 and not foreign
    print("%-50s opset %d, %s, off by %.1e%s" % (spec, opset, list(got.shape), error, "" if good else "  FAILS"))
    return good


def main():
    skive, rng = os.path.abspath(sys.argv[1]), np.random.default_rng(3)
    names = [n["name"] for n in json.loads(subprocess.run([skive, "zoo", "--json"], check=True, capture_output=True).stdout)]
    cases = [SMALL.get(name, (name, "", 0)) for name in names] + MORE
    with tempfile.TemporaryDirectory() as folder:
        failures = sum(not check(skive, *case, folder, rng) for case in cases)
    print("%d networks, %d fail" % (len(cases), failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
