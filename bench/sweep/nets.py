"""Writes networks of the kinds that the built-in ones lack, with random weights, for sweep.py.

    nets.py FOLDER      unet-small, kws-conv1d, convnext-block, pitch-conv1d, ocr-dynamic-int8, malware-conv1d and
                        regnet-stage
"""

import os
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A chain of nodes under construction; each method appends some and returns the name of the value."""

    def __init__(self, name, shape, kind=TensorProto.FLOAT, seed=1):
        self.name, self.nodes, self.weights = name, [], []
        self.input = helper.make_tensor_value_info("input", kind, ["n"] + list(shape))
        self.rng = np.random.default_rng(seed)

    def weight(self, array):
        name = "w%d" % len(self.weights)
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def random(self, *shape):
        return self.weight((self.rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32))

    def add(self, op, inputs, outputs=1, **attrs):
        names = ["v%d_%d" % (len(self.nodes), i) for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name="%s_%d" % (op, len(self.nodes)), **attrs))
        return names[0] if outputs == 1 else names

    def conv(self, x, c, m, window, stride=1, groups=1, pads=None, dilation=1, relu=True):
        n = len(window)
        pads = pads or [(k - 1) * dilation // 2 for k in window] * 2
        strides = stride if isinstance(stride, list) else [stride] * n
        y = self.add("Conv", [x, self.random(m, c // groups, *window), self.random(m)], strides=strides, pads=pads,
                     group=groups, dilations=[dilation] * n)
        return self.add("Relu", [y]) if relu else y

    def save(self, folder, out):
        path = os.path.join(folder, self.name + ".onnx")
        graph = helper.make_graph(self.nodes, self.name, [self.input], [helper.make_empty_tensor_value_info(out)],
                                  self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if not os.path.exists(path):
            with open(path + ".partial", "wb") as file:
                file.write(model.SerializeToString())
            os.replace(path + ".partial", path)


def unet(folder):
    n = Net("unet-small", (3, 128, 128))
    x, c, skips = "input", 3, []
    for m in (16, 32, 64):
        x = n.conv(n.conv(x, c, m, (3, 3)), m, m, (3, 3))
        skips.append((x, m))
        x, c = n.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), m
    x, c = n.conv(x, c, 128, (3, 3)), 128
    for skip, m in reversed(skips):
        x = n.add("ConvTranspose", [x, n.random(c, m, 2, 2), n.random(m)], strides=[2, 2])
        x = n.add("Concat", [skip, x], axis=1)
        x, c = n.conv(n.conv(x, 2 * m, m, (3, 3)), m, m, (3, 3)), m
    n.save(folder, n.conv(x, c, 2, (1, 1), relu=False))


def keywords(folder):
    n = Net("kws-conv1d", (40, 101))
    x = n.conv("input", 40, 64, (9,))
    for _ in range(6):
        x = n.conv(n.conv(x, 64, 64, (9,), groups=64, relu=False), 64, 64, (1,))
    x = n.add("Flatten", [n.add("GlobalAveragePool", [x])])
    n.save(folder, n.add("Gemm", [x, n.random(64, 12), n.random(12)]))


def convnext(folder):
    n = Net("convnext-block", (96, 56, 56))
    x = "input"
    for _ in range(3):
        y = n.add("Transpose", [n.conv(x, 96, 96, (7, 7), groups=96, relu=False)], perm=[0, 2, 3, 1])
        y = n.add("LayerNormalization", [y, n.random(96), n.random(96)], axis=-1)
        y = n.add("Add", [n.add("MatMul", [y, n.random(96, 384)]), n.random(384)])
        half, one, root = (n.weight(np.float32(v)) for v in (0.5, 1, 1.4142135))
        e = n.add("Add", [n.add("Erf", [n.add("Div", [y, root])]), one])
        y = n.add("Mul", [n.add("Mul", [y, e]), half])
        y = n.add("Add", [n.add("MatMul", [y, n.random(384, 96)]), n.random(96)])
        y = n.add("Mul", [y, n.random(96)])
        x = n.add("Add", [x, n.add("Transpose", [y], perm=[0, 3, 1, 2])])
    n.save(folder, x)


def pitch(folder):
    n = Net("pitch-conv1d", (1, 1024))
    x = n.conv("input", 1, 128, (512,), stride=4, pads=[254, 254])
    x = n.add("MaxPool", [x], kernel_shape=[2], strides=[2])
    for c, m in ((128, 32), (32, 64), (64, 64)):
        x = n.conv(x, c, m, (64,), pads=[31, 32])
        x = n.add("MaxPool", [x], kernel_shape=[2], strides=[2])
    n.save(folder, n.add("Flatten", [x]))


def ocr(folder):
    n = Net("ocr-dynamic-int8", (3, 48, 192))
    x, c = "input", 3
    for m, groups, stride in ((16, 1, [2, 2]), (16, 16, [1, 1]), (48, 1, [1, 1]), (48, 48, [2, 1]), (96, 1, [1, 1]),
                              (96, 96, [2, 1]), (192, 1, [1, 1]), (192, 192, [1, 1]), (256, 1, [1, 1])):
        k = 1 if groups == 1 and c != 3 else 3
        q, scale, zero = n.add("DynamicQuantizeLinear", [x], 3)
        w = n.weight(n.rng.integers(-127, 128, (m, c // groups, k, k)).astype(np.int8))
        y = n.add("ConvInteger", [q, w, zero, n.weight(np.int8(0))], strides=stride, group=groups, pads=[k // 2] * 4)
        by = n.add("Mul", [scale, n.weight(np.float32(0.01 / np.sqrt(c // groups * k * k)))])
        y = n.add("Mul", [n.add("Cast", [y], to=TensorProto.FLOAT), by])
        y = n.add("Add", [y, n.weight(n.rng.standard_normal((1, m, 1, 1)).astype(np.float32))])
        x, c = n.add("HardSwish", [y]), m
    n.save(folder, n.add("GlobalAveragePool", [x]))


def malware(folder):
    n = Net("malware-conv1d", (4096,), TensorProto.INT64)
    x = n.add("Gather", [n.random(257, 8), "input"])
    x = n.add("Transpose", [x], perm=[0, 2, 1])
    x = n.conv(x, 8, 64, (16,), stride=8, pads=[0, 0])
    x = n.conv(x, 64, 128, (8,), stride=1, pads=[0, 0])
    x = n.add("Flatten", [n.add("GlobalMaxPool", [x])])
    n.save(folder, n.add("Gemm", [x, n.random(128, 2), n.random(2)]))


def regnet(folder):
    n = Net("regnet-stage", (104, 28, 28))
    x = "input"
    for _ in range(4):
        y = n.conv(n.conv(x, 104, 104, (1, 1)), 104, 104, (3, 3), groups=13)
        s = n.conv(n.add("GlobalAveragePool", [y]), 104, 26, (1, 1))
        s = n.add("Sigmoid", [n.conv(s, 26, 104, (1, 1), relu=False)])
        y = n.conv(n.add("Mul", [y, s]), 104, 104, (1, 1), relu=False)
        x = n.add("Relu", [n.add("Add", [x, y])])
    n.save(folder, x)


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for make in (unet, keywords, convnext, pitch, ocr, malware, regnet):
        make(sys.argv[1])


main()
