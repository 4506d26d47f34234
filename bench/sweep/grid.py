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
    for m, k, n in [(1, 512, 1000), (128, 768, 768), (197, 192, 576), (8, 2048, 1000), (1, 4096, 4096),
                    (1, 768, 3072), (1, 3072, 768), (4, 768, 768), (7, 113, 59)]:
        yield "Gemm", "%dx%d by %dx%d" % (m, k, k, n), one("Gemm", [f32(m, k)], [normal(k, n), normal(n)])
        yield "MatMulInteger", "%dx%d by %dx%d" % (m, k, k, n), one(
            "MatMulInteger", [(TensorProto.UINT8, [m, k])],
            [RNG.integers(-127, 128, (k, n)).astype(np.int8), np.uint8(121).reshape(())])


def kind(dtype, *shape):
    return (dtype, list(shape))


def pointwise():
    i64, u8, boolean = TensorProto.INT64, TensorProto.UINT8, TensorProto.BOOL
    for shape in [(1, 64, 56, 56), (1, 12, 128, 128), (3, 1001), (1, 7, 9, 11, 13)]:
        c = (shape[1],) + (1,) * (len(shape) - 2) if len(shape) > 2 else (shape[1],)
        for op in ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "HardSwish", "Softplus", "Neg",
                   "Elu", "Floor", "Round", "Sign", "Sin", "Reciprocal", "Abs", "Mish"):
            yield op, size(shape), one(op, [f32(*shape)])
        for op in ("Add", "Mul", "Sub", "Div", "Pow", "Max", "PRelu"):
            yield op, size(shape) + " by channel", one(op, [f32(*shape)], [np.abs(normal(*c)) + 1])
        for op in ("Add", "Mul", "Min"):
            yield op, size(shape) + " by the same", one(op, [f32(*shape), f32(*shape)])
        yield "Pow", size(shape) + " by 2", one("Pow", [f32(*shape)], [np.float32(2).reshape(())])
        yield "Clip", size(shape), one("Clip", [f32(*shape)], [np.float32(0).reshape(()), np.float32(6).reshape(())])
        for op in ("Equal", "Greater", "LessOrEqual"):
            yield op, size(shape) + " by a number", one(op, [f32(*shape)], [np.float32(0.5).reshape(())])
            yield op, "int64 " + size(shape) + " by channel", one(op, [kind(i64, *shape)],
                                                                  [np.ones(c, np.int64)])
        yield "Where", size(shape) + " or a number", one("Where", [kind(boolean, *shape), f32(*shape)],
                                                         [np.float32(-1e9).reshape(())])
        mask = (1,) * (len(shape) - 1) + shape[-1:]
        yield "Where", size(shape) + " by " + size(mask), one("Where", [kind(boolean, *mask), f32(*shape), f32(*shape)])
        yield "Not", size(shape), one("Not", [kind(boolean, *shape)])
        yield "And", size(shape), one("And", [kind(boolean, *shape), kind(boolean, *shape)])
        yield "Add", "int64 " + size(shape), one("Add", [kind(i64, *shape), kind(i64, *shape)])
        for a, b in [(TensorProto.FLOAT, i64), (i64, TensorProto.FLOAT), (boolean, TensorProto.FLOAT),
                     (u8, TensorProto.FLOAT), (TensorProto.FLOAT, u8), (TensorProto.FLOAT, TensorProto.FLOAT16),
                     (i64, TensorProto.INT32), (TensorProto.FLOAT, boolean)]:
            words = "%s to %s, %s" % (TensorProto.DataType.Name(a), TensorProto.DataType.Name(b), size(shape))
            yield "Cast", words.lower(), one("Cast", [kind(a, *shape)], to=b)
        yield "QuantizeLinear", size(shape), one("QuantizeLinear", [f32(*shape)],
                                                 [np.float32(0.02).reshape(()), np.uint8(120).reshape(())])
        yield "DequantizeLinear", size(shape), one("DequantizeLinear", [kind(u8, *shape)],
                                                   [np.float32(0.02).reshape(()), np.uint8(120).reshape(())])
        yield "DynamicQuantizeLinear", size(shape), one("DynamicQuantizeLinear", [f32(*shape)], n_out=3)


