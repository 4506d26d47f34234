"""Models of one operator each, for sweep.py: the shapes are those of known networks and odd ones between them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(1)


def one(op, inputs, constants=(), n_out=1, opset=21, **attrs):
    """A model of one node. inputs: (type, shape) each; constants: arrays behind them."""
    xs = [helper.make_tensor_value_info("x%d" % i, kind, shape) for i, (kind, shape) in enumerate(inputs)]
    ws = [numpy_helper.from_array(a, "w%d" % i) for i, a in enumerate(constants)]
    ys = ["y%d" % i for i in range(n_out)]
    node = helper.make_node(op, [x.name for x in xs] + [w.name for w in ws], ys, name=op, **attrs)
    outs = [helper.make_empty_tensor_value_info(y) for y in ys]
    graph = helper.make_graph([node], op, xs, outs, ws)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def f32(*shape):
    return (TensorProto.FLOAT, list(shape))


def normal(*shape):
    return (RNG.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)


def size(shape):
    return "x".join(map(str, shape))


# (input, filters, window, stride, groups, dilation)
CONVS = [
    ((1, 3, 224, 224), 64, (7, 7), 2, 1, 1), ((1, 3, 224, 224), 32, (3, 3), 2, 1, 1),
    ((1, 3, 224, 224), 96, (4, 4), 4, 1, 1), ((1, 3, 224, 224), 192, (16, 16), 16, 1, 1),
    ((1, 1, 28, 28), 20, (5, 5), 1, 1, 1), ((1, 1, 49, 10), 64, (10, 4), 2, 1, 1),
    ((1, 1, 96, 96), 8, (3, 3), 1, 1, 1), ((1, 64, 56, 56), 64, (3, 3), 1, 1, 1),
    ((1, 64, 56, 56), 64, (1, 1), 1, 1, 1), ((1, 128, 28, 28), 128, (3, 3), 1, 1, 1),
    ((1, 256, 14, 14), 256, (3, 3), 1, 1, 1), ((1, 512, 7, 7), 512, (3, 3), 1, 1, 1),
    ((1, 2048, 7, 7), 512, (1, 1), 1, 1, 1), ((1, 24, 64, 64), 24, (5, 5), 2, 1, 1),
    ((1, 17, 33, 33), 19, (3, 3), 1, 1, 1), ((1, 6, 40, 40), 12, (3, 3), 1, 1, 1),
    ((1, 48, 28, 28), 64, (1, 9), 1, 1, 1), ((1, 32, 64, 64), 32, (3, 3), 1, 1, 2),
    ((1, 64, 56, 56), 64, (3, 3), 1, 8, 1), ((1, 104, 28, 28), 104, (3, 3), 1, 13, 1),
    ((1, 232, 28, 28), 232, (3, 3), 2, 29, 1), ((1, 32, 112, 112), 32, (3, 3), 1, 32, 1),
    ((1, 144, 56, 56), 144, (3, 3), 2, 144, 1), ((1, 240, 28, 28), 240, (5, 5), 1, 240, 1),
    ((1, 96, 56, 56), 96, (7, 7), 1, 96, 1), ((1, 384, 14, 14), 384, (7, 7), 1, 384, 1),
    ((1, 64, 28, 28), 64, (13, 13), 1, 64, 1), ((1, 12, 31, 31), 12, (3, 3), 1, 12, 1),
    ((1, 576, 7, 7), 576, (5, 5), 1, 576, 1), ((1, 40, 98), 16, (3,), 1, 1, 1), ((1, 40, 101), 64, (9,), 1, 1, 1),
    ((1, 64, 101), 64, (9,), 1, 64, 1), ((1, 64, 49), 128, (1,), 1, 1, 1), ((1, 128, 2048), 128, (8,), 1, 1, 1),
    ((1, 1, 16000), 32, (80,), 4, 1, 1), ((1, 1, 1024), 1024, (512,), 4, 1, 1),
    ((1, 128, 512), 128, (64,), 1, 1, 1), ((1, 512, 1000), 512, (3,), 2, 1, 1),
    ((1, 1, 1024), 256, (512,), 64, 1, 1), ((1, 16, 8000), 32, (31,), 2, 1, 1), ((1, 256, 256), 256, (3,), 1, 1, 4),
    ((1, 1024, 256, 1), 128, (64, 1), 1, 1, 1), ((1, 1, 256, 264), 32, (39, 3), 1, 1, 1),
    ((1, 8, 172, 264), 32, (5, 39), 1, 1, 1), ((1, 8, 8, 32, 32), 16, (3, 3, 3), 1, 1, 1),
    ((1, 32, 8, 16, 16), 32, (3, 3, 3), 1, 32, 1), ((8, 64, 28, 28), 64, (3, 3), 1, 1, 1),
    ((8, 40, 98), 64, (3,), 1, 1, 1),
]


def convs():
    for shape, m, window, stride, groups, dilation in CONVS:
        n = len(window)
        pads = [(k - 1) * dilation // 2 for k in window] if stride < min(window) else [0] * n
        more = (" groups %d" % groups if groups > 1 else "") + (" dilation %d" % dilation if dilation > 1 else "")
        words = "%s, %d of %s/%d%s" % (size(shape), m, size(window), stride, more)
        attrs = dict(strides=[stride] * n if shape[-1] > 1 else [stride] + [1] * (n - 1), pads=pads * 2, group=groups,
                     dilations=[dilation] * n)
        weight = normal(m, shape[1] // groups, *window)
        yield "Conv", words, one("Conv", [f32(*shape)], [weight, normal(m)], **attrs)
        if len(window) < 3:
            yield "QConv", words, quantized_conv(shape, weight, attrs)
            levels, zeros = RNG.integers(-127, 128, weight.shape), [np.uint8(121).reshape(())]
            x = [(TensorProto.UINT8, list(shape))]
            yield "ConvInteger", words, one(
                "ConvInteger", x, [(levels + 128).astype(np.uint8)] + zeros + [np.uint8(128).reshape(())], **attrs)
            yield "ConvInteger int8 weights", words, one("ConvInteger", x, [levels.astype(np.int8)] + zeros, **attrs)


def quantized_conv(shape, weight, attrs):
    """Q/DQ around a convolution with weights in int8."""
    m = weight.shape[0]
    scale = np.abs(weight).reshape(m, -1).max(1).astype(np.float32) / 127 + 1e-6
    q = np.round(weight / scale.reshape((m,) + (1,) * (weight.ndim - 1))).astype(np.int8)
    tensors = {"xs": np.float32(0.02), "xz": np.uint8(120), "w": q, "ws": scale, "wz": np.zeros(m, np.int8),
               "ys": np.float32(0.05), "yz": np.uint8(128), "b": np.zeros(m, np.int32),
               "bs": (scale * 0.02).astype(np.float32), "bz": np.zeros(m, np.int32)}
    make = helper.make_node
    nodes = [make("DequantizeLinear", ["x0", "xs", "xz"], ["xf"]),
             make("DequantizeLinear", ["w", "ws", "wz"], ["wf"], axis=0),
             make("DequantizeLinear", ["b", "bs", "bz"], ["bf"], axis=0),
             make("Conv", ["xf", "wf", "bf"], ["yf"], name="Conv", **attrs),
             make("QuantizeLinear", ["yf", "ys", "yz"], ["y"])]
    graph = helper.make_graph(nodes, "qconv", [helper.make_tensor_value_info("x0", TensorProto.UINT8, list(shape))],
                              [helper.make_empty_tensor_value_info("y")],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def transposed():
    for shape, m, window, stride, groups in [
            ((1, 1024, 16, 16), 512, (2, 2), 2, 1), ((1, 128, 64, 64), 64, (2, 2), 2, 1),
            ((1, 64, 32, 32), 32, (3, 3), 2, 1), ((1, 128, 16, 16), 64, (4, 4), 2, 1),
            ((1, 256, 64), 128, (16,), 8, 1), ((1, 64, 28, 28), 64, (4, 4), 2, 64),
            ((1, 24, 40, 40), 24, (2, 2), 2, 1), ((1, 16, 33, 33), 3, (5, 5), 1, 1),
            ((1, 32, 8, 8, 8), 16, (2, 2, 2), 2, 1)]:
        n, more = len(window), " groups %d" % groups if groups > 1 else ""
        pad = (window[0] - stride) // 2 if window[0] > stride else 0
        model = one("ConvTranspose", [f32(*shape)], [normal(shape[1], m // groups, *window), normal(m)],
                    strides=[stride] * n, pads=[pad] * (2 * n), group=groups)
        yield "ConvTranspose", "%s, %d of %s/%d%s" % (size(shape), m, size(window), stride, more), model


def pools():
    for shape, window, stride in [
            ((1, 64, 112, 112), (3, 3), 2), ((1, 64, 56, 56), (2, 2), 2), ((1, 16, 64, 64), (2, 2), 2),
            ((1, 192, 28, 28), (3, 3), 1), ((1, 256, 20, 20), (5, 5), 1), ((1, 256, 20, 20), (13, 13), 1),
            ((1, 3, 65, 65), (3, 3), 2), ((1, 64, 1000), (3,), 2),
            ((1, 32, 16000), (4,), 4), ((1, 16, 8, 32, 32), (2, 2, 2), 2)]:
        n = len(window)
        pads = [(window[0] - 1) // 2 if stride < window[0] else 0] * (2 * n)
        words = "%s, %s/%d" % (size(shape), size(window), stride)
        attrs = dict(kernel_shape=list(window), strides=[stride] * n, pads=pads)
        yield "MaxPool", words, one("MaxPool", [f32(*shape)], **attrs)
        yield "MaxPool u8", words, one("MaxPool", [(TensorProto.UINT8, list(shape))], **attrs)
        yield "AveragePool", words, one("AveragePool", [f32(*shape)], **attrs)
    for shape in [(1, 2048, 7, 7), (1, 64, 56, 56), (1, 512, 1000), (8, 128, 50), (1, 64, 8, 14, 14)]:
        for op in ("GlobalMaxPool", "GlobalAveragePool"):
            yield op, size(shape), one(op, [f32(*shape)])


def rows():
    for shape in [(1, 197, 192), (1, 56, 56, 96), (1, 128, 512)]:
        c = shape[-1]
        yield "LayerNormalization", size(shape), one("LayerNormalization", [f32(*shape)],
                                                      [normal(c), normal(c)], axis=-1)
        yield "Softmax", size(shape), one("Softmax", [f32(*shape)], axis=-1)
        yield "Gelu", size(shape), one("Gelu", [f32(*shape)])
    for shape, perm in [((1, 96, 56, 56), (0, 2, 3, 1)), ((1, 56, 56, 96), (0, 3, 1, 2)),
                        ((1, 197, 3, 64), (0, 2, 1, 3))]:
        yield "Transpose", "%s by %s" % (size(shape), size(perm)), one("Transpose", [f32(*shape)], perm=list(perm))
    for m, k, n in [(1, 512, 1000), (128, 768, 768), (197, 192, 576), (8, 2048, 1000), (1, 4096, 4096)]:
        yield "Gemm", "%dx%d by %dx%d" % (m, k, k, n), one("Gemm", [f32(m, k)], [normal(k, n), normal(n)])
        yield "MatMulInteger", "%dx%d by %dx%d" % (m, k, k, n), one(
            "MatMulInteger", [(TensorProto.UINT8, [m, k])],
            [RNG.integers(-127, 128, (k, n)).astype(np.int8), np.uint8(121).reshape(())])


def models():
    """(operator, shape in words, model)"""
    for family in (convs, transposed, pools, rows):
        yield from family()
