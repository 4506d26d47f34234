#!/usr/bin/env python3
"""Output signal-to-noise ratio of INT8 models by calibration method, against the float model in onnxruntime.

    bench/calibration.py --skive build/skive --library build/libskive.so --images FOLDER MODEL.onnx[:RANGE] ...

Prints a table in Markdown: a row for each model, dB for each --calibration. Calibration takes 256 samples, the figures are on 64
others. Image inputs ([N,3,H,W] or [N,H,W,3]) get the pictures of FOLDER (one sub-folder a class), resized; RANGE is how the
model wants them: 1 (0 to 1, the default), 255 (0 to 255) or s (-1 to 1). Other inputs get smooth random series. Needs numpy, onnx and
onnxruntime."""

import argparse, ctypes, os, subprocess, sys, tempfile
import numpy as np, onnx, onnxruntime

METHODS = 'auto', 'minmax', 'percentile', 'mse', 'entropy'
CALIBRATE, CHECK = 256, 64


def read_images(library, folder):
    """[n][3][h][w] in 0 to 1, in an order that mixes the classes."""
    lib = ctypes.CDLL(os.path.abspath(library))
    ctx, data = ctypes.c_void_p(), ctypes.c_void_p()

    class Info(ctypes.Structure):
        _fields_ = [('kind', ctypes.c_char_p), ('spec', ctypes.c_char_p), ('split', ctypes.c_int),
                    ('count', ctypes.c_size_t), ('rank', ctypes.c_int), ('dims', ctypes.c_int64 * 3),
                    ('rest', ctypes.c_char * 512)]

    info = Info()
    assert lib.skive_context_create(None, ctypes.byref(ctx)) == 0
    assert lib.skive_dataset_open(ctx, f'folder:{folder}'.encode(), None, ctypes.byref(data)) == 0, folder
    lib.skive_dataset_get_info(data, ctypes.byref(info))
    x = np.zeros((info.count, *info.dims), np.float32)
    for i in range(info.count):
        assert lib.skive_dataset_read(ctx, data, ctypes.c_size_t(i), x[i].ctypes.data_as(ctypes.c_void_p), None) == 0
    return x[np.random.default_rng(1).permutation(len(x))]


def resize(x, h, w):
    """Bilinear, of [n][3][h][w]."""
    for axis, n in ((2, h), (3, w)):
        at = np.clip((np.arange(n) + 0.5) * x.shape[axis] / n - 0.5, 0, x.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        part = (at - low).astype(np.float32).reshape([-1 if d == axis else 1 for d in range(4)])
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def samples(shape, images, pixels):
    """[n][shape of a sample] for an input of the model."""
    n = CALIBRATE + CHECK
    channel_last = len(shape) == 4 and shape[3] in (1, 3)
    if len(shape) == 4 and 3 in (shape[1], shape[3]):
        h, w = shape[1:3] if channel_last else shape[2:]
        x = resize(images[:n], h, w) * {'1': 1, '255': 255, 's': 2}[pixels] - (pixels == 's')
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if channel_last else x, np.float32)
    r = np.random.default_rng(2)
    x = np.cumsum(r.standard_normal((n, *shape[1:])), 1)
    return (x / x.std() * np.exp(0.5 * r.standard_normal((n,) + (1,) * (len(shape) - 1)))).astype(np.float32)


def run(path, name, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    step = session.get_inputs()[0].shape[0]
    step = step if isinstance(step, int) else len(x)
    parts = [session.run(None, {name: x[i : i + step]}) for i in range(0, len(x), step)]
    return [np.concatenate([p[k] for p in parts]).astype(np.float64) for k in range(len(parts[0]))]


def decibels(want, got):
    """Mean over the outputs."""
    return np.mean([10 * np.log10((a**2).sum() / max(1e-30, ((a - b) ** 2).sum())) for a, b in zip(want, got)])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('models', nargs='+')
    p.add_argument('--skive', default='build/skive')
    p.add_argument('--library', default='build/libskive.so')
    p.add_argument('--images', required=True)
    p.add_argument('--open', type=int, nargs=2, default=(48, 192), help='height and width where the model leaves them open')
    a = p.parse_args()
    images = read_images(a.library, a.images)
    print('| model | ' + ' | '.join(METHODS) + ' |\n|---' * 1 + '|---:' * len(METHODS) + '|')
    for spec in a.models:
        path, _, pixels = spec.partition(':')
        v = onnx.load(path).graph.input[0]
        shape = [d.dim_value for d in v.type.tensor_type.shape.dim]
        shape = [a.open[i - 2] if i >= 2 and not d else d for i, d in enumerate(shape)]
        x = samples(shape, images, pixels or '1')
        want, row = run(path, v.name, x[CALIBRATE:]), []
        with tempfile.TemporaryDirectory() as folder:
            data, out = folder + '/x.npy', folder + '/q.onnx'
            np.save(data, x[:CALIBRATE])
            for method in METHODS:
                command = [a.skive, 'quantize', path, '-i', f'{v.name}={data}', '--calibration', method, '-o', out]
                r = subprocess.run(command, capture_output=True, text=True)
                if r.returncode:
                    sys.exit(r.stderr)
                row.append(decibels(want, run(out, v.name, x[CALIBRATE:])))
        print(f'| {os.path.basename(path)} | ' + ' | '.join(f'{d:.1f}' for d in row) + ' |', flush=True)


main()