def reductions():
    for shape, axes in [((1, 128, 768), (2,)), ((1, 64, 56, 56), (2, 3)), ((1, 64, 56, 56), (1,)), ((8, 197, 192),
            (1,)),
                        ((1, 21, 65, 67), (1,)), ((3, 1001), (1,)), ((2, 5, 7, 9, 33), (0, 2, 4)),
                        ((1, 4096), (0, 1))]:
        for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "ReduceLogSumExp",
                   "ReduceSumSquare", "ReduceL1"):
            yield op, "%s over %s" % (size(shape), size(axes)), one(op, [f32(*shape)], [np.array(axes, np.int64)],
                                                                    keepdims=1)
        yield "ReduceSum", "int64 %s over %s" % (size(shape), size(axes)), one(
            "ReduceSum", [kind(TensorProto.INT64, *shape)], [np.array(axes, np.int64)])
    for shape, axis in [((1, 1000), 1), ((1, 21, 64, 64), 1), ((128, 30522), -1), ((3, 17, 33), 1)]:
        yield "ArgMax", "%s over %d" % (size(shape), axis), one("ArgMax", [f32(*shape)], axis=axis)
        yield "ArgMin", "%s over %d" % (size(shape), axis), one("ArgMin", [f32(*shape)], axis=axis)
    for shape, k, axis in [((1, 1000), 5, 1), ((1, 8400), 300, 1), ((1, 80, 400), 10, 1), ((64, 512), 50, 1)]:
        yield "TopK", "%d of %s, axis %d" % (k, size(shape), axis), one("TopK", [f32(*shape)], [np.array([k])], n_out=2,
                                                                        axis=axis)
    for shape, axis in [((1, 64, 1000), 2), ((1, 1000, 64), 1)]:
        yield "CumSum", "%s over %d" % (size(shape), axis), one("CumSum", [f32(*shape)], [np.array(axis)])


def norms():
    for shape, axis in [((1, 21, 64, 64), 1), ((1, 1000), 1), ((1, 12, 8, 8), 3), ((1, 12, 128, 128), 3), ((4, 7,
            13), 1),
                        ((1, 85, 8400), 1), ((2, 3, 16, 17, 5), 2)]:
        words = "%s over %d" % (size(shape), axis)
        yield "Softmax", words, one("Softmax", [f32(*shape)], axis=axis)
        yield "LogSoftmax", words, one("LogSoftmax", [f32(*shape)], axis=axis)
        tail = shape[axis:]
        yield "LayerNormalization", words, one("LayerNormalization", [f32(*shape)], [normal(*tail), normal(*tail)],
                                               axis=axis)
    for shape in [(1, 64, 56, 56), (8, 24, 101), (1, 16, 8, 17, 19)]:
        c = shape[1]
        yield "InstanceNormalization", size(shape), one("InstanceNormalization", [f32(*shape)], [normal(c), normal(c)])
        yield "GroupNormalization", size(shape), one("GroupNormalization", [f32(*shape)], [normal(c), normal(c)],
                                                     num_groups=8)
        yield "BatchNormalization", size(shape), one("BatchNormalization", [f32(*shape)],
                                                     [normal(c), normal(c), normal(c), np.abs(normal(c)) + 1])
        yield "LpNormalization", size(shape), one("LpNormalization", [f32(*shape)], axis=1)
        yield "LRN", size(shape), one("LRN", [f32(*shape)], size=5)
    yield "Gelu", "tanh 1x128x512", one("Gelu", [f32(1, 128, 512)], approximate="tanh")
    yield "RMSNormalization", "1x128x768", one("RMSNormalization", [f32(1, 128, 768)], [normal(768)], opset=23)


