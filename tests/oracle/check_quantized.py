"""Runs a quantized model on the images of an IDX file in skive (default plan, without fusion, reference kernels) and in onnxruntime
(without and with its optimizations), and counts what differs.

    check_quantized.py MODEL.onnx IMAGES-idx3-ubyte.gz LABELS-idx1-ubyte.gz [--n 10000] [--skive build/skive]

skive's three ways must give the same bits. onnxruntime adds biases and rounds in another order, so that single integers differ by one
step: the outputs that differ are counted, with the largest difference and the images whose class differs. Exit status 1 when skive's
ways differ, or more than 1 % of the classes do.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort


def read_idx(path):
    with gzip.open(path) as f:
        data = f.read()
    dims = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], 'big') for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('model')
    p.add_argument('images')
    p.add_argument('labels')
    p.add_argument('--n', type=int, default=10000)
    p.add_argument('--skive', default='build/skive')
    a = p.parse_args()
    model = onnx.load(a.model)
    onnx.checker.check_model(model, full_check=True)
    meta = {m.key: m.value for m in model.metadata_props}
    images, labels = read_idx(a.images)[:a.n], read_idx(a.labels)[:a.n]
    mean, std = (meta.get('skive.input.' + k) for k in ('mean', 'std'))
    if model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:  # --input-type uint8
        x = images[:, None]
    else:
        x = images.astype(np.float32)[:, None] * np.float32(1 / 255)
        if mean and mean != 'none':
            x = (x - np.float32(mean)) / np.float32(std)
    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + '/x.npy', x)
        ways = []
        for flags in ([], ['--no-fusion'], ['--reference']):
            n = len(x) if not flags else min(len(x), 500)
            np.save(folder + '/part.npy', x[:n])
            subprocess.run([a.skive, 'run', a.model, '-i', folder + '/part.npy', '-o', folder + '/y.npy', '-q', *flags], check=True)
            ways.append(np.load(folder + '/y.npy'))
    same = all(np.array_equal(w, ways[0][:len(w)]) for w in ways)
    print(f'{os.path.basename(a.model)}: {len(x)} images, skive {100 * np.mean(ways[0].argmax(1) == labels):.2f} %; default, --no-fusion, '
          f'--reference: {"the same bits" if same else "DIFFERENT BITS"}')
    bad = not same
    for what, level in (('without optimizations', ort.GraphOptimizationLevel.ORT_DISABLE_ALL),
                        ('optimized', ort.GraphOptimizationLevel.ORT_ENABLE_ALL)):
        o = ort.SessionOptions()
        o.graph_optimization_level = level
        o.log_severity_level = 3
        y = ort.InferenceSession(a.model, o, providers=['CPUExecutionProvider']).run(None, {name: x})[0]
        d = np.abs(y - ways[0])
        scale = np.abs(ways[0]).max()
        classes = np.count_nonzero(y.argmax(1) != ways[0].argmax(1))
        print(f'  onnxruntime {what}: {np.count_nonzero(d > 1e-5 * scale)} of {d.size} outputs differ by more than 1e-5 of the largest, '
              f'at most by {d.max() / scale:.4f}; {classes} classes differ; accuracy {100 * np.mean(y.argmax(1) == labels):.2f} %')
        bad = bad or classes > 0.01 * len(x)
    return int(bad)


sys.exit(main())
