"""Quantized models before and after `skive prune --lossless`: are all outputs the same, bit by bit, in skive and in
onnxruntime?

    check_lossless.py SKIVE [--samples 10000] [--images ARCHIVE.tar.xz] [MODEL.onnx ...]

Half of the samples are random numbers over the whole range of the input's type, in several spreads; half are images of
the archive (JPEG files), scaled to the input's size, where the model takes images, and otherwise random too. Without
models: the quantized ones of ../shared/models. Prints a row per model."""
import argparse
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

CHUNK = 250


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def images(archive, count):
    if not archive:
        return []
    from PIL import Image
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.endswith(".jpg"):
                continue
            found.append(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB"))
            if len(found) == count:
                break
    return found


def natural(picture, shape):
    """[height, width, 3] of the bytes of a picture, or None where the shape is no image's."""
    if len(shape) != 3 or shape[2] != 3:
        return None
    return np.asarray(picture.resize((shape[1], shape[0])), np.int16)


def samples(rng, kind, shape, pictures, n, first):
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    x = np.empty((n, *shape), kind)
    for i in range(n):
        picture = pictures[(first + i) // 2 % len(pictures)] if pictures and (first + i) % 2 else None
        pixels = natural(picture, shape) if picture is not None else None
        if pixels is not None:
            x[i] = (pixels + low).astype(kind)
            continue
        spread, center = rng.uniform(0.02, 1), rng.uniform(low, high)
        values = center + spread * (high - low) * rng.uniform(-1, 1, shape)
        x[i] = np.clip(np.rint(values), low, high).astype(kind)
    return x


def run_skive(skive, model, x, folder):
    np.save(folder / "x.npy", x)
    subprocess.run([skive, "run", model, "-q", "--input", folder / "x.npy", "-o", folder / "y.npy"], check=True,
                   capture_output=True)
    return np.load(folder / "y.npy")


def check(skive, model, folder, pictures, count):
    small = folder / "small.onnx"
    small.unlink(missing_ok=True)
    done = subprocess.run([skive, "prune", model, "--lossless", "--json", "-o", small], capture_output=True, text=True)
    if done.returncode:
        return False, done.stderr.strip()
    import json
    report = json.loads(done.stdout)
    onnx.checker.check_model(onnx.load(str(small)), full_check=True)
    before, after = session(model), session(small)
    value = before.get_inputs()[0]
    kind = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8}.get(value.type)
    if kind is None or len(before.get_inputs()) != 1:
        return None, f"its input is {value.type}: not looked at"
    shape = tuple(value.shape[1:])
    free = not isinstance(value.shape[0], int)
    rng = np.random.default_rng(1)
    differing, seen, outputs = [0, 0], 0, set()
    while seen < count:
        n = min(CHUNK if free else 1, count - seen)
        x = samples(rng, kind, shape, pictures, n, seen)
        a, b = (s.run(None, {value.name: x})[0] for s in (before, after))
        c, d = (run_skive(skive, m, x, folder) for m in (model, small)) if free else (a, b)
        differing[0] += int((a != b).sum())
        differing[1] += int((c != d).sum())
        outputs.update(row.tobytes() for row in a)
        seen += n
    macs = report["before"]["macs"], report["after"]["macs"]
    text = (f"MACs {macs[0]} -> {macs[1]} ({macs[0] / macs[1]:.2f}x), {report['removed']} channels, "
            f"{seen} samples with {len(outputs)} different outputs: differing numbers {differing[0]} in onnxruntime, "
            f"{differing[1] if free else 'not looked at'} in skive")
    return differing == [0, 0], text


def main():
    args = argparse.ArgumentParser()
    args.add_argument("skive")
    args.add_argument("models", nargs="*")
    args.add_argument("--samples", type=int, default=10000)
    args.add_argument("--images")
    a = args.parse_intermixed_args()
    models = a.models or sorted(str(p) for p in pathlib.Path("../shared/models").glob("**/*.onnx")
                                if any(n.op_type == "QuantizeLinear" for n in onnx.load(str(p)).graph.node))
    pictures = images(a.images, a.samples // 2)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for model in models:
            right, text = check(a.skive, model, pathlib.Path(name), pictures, a.samples)
            print(f"{'ok  ' if right else 'FAIL' if right is False else 'skip'} {pathlib.Path(model).stem}: {text}",
                  flush=True)
            wrong += right is False
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