def moves():
    i64 = TensorProto.INT64
    for shape, indices, axis in [((30522, 256), (1, 128), 0), ((1, 64, 56, 56), (28,), 3), ((1, 197, 768), (), 1),
                                 ((1, 64, 1000), (500,), 2)]:
        words = "%s by %s, axis %d" % (size(shape), size(indices) or "one", axis)
        ids = RNG.integers(0, shape[axis], indices)
        yield "Gather", words, one("Gather", [f32(*shape)], [ids], axis=axis)
    for shape, axis in [((1, 8400, 4), 1), ((64, 128), 1), ((1, 12, 64, 64), 3)]:
        ids = RNG.integers(0, shape[axis], shape)
        yield "GatherElements", "%s, axis %d" % (size(shape), axis), one("GatherElements", [f32(*shape)], [ids],
                axis=axis)
        yield "ScatterElements", "%s, axis %d" % (size(shape), axis), one(
            "ScatterElements", [f32(*shape)], [RNG.permuted(np.broadcast_to(np.arange(shape[axis]).reshape(
                [-1 if d == axis else 1 for d in range(len(shape))]), shape), axis=axis), normal(*shape)], axis=axis)
    yield "GatherND", "1x100x100x16 by 500x3", one("GatherND", [f32(1, 100, 100, 16)], [np.stack(
        [np.zeros(500, np.int64), RNG.integers(0, 100, 500), RNG.integers(0, 100, 500)], 1)])
    yield "ScatterND", "100x64 by 50x1", one("ScatterND", [f32(100, 64)], [RNG.permutation(100)[:50].reshape(50, 1),
                                                                           normal(50, 64)])
    for mode, place in [("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners"),
                        ("cubic", "half_pixel")]:
        for shape, scales in [((1, 64, 28, 28), (1, 1, 2, 2)), ((1, 3, 101, 77), (1, 1, 1.7, 1.3)),
                              ((1, 256, 20, 20), (1, 1, 2, 2)), ((1, 3, 224, 224), (1, 1, 0.5, 0.5)),
                              ((1, 16, 500), (1, 1, 2)), ((1, 8, 8, 16, 16), (1, 1, 2, 2, 2))]:
            if mode == "cubic" and len(shape) != 4:
                continue
            words = "%s, %s %s by %g" % (size(shape), mode, place, scales[-1])
            yield "Resize", words, one("Resize", [f32(*shape)], [np.zeros(0, np.float32), np.array(scales, np.float32)],
                                       mode=mode, coordinate_transformation_mode=place,
                                       **({"nearest_mode": "floor"} if mode == "nearest" else {}))
    for shape, perm in [((1, 64, 12, 64), (0, 2, 1, 3)), ((2, 3, 17, 19, 23), (0, 4, 2, 1, 3)), ((513, 129), (1, 0)),
                        ((1, 2, 116, 28, 28), (0, 2, 1, 3, 4)), ((8, 40, 98), (2, 0, 1))]:
        yield "Transpose", "%s by %s" % (size(shape), size(perm)), one("Transpose", [f32(*shape)], perm=list(perm))
        yield "Transpose", "int64 %s by %s" % (size(shape), size(perm)), one("Transpose", [kind(i64, *shape)],
                                                                             perm=list(perm))
    for shape, axis in [((1, 64, 28, 28), 1), ((1, 197, 192), 2), ((1, 8400, 5), 2)]:
        yield "Concat", "three %s, axis %d" % (size(shape), axis), one("Concat", [f32(*shape)] * 3, axis=axis)
    for shape, parts, axis in [((1, 96, 28, 28), 3, 1), ((1, 197, 576), 3, 2), ((1, 8400, 6), 3, 2)]:
        yield "Split", "%s by %d, axis %d" % (size(shape), parts, axis), one("Split", [f32(*shape)], n_out=parts,
                                                                             axis=axis, num_outputs=parts)
    for shape, step in [((1, 3, 224, 224), 2), ((1, 64, 1000), 1), ((1, 33, 57, 5), -1)]:
        n = len(shape)
        at = [np.array(v, np.int64) for v in ([-1, -1] if step < 0 else [1, 1], [-999, -999] if step < 0 else [999,
                999],
                                              [n - 2, n - 1], [step, step])]
        yield "Slice", "%s step %d" % (size(shape), step), one("Slice", [f32(*shape)], at)
    for mode in ("constant", "reflect", "edge"):
        for shape in [(1, 64, 56, 56), (1, 1, 16000)]:
            pads = [0, 0] + [3] * (len(shape) - 2)
            yield "Pad", "%s %s" % (size(shape), mode), one("Pad", [f32(*shape)], [np.array(pads * 2, np.int64)],
                    mode=mode)
    yield "Expand", "1x1x128x128 to 1x12x128x128", one("Expand", [f32(1, 1, 128, 128)], [np.array([1, 12, 128, 128])])
    yield "Expand", "1x64x1x1 to 1x64x56x56", one("Expand", [f32(1, 64, 1, 1)], [np.array([1, 64, 56, 56])])
    yield "Tile", "1x64x100 by 2x3", one("Tile", [f32(1, 64, 100)], [np.array([1, 2, 3])])
    for mode in ("DCR", "CRD"):
        yield "DepthToSpace", "1x64x56x56 by 2 " + mode, one("DepthToSpace", [f32(1, 64, 56, 56)], blocksize=2,
                mode=mode)
    yield "SpaceToDepth", "1x3x224x224 by 2", one("SpaceToDepth", [f32(1, 3, 224, 224)], blocksize=2)
    yield "OneHot", "1x128 of 1000", one("OneHot", [kind(i64, 1, 128)], [np.array(1000), np.array([0, 1], np.float32)])
    yield "Trilu", "1x12x128x128", one("Trilu", [f32(1, 12, 128, 128)], upper=0)
    yield "GridSample", "1x32x56x56 at 56x56", one(
        "GridSample", [f32(1, 32, 56, 56)], [RNG.uniform(-1, 1, (1, 56, 56, 2)).astype(np.float32)], mode="linear")
    yield "RoiAlign", "1x64x50x50, 20 boxes", one(
        "RoiAlign", [f32(1, 64, 50, 50)], [np.abs(RNG.standard_normal((20, 4)) * 5 + [5, 5, 30, 30]).astype(np.float32),
                                           np.zeros(20, np.int64)], output_height=7, output_width=7)


