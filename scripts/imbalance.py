#!/usr/bin/env python3
"""Injects an imbalance of channels into a model without changing its function, to test equalization.

Usage: imbalance.py MODEL.onnx OUT.onnx [LARGEST [SEED]]

Where a Conv (with its BatchNormalization, if any) and a Relu are read by Convs only, each channel is multiplied by a
power of two between 1 / LARGEST and LARGEST (64), and the weights that read it are divided by it: exact in floating
point. Needs the packages onnx and numpy.
"""
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def main():
    path, out = sys.argv[1:3]
    most = int(np.log2(float(sys.argv[3]))) if len(sys.argv) > 3 else 6
    rng = np.random.default_rng(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    model = onnx.load(path)
    graph = model.graph
    weights = {t.name: t for t in graph.initializer}
    outputs = {o.name for o in graph.output}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def scale(name, factors):
        array = numpy_helper.to_array(weights[name]).copy()
        weights[name].CopyFrom(numpy_helper.from_array((array * factors).astype(array.dtype), name))

    done = 0
    for node in graph.node:
        if node.op_type != "Conv" or any(a.name == "group" and a.i != 1 for a in node.attribute):
            continue
        chain = [node]
        while len(readers.get(chain[-1].output[0], [])) == 1 and \
                readers[chain[-1].output[0]][0].op_type in ("BatchNormalization", "Relu", "MaxPool"):
            chain.append(readers[chain[-1].output[0]][0])
        last = chain[-1].output[0]
        after = readers.get(last, [])
        if last in outputs or not after or any(n.op_type != "Conv" for n in after):
            continue
        if any(a.name == "group" and a.i != 1 for n in after for a in n.attribute):
            continue
        norm = next((n for n in chain if n.op_type == "BatchNormalization"), None)
        channels = numpy_helper.to_array(weights[node.input[1]]).shape[0]
        s = 2.0 ** rng.integers(-most, most + 1, channels)
        if norm is not None:
            scale(norm.input[1], s)
            scale(norm.input[2], s)
        else:
            scale(node.input[1], s.reshape(-1, 1, 1, 1))
            if len(node.input) > 2 and node.input[2]:
                scale(node.input[2], s)
        for n in after:
            scale(n.input[1], 1 / s.reshape(1, -1, 1, 1))
        done += 1
    onnx.save(model, out)
    print(f"{done} layers have channels between 1/{2 ** most} and {2 ** most} times as large")


if __name__ == "__main__":
    main()
