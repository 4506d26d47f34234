#!/usr/bin/env python3
"""Writes the data and the model of the scenes in docs/distillation.md into the current folder: fashion.npz (two targets),
views.npy and index.npy (1,500 images in four augmented views, and their numbers), two-blank.onnx (two outputs). Needs
numpy and onnx."""
import gzip
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"


def read(name, offset):
    return np.frombuffer(gzip.open(f"{folder}/{name}-ubyte.gz").read(), np.uint8, offset=offset)


x, tx = (read(f"{part}-images-idx3", 16).reshape(-1, 1, 28, 28) for part in ("train", "t10k"))
y, ty = (read(f"{part}-labels-idx1", 8).astype(np.int64) for part in ("train", "t10k"))
group = np.array([0, 1, 0, 0, 0, 2, 0, 2, 3, 2])  # tops, trousers, shoes, bags
np.savez("fashion.npz", image_train=x[:4000], kind_train=y[:4000], group_train=group[y[:4000]], image_test=tx, kind_test=ty,
         group_test=group[ty])

draws = np.random.default_rng(1)


def view(image):
    """A crop, perhaps mirrored, with a square left out, in another brightness."""
    i, j = draws.integers(0, 7, 2)
    out = np.pad(image[0], 3)[i:i + 28, j:j + 28].astype(float)
    out = (out[:, ::-1] if draws.random() < 0.5 else out).copy()
    i, j = draws.integers(0, 20, 2)
    out[i:i + 8, j:j + 8] = 0
    return np.clip(out * draws.uniform(0.6, 1.4), 0, 255).astype(np.uint8)[None]


images = 1500
np.save("views.npy", np.stack([view(x[i]) for _ in range(4) for i in range(images)]))
np.save("index.npy", np.tile(np.arange(images), 4).astype(np.int64))

draws = np.random.default_rng(0)


def weight(*shape):
    return (draws.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


parameters, nodes = {}, []


def layer(op, name, source, target, *shape, **attributes):
    parameters[name + ".weight"], parameters[name + ".bias"] = weight(*shape), np.zeros(shape[0], np.float32)
    nodes.append(helper.make_node(op, [source, name + ".weight", name + ".bias"], [target], name, **attributes))


def plain(op, source, target, **attributes):
    nodes.append(helper.make_node(op, [source], [target], **attributes))


layer("Conv", "conv1", "image", "a", 16, 1, 5, 5)
plain("Relu", "a", "ar")
plain("MaxPool", "ar", "ap", kernel_shape=[2, 2], strides=[2, 2])
layer("Conv", "conv2", "ap", "b", 32, 16, 5, 5)
plain("Relu", "b", "br")
plain("MaxPool", "br", "bp", kernel_shape=[2, 2], strides=[2, 2])
plain("Flatten", "bp", "flat")
layer("Gemm", "fc", "flat", "c", 128, 512, transB=1)
plain("Relu", "c", "cr")
layer("Gemm", "of_kind", "cr", "kind", 10, 128, transB=1)
layer("Gemm", "of_group", "cr", "group", 4, 128, transB=1)
graph = helper.make_graph(
    nodes, "two", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", n]) for name, n in (("kind", 10), ("group", 4))],
    [numpy_helper.from_array(v, k) for k, v in parameters.items()])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "two-blank.onnx")