def more_pools():
    """Average windows of odd forms, and those with several strides, in one, two and three dimensions."""
    for shape, window, strides in [
            ((1, 40, 101), (3,), (1,)), ((1, 7, 4001), (5,), (3,)), ((1, 128, 49), (49,), (1,)), ((1, 1, 16000),
                    (25,), (25,)),
            ((1, 24, 33, 47), (3, 5), (2, 1)), ((1, 96, 7, 7), (7, 7), (1, 1)), ((1, 5, 300, 300), (2, 2), (2, 2)),
            ((8, 32, 14, 14), (3, 3), (1, 1)), ((1, 17, 9, 15, 15), (3, 3, 3), (2, 2, 2)), ((1, 320, 10, 10), (9, 9),
                    (1, 1))]:
        pads = [(k - 1) // 2 if s < k < 20 else 0 for k, s in zip(window, strides)] * 2
        words = "%s, %s/%s" % (size(shape), size(window), size(strides))
        for op in ("MaxPool", "AveragePool", "LpPool"):
            yield op, words, one(op, [f32(*shape)], kernel_shape=list(window), strides=list(strides), pads=pads)
    for shape, dilation in [((1, 32, 40, 40), 2), ((1, 32, 400), 3)]:
        n = len(shape) - 2
        yield "MaxPool", "%s, 3/1 dilation %d" % (size(shape), dilation), one(
            "MaxPool", [f32(*shape)], kernel_shape=[3] * n, dilations=[dilation] * n, pads=[dilation] * (2 * n))


def sequences():
    """Recurrent layers of small batches, with lengths and both ways; attention of few tokens; products in batches."""
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for steps, batch, inputs, hidden, both, lengths in [
                (50, 1, 64, 128, 1, False), (50, 3, 64, 128, 1, True), (20, 8, 40, 96, 2, True), (100, 1, 128, 64, 2,
                        False),
                (1, 1, 256, 256, 1, False), (30, 4, 13, 37, 1, False)]:
            weights = [normal(both, gates * hidden, inputs), normal(both, gates * hidden, hidden)]
            more = [normal(both, 2 * gates * hidden)]
            if lengths:
                more.append(np.array([max(1, steps - 3 * i) for i in range(batch)], np.int32))
            words = "%d steps, batch %d, %d to %d" % (steps, batch, inputs, hidden)
            words += (", both ways" if both > 1 else "") + (", lengths" if lengths else "")
            attrs = dict(hidden_size=hidden, direction="bidirectional" if both > 1 else "forward")
            if op == "GRU":
                attrs["linear_before_reset"] = 1
            yield op, words, one(op, [f32(steps, batch, inputs)], weights + more, **attrs)
    for heads, queries, keys, width in [(12, 8, 8, 64), (12, 32, 32, 64), (8, 100, 100, 32), (12, 128, 128, 64),
                                        (12, 1, 128, 64), (3, 197, 197, 64)]:
        shapes = [f32(1, heads, queries, width), f32(1, heads, keys, width), f32(1, heads, keys, width)]
        yield "Attention", "%d heads, %d by %d tokens of %d" % (heads, queries, keys, width), one("Attention", shapes,
                                                                                                  opset=23)
    for b, m, k, n in [(12, 128, 64, 128), (12, 8, 64, 8), (1, 37, 53, 71), (64, 1, 32, 50), (8, 100, 32, 100)]:
        yield "MatMul", "%dx%dx%d by %dx%d" % (b, m, k, k, n), one("MatMul", [f32(b, m, k), f32(b, k, n)])
    for m, k, n in [(1, 768, 3072), (3, 113, 59), (16, 1000, 10), (50, 512, 33)]:
        yield "MatMul", "%dx%d by %dx%d" % (m, k, k, n), one("MatMul", [f32(m, k)], [normal(k, n)])
    yield "Einsum", "1x8x100x32 by the same", one("Einsum", [f32(1, 8, 100, 32)] * 2, equation="bhid,bhjd->bhij")


def models():
    """(operator, shape in words, model)"""
    for family in (convs, transposed, pools, rows, pointwise, reductions, norms, moves, more_pools, sequences):
        yield from family()
