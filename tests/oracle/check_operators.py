"""Compares skive with onnxruntime on operators with many forms, each with random attributes and shapes: recurrent layers, integer products and
com.microsoft's quantized operators, Resize, GridSample, TopK, NonMaxSuppression, Einsum, norms. Exit 1 when a float differs by more than 1e-4
of the largest value, or an integer at all; for quantized results, when more than one element in a thousand differs, or one by more than one step.

    tests/oracle/check_operators.py [build/skive] [--seed N] [--rounds N]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from clipping import clips

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--rounds", type=int, default=3)
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
CLIPS = clips()
failed, checked, worst, steps, elements = 0, 0, 0.0, 0, 0


def check(op, inputs, n_out, opset=17, domain="", quantized=False, **attributes):
    """inputs: arrays; None: absent; in a tuple: an initializer."""
    names, feed, constants, declared = [], {}, [], []
    for i, x in enumerate(inputs):
        if x is None:
            names.append("")
            continue
        name, fixed = "i%d" % i, isinstance(x, tuple)
        x = np.asarray(x[0] if fixed else x)
        names.append(name)
        if fixed:
            constants.append(numpy_helper.from_array(x, name))
        else:
            feed[name] = x
            declared.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
    while names and not names[-1]:
        names.pop()
    outputs = ["o%d" % i for i in range(n_out)]
    node = helper.make_node(op, names, outputs, domain=domain, **attributes)
    graph = helper.make_graph([node], "g", declared, [helper.make_empty_tensor_value_info(o) for o in outputs], constants)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=imports, ir_version=8 if opset < 19 else 10)
    what = "%s %s %s" % (op, {k: v for k, v in attributes.items()}, [None if x is None else np.asarray(x[0] if isinstance(x, tuple) else x).shape for x in inputs])
    compare(model, what, feed, outputs, quantized)


def compare(model, what, feed, outputs, quantized=False, specification=False):
    global failed, checked, worst, steps, elements
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        if specification:
            want = ReferenceEvaluator(model).run(outputs, feed)
        else:
            want = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(outputs, feed)
    except Exception as error:
        print("onnxruntime does not run %s: %s" % (what, str(error).splitlines()[0][:150]))
        return
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        onnx.save(model, folder / "m.onnx")
        command = [args.skive, "run", folder / "m.onnx", "--quiet"]
        for name, x in feed.items():
            np.save(folder / (name + ".npy"), x)
            command += ["--input", "%s=%s" % (name, folder / (name + ".npy"))]
        for o in outputs:
            command += ["-o", "%s=%s" % (o, folder / (o + ".npy"))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        checked += 1
        if done.returncode != 0:
            print("FAIL %s: %s" % (what, done.stdout.strip().splitlines()[-1]))
            failed += 1
            return
        got = [np.load(folder / (o + ".npy")) for o in outputs]
    for a, b in zip(want, got):
        bad = a.shape != b.shape or a.dtype != b.dtype
        off = 0.0
        if not bad and a.dtype.kind == "f" and a.size:
            off = float(np.max(np.abs(a.astype(np.float64) - b))) / max(float(np.max(np.abs(a))), 1e-30)
            worst = max(worst, off)
            bad = not off <= 1e-4
        elif not bad and a.size:
            difference = np.abs(a.astype(np.int64) - b.astype(np.int64))
            steps, elements = steps + int(np.count_nonzero(difference)), elements + a.size
            bad = difference.max() > (1 if quantized else 0) or (quantized and np.count_nonzero(difference) > max(1, a.size / 1000))
        if bad:
            print("FAIL %s: shapes %s %s, difference %g" % (what, a.shape, b.shape, off))
            failed += 1
            return


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def whole(dtype, *shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def signed(*shape):
    """int8 weights whose products onnxruntime adds exactly."""
    most = 63 if CLIPS else 127
    return rng.integers(-most, most + 1, shape).astype(np.int8)


def recurrent():
    for op, gates, acts in (("RNN", 1, 1), ("GRU", 3, 2), ("LSTM", 4, 3)):
        for direction in ("forward", "reverse", "bidirectional"):
            t, b, i, h, d = rng.integers(1, 7), rng.integers(1, 4), rng.integers(1, 9), rng.integers(1, 20), 2 if direction == "bidirectional" else 1
            x, w, r = f32(t, b, i), f32(d, gates * h, i) / 2, f32(d, gates * h, h) / 2
            bias = (f32(d, 2 * gates * h),) if rng.integers(2) else None
            lengths = rng.integers(1, t + 1, b).astype(np.int32) if rng.integers(2) else None
            h0 = f32(d, b, h) if rng.integers(2) else None
            c0 = f32(d, b, h) if op == "LSTM" and rng.integers(2) else None
            peephole = (f32(d, 3 * h),) if op == "LSTM" and rng.integers(3) == 0 else None
            extra = {}
            if rng.integers(3) == 0:
                extra["clip"] = 0.7
            if op == "GRU":
                extra["linear_before_reset"] = int(rng.integers(2))
            if rng.integers(3) == 0:
                extra["activations"] = (["Sigmoid", "Relu", "Tanh"][:acts] if acts > 1 else ["Relu"]) * d
            inputs = [x, (w,), (r,), bias, lengths, h0] + ([c0, peephole] if op == "LSTM" else [])
            check(op, inputs, 3 if op == "LSTM" else 2, hidden_size=int(h), direction=direction, **extra)


def dynamic_lstm():
    """One sample and one direction at a time, for onnxruntime quantizes the states of those it works on together."""
    for direction in ("forward", "reverse", "bidirectional"):
        t, i, h, d = rng.integers(1, 7), rng.integers(1, 9), rng.integers(1, 20), 2 if direction == "bidirectional" else 1
        for weights, dtype, zero in ((signed, np.int8, 0), (lambda *shape: whole(np.uint8, *shape), np.uint8, 128)):
            by = (d,) if rng.integers(2) else (d, 4 * h)
            scale = lambda: (rng.uniform(0.002, 0.01, by).astype(np.float32),)
            zeros = (np.full(by, zero, dtype),)
            check("DynamicQuantizeLSTM", [f32(t, 1, i), (weights(d, i, 4 * h),), (weights(d, h, 4 * h),), (f32(d, 8 * h),), None, f32(d, 1, h), f32(d, 1, h), None,
                                          scale(), zeros, scale(), zeros], 3, domain="com.microsoft", hidden_size=int(h), direction=direction)


def integers():
    for dtype in (np.uint8, np.int8):
        m, k, n = rng.integers(1, 20, 3)
        zero = (np.array(rng.integers(0, 9), dtype),)
        check("MatMulInteger", [whole(dtype, 2, m, k), (signed(k, n),), zero], 1)
        check("ConvInteger", [whole(np.uint8, 1, 3, 9, 8), (whole(np.uint8, 4, 3, 3, 3),), (np.array(7, np.uint8),), (np.array(3, np.uint8),)], 1, pads=[1, 0, 1, 2], strides=[2, 1])
        scale, w_scale, y_scale = (np.float32(0.02),), (rng.uniform(0.001, 0.01, 8).astype(np.float32),), (np.float32(0.11),)
        check("QLinearConv", [whole(dtype, 2, 4, 10, 7), scale, zero, (signed(8, 2, 3, 3),), w_scale, (np.zeros(8, np.int8),), y_scale, zero,
                              (rng.integers(-500, 500, 8).astype(np.int32),)], 1, group=2, quantized=True)
        check("QLinearMatMul", [whole(dtype, m, k), scale, zero, (signed(k, n),), (np.float32(0.01),), (np.array(0, np.int8),), y_scale, zero], 1, quantized=True)
        a, b = whole(dtype, 2, 3, 5), whole(dtype, 2, 3, 5)
        for op in ("QLinearAdd", "QLinearMul"):
            check(op, [a, scale, zero, b, (np.float32(0.03),), zero, y_scale, zero], 1, domain="com.microsoft", quantized=True)
        check("QLinearGlobalAveragePool", [whole(dtype, 2, 3, 5, 7), scale, zero, scale, zero], 1, domain="com.microsoft", quantized=True, channels_last=0)
        check("QLinearSigmoid", [a, scale, zero, (np.float32(1 / 256),), zero], 1, domain="com.microsoft", quantized=True)
        check("QLinearLeakyRelu", [a, scale, zero, y_scale, zero], 1, domain="com.microsoft", quantized=True, alpha=0.1)
    check("QGemm", [whole(np.uint8, 3, 8), (np.float32(0.02),), (np.array(100, np.uint8),), (signed(8, 5),), (np.float32(0.01),), (np.array(0, np.int8),),
                    (rng.integers(-500, 500, 5).astype(np.int32),), (np.float32(0.1),), (np.array(90, np.uint8),)], 1, domain="com.microsoft", quantized=True)
    check("DynamicQuantizeLinear", [f32(3, 17)], 3)
    check("DynamicQuantizeMatMul", [f32(3, 8), (signed(8, 5),), (np.array(0.02, np.float32),), (np.array(0, np.int8),), (f32(5),)], 1, domain="com.microsoft")


def blocks():
    """Weights of 2, 4 and 8 bits in blocks, as language models have them: a product with them, and rows of a table."""
    for bits in (2, 4, 8):
        for zeros in (False, True):
            block = int(rng.choice([16, 32, 64]))
            k, n = int(rng.integers(1, 5)) * block, int(rng.integers(1, 20))
            if rng.integers(2):
                k -= int(rng.integers(0, block // 2)) // 8 * 8
            count = -(-k // block)
            scale = (rng.uniform(0.01, 0.1, (n, count)).astype(np.float32),)
            zero = (whole(np.uint8, n, -(-count * bits // 8)),) if zeros else None
            bias = (f32(n),) if rng.integers(2) else None
            check("MatMulNBits", [f32(2, 3, k), (whole(np.uint8, n, count, block * bits // 8),), scale, zero, None, bias], 1, opset=21, domain="com.microsoft",
                  K=k, N=n, bits=bits, block_size=block)
            if bits == 2:
                continue
            rows, width = int(rng.integers(2, 20)), int(rng.integers(1, 4)) * 32
            scale = (rng.uniform(0.01, 0.1, (rows, -(-width // 16))).astype(np.float32),)
            zero = (whole(np.uint8, rows, -(-width // 16) * bits // 8),) if zeros else None
            check("GatherBlockQuantized", [(whole(np.uint8, rows, width * bits // 8),), rng.integers(0, rows, (2, 3)), scale, zero], 1, opset=21, domain="com.microsoft",
                  gather_axis=0, quantize_axis=1, block_size=16, bits=bits)


def grids():
    """QuantizeLinear and back for every type, one scale, one a channel and one a block; Cast to float8 and back."""
    types = {n: getattr(TensorProto, n) for n in ("UINT8", "INT8", "UINT16", "INT16", "UINT4", "INT4", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")}
    for name, dtype in types.items():
        zero = 0 if name.startswith("FLOAT8") else int(rng.integers(0, 7))
        for scales, extra in (((), {}), ((6,), {"axis": 1}), ((4, 3), {"axis": 1, "block_size": 2})):
            if "block_size" in extra and name.startswith("FLOAT8"):
                continue
            step = numpy_helper.from_array(rng.uniform(0.02, 0.3, scales).astype(np.float32), "s")
            zeros = helper.make_tensor("z", dtype, scales, np.full(scales, zero).ravel())
            nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **extra), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["o0"], **extra)]
            x = (f32(4, 6) * 20).astype(np.float32)
            graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], [helper.make_tensor_value_info("o0", TensorProto.FLOAT, x.shape)], [step, zeros])
            compare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "%s scales %s" % (name, scales), {"x": x}, ["o0"])
        if name.startswith("FLOAT8"):
            x = np.concatenate([f32(200) * 4.0 ** rng.integers(-9, 9, 200), [0, -0.0, 1e6, -1e6]]).astype(np.float32)
            for saturate in (0, 1):
                # Without saturation onnxruntime 1.32 gives other codes than the specification just beyond the largest number.
                nodes = [helper.make_node("Cast", ["x"], ["q"], to=dtype, saturate=saturate), helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
                         helper.make_node("IsNaN", ["y"], ["n"]), helper.make_node("IsInf", ["y"], ["i"]), helper.make_node("Or", ["n", "i"], ["special"]),
                         helper.make_node("Where", ["special", "zero", "y"], ["o0"]), helper.make_node("Cast", ["n"], ["o1"], to=TensorProto.INT32), helper.make_node("Cast", ["i"], ["o2"], to=TensorProto.INT32)]
                graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], [helper.make_empty_tensor_value_info(o) for o in ("o0", "o1", "o2")],
                                          [numpy_helper.from_array(np.zeros(1, np.float32), "zero")])
                compare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "Cast to %s, saturate %d" % (name, saturate), {"x": x}, ["o0", "o1", "o2"], specification=True)


def transformers():
    for interleaved in (0, 1):
        for turned in (0, 4):
            heads, size, tokens, batch = 3, 8, 5, 2
            half = (turned or size) // 2
            angles = rng.uniform(0, 7, (9, half))
            cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
            positions = rng.integers(0, 9, (batch, tokens))
            x = f32(batch, heads, tokens, size) if rng.integers(2) else f32(batch, tokens, heads * size)
            check("RotaryEmbedding", [x, (cosines,), (sines,), positions], 1, opset=23, interleaved=interleaved, num_heads=heads, rotary_embedding_dim=turned)
            for at in (positions, np.array([3])):
                check("RotaryEmbedding", [x, at, (cosines,), (sines,)], 1, domain="com.microsoft", interleaved=interleaved, num_heads=heads, rotary_embedding_dim=turned)


def attention_masks():
    heads, size, tokens, batch = 2, 8, 5, 3
    lengths = np.array([5, 2, 4], np.int32)
    keep = (np.arange(tokens) < lengths[:, None]).astype(np.int32)
    queries = rng.integers(0, 2, (batch, tokens, tokens)).astype(np.int32)
    x, w, b = f32(batch, tokens, size), f32(size, 3 * size), f32(3 * size)
    for mask in (lengths, keep, queries):
        check("Attention", [x, (w,), (b,), mask], 1, domain="com.microsoft", num_heads=heads)
        check("Attention", [x, (w,), (b,), (mask,)], 1, domain="com.microsoft", num_heads=heads, unidirectional=int(rng.integers(2)))
    for mask in (lengths, keep):
        check("MultiHeadAttention", [f32(batch, tokens, size), f32(batch, tokens, size), f32(batch, tokens, size), (b,), mask], 1, domain="com.microsoft", num_heads=heads)
    check("EmbedLayerNormalization", [rng.integers(0, 9, (batch, tokens)).astype(np.int32), rng.integers(0, 2, (batch, tokens)).astype(np.int32), (f32(9, size),), (f32(7, size),), (f32(2, size),),
                                      (f32(size),), (f32(size),), keep], 2, domain="com.microsoft")
    for activation, params in (("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [0.1]), ("Clip", [-0.5, 0.7]), ("HardSigmoid", [0.3, 0.4])):
        more = {"activation_params": params} if params else {}
        check("FusedConv", [f32(1, 4, 6, 7), (f32(6, 2, 3, 3),), (f32(6),)], 1, domain="com.microsoft", activation=activation, group=2, pads=[1, 1, 0, 1], **more)
    check("FusedConv", [f32(1, 4, 6, 7), (f32(6, 4, 1, 1),), (f32(6),), f32(1, 6, 6, 7)], 1, domain="com.microsoft", activation="Relu")
    check("FusedGemm", [f32(3, 5), (f32(4, 5),), (f32(4),)], 1, domain="com.microsoft", activation="LeakyRelu", activation_alpha=0.2, transB=1, alpha=0.5)


def resampling():
    x = f32(1, 2, 6, 5)
    for mode in ("nearest", "linear", "cubic"):
        for transform in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
            nearest = {"nearest_mode": str(rng.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))} if mode == "nearest" else {}
            # Where corners are aligned and scales do not give whole sizes, the two disagree: ONNX's suite, which skive follows, takes the
            # size before rounding.
            # (And onnxruntime copies where the sizes stay, whatever the scales.)
            scales = np.array([1, 1, rng.uniform(1.3, 3), rng.uniform(0.5, 0.75)], np.float32)
            sizes = np.array([1, 2, rng.integers(2, 15), rng.integers(2, 15)])
            by = [None, (sizes,)] if transform == "align_corners" else [(scales,)]
            check("Resize", [x, None] + by, 1, mode=mode, coordinate_transformation_mode=transform, **nearest)
    for mode in ("bilinear", "nearest", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            check("GridSample", [x, rng.uniform(-1.3, 1.3, (1, 4, 3, 2)).astype(np.float32)], 1, mode=mode, padding_mode=padding, align_corners=int(rng.integers(2)))
    check("ConvTranspose", [f32(1, 4, 5, 6), (f32(4, 3, 3, 2),), (f32(6),)], 1, group=2, strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2], dilations=[2, 1])
    boxes = np.sort(rng.uniform(0, 1, (1, 20, 2, 2)).astype(np.float32), axis=2).reshape(1, 20, 4)
    check("NonMaxSuppression", [boxes, rng.uniform(0, 1, (1, 3, 20)).astype(np.float32), (np.array(5, np.int64),), (np.array(0.3, np.float32),), (np.array(0.2, np.float32),)], 1)
    check("RoiAlign", [f32(2, 3, 9, 9), rng.uniform(0, 9, (4, 4)).astype(np.float32), np.array([0, 1, 1, 0])], 1, output_height=3, output_width=2, sampling_ratio=int(rng.integers(1, 3)))


def others():
    for equation, shapes in (("bqhd,bkhd->bhqk", ((2, 3, 2, 4), (2, 5, 2, 4))), ("...ij,...jk->...ik", ((1, 2, 3), (4, 3, 5))), ("ij->ji", ((3, 4),)), ("bii->b", ((2, 3, 3),)), ("i,j,k->ijk", ((2,), (3,), (4,)))):
        check("Einsum", [f32(*s) for s in shapes], 1, equation=equation)
    check("TopK", [f32(3, 40), (np.array([7]),)], 2, axis=int(rng.integers(-1, 1) * 1) or -1, largest=int(rng.integers(2)))
    check("InstanceNormalization", [f32(2, 3, 4, 5), f32(3), f32(3)], 1)
    check("GroupNormalization", [f32(2, 6, 4), f32(6), f32(6)], 1, opset=21, num_groups=3)
    check("LRN", [f32(2, 6, 3, 2)], 1, size=3, alpha=0.1)
    check("CumSum", [f32(3, 4), (np.array(1),)], 1, exclusive=int(rng.integers(2)), reverse=int(rng.integers(2)))
    check("ScatterElements", [f32(4, 5), rng.integers(-4, 4, (3, 5)), f32(3, 5)], 1, opset=18, axis=0, reduction=str(rng.choice(["add", "mul", "max", "min"])))
    check("ScatterND", [f32(4, 5), rng.integers(0, 4, (3, 1)), f32(3, 5)], 1, opset=18, reduction=str(rng.choice(["add", "mul", "max", "min"])))
    check("GatherND", [f32(4, 5, 2), rng.integers(0, 4, (3, 2))], 1)
    check("SoftmaxCrossEntropyLoss", [f32(3, 5, 2), rng.integers(0, 5, (3, 2)), f32(5) ** 2], 2, reduction=str(rng.choice(["none", "sum", "mean"])))
    check("Unique", [rng.integers(0, 5, (3, 4))], 4, sorted=int(rng.integers(2)))
    check("DFT", [f32(2, 9, 3, 1)], 1, axis=1)
    check("Mod", [rng.integers(-9, 9, 8), np.where(rng.integers(0, 2, 8), 3, -4)], 1)


for _ in range(args.rounds):
    recurrent()
    dynamic_lstm()
    integers()
    blocks()
    grids()
    transformers()
    attention_masks()
    resampling()
    others()
print("%d forms compared, %d failed; largest difference of floats %.1e of the largest value; %d of %d integers differ" % (checked, failed, worst, steps, elements))
sys.exit(failed != 0)
