"""Compares skive with onnxruntime on single operators of random shapes: sizes of zero and one, odd ones, windows larger than the input, padding
larger than the window, dilations, groups, ranks 1 to 5. Exit 1 when a float differs by more than 1e-4 of the largest value, an integer at all,
when skive ends by a signal, or when it refuses what onnxruntime computes (but for the forms listed in REFUSED, which are counted).

    tests/oracle/check_shapes.py [build/skive] [--seed N] [--rounds N] [--only OPERATOR]
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parser = argparse.ArgumentParser()
parser.add_argument("skive", nargs="?", default="build/skive")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--only", help="a regular expression")
args = parser.parse_args()
rng = np.random.default_rng(args.seed)
counts, problems = collections.Counter(), []
folder = tempfile.TemporaryDirectory()
here = pathlib.Path(folder.name)
REFUSED = re.compile(r"empty|no elements|0 elements|zero|the window covers")  # onnxruntime rounds negative sizes to 0


def roll(low, high):
    return int(rng.integers(low, high + 1))


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def whole(dtype, *shape):
    low, high = (-100, 100) if np.dtype(dtype).kind == "i" else (0, 255)
    return rng.integers(low, high + 1, shape).astype(dtype)


def size():
    return [0, 1, 1, 2, 3, roll(4, 9), roll(10, 40)][roll(0 if roll(0, 9) == 0 else 1, 6)]


def shape(least=1, most=5):
    return [size() if i else roll(0 if roll(0, 19) == 0 else 1, 3) for i in range(roll(least, most))]


def check(op, inputs, n_out=1, opset=21, **attributes):
    """inputs: arrays; None: absent; in a tuple: an initializer."""
    names, feed, constants, declared = [], {}, [], []
    for i, x in enumerate(inputs):
        names.append("" if x is None else "i%d" % i)
        if x is None:
            continue
        fixed = isinstance(x, tuple)
        x = np.asarray(x[0] if fixed else x)
        if fixed:
            constants.append(numpy_helper.from_array(x, names[-1]))
        else:
            feed[names[-1]] = x
            declared.append(helper.make_tensor_value_info(names[-1], helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
    while names and not names[-1]:
        names.pop()
    outputs = ["o%d" % i for i in range(n_out)]
    graph = helper.make_graph([helper.make_node(op, names, outputs, **attributes)], "g", declared,
                              [helper.make_empty_tensor_value_info(o) for o in outputs], constants)
    compare(op, helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), feed, outputs,
            "%s %s %s" % (op, attributes, [None if x is None else "%s%s" % (np.asarray(x[0] if isinstance(x, tuple) else x).dtype, list(
                np.asarray(x[0] if isinstance(x, tuple) else x).shape)) + (
                    str(np.asarray(x[0]).ravel().tolist()) if isinstance(x, tuple) and np.asarray(x[0]).size < 7 else "") for x in inputs]))


def compare(op, model, feed, outputs, what):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        want = session.run(outputs, feed)
    except Exception as error:
        want = str(error).split("\n")[0]
    onnx.save(model, here / "m.onnx")
    command = [args.skive, "run", str(here / "m.onnx"), "-q", "-t", str(roll(1, 2))]
    for name, x in feed.items():
        np.save(here / (name + ".npy"), x)
        command += ["--input", "%s=%s" % (name, here / (name + ".npy"))]
    for name in outputs:
        (here / (name + ".npy")).unlink(missing_ok=True)
        command += ["--output", "%s=%s" % (name, here / (name + ".npy"))]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    counts["checked"] += 1
    if answer.returncode < 0:
        problems.append("%s: signal %d" % (what, -answer.returncode))
    elif answer.returncode:
        if isinstance(want, str):
            counts["refused by both"] += 1
        elif REFUSED.search(answer.stderr):
            counts["refused by skive, empty"] += 1
        else:
            problems.append("%s: refused: %s" % (what, answer.stderr.strip()[:200]))
    elif isinstance(want, str):
        counts["refused by onnxruntime"] += 1
    else:
        for name, w in zip(outputs, want):
            differs(what, np.load(here / (name + ".npy")), w)


def differs(what, got, want):
    if got.shape != want.shape or got.dtype != want.dtype:
        problems.append("%s: %s%s, onnxruntime %s%s" % (what, got.dtype, list(got.shape), want.dtype, list(want.shape)))
    elif want.size and want.dtype.kind == "f":
        g, w = got.astype(np.float64), want.astype(np.float64)
        same = (g == w) | (np.isnan(g) & np.isnan(w))
        scale = max(1.0, np.abs(w[np.isfinite(w)]).max() if np.isfinite(w).any() else 0)
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0, np.abs(g - w))
        if not (off <= 1e-4 * scale).all():
            problems.append("%s: %g off" % (what, np.nanmax(off)))
    elif not np.array_equal(got, want):
        problems.append("%s: %d of %d differ" % (what, (got != want).sum(), want.size))


def window(n, dilated=True):
    kernel = [roll(1, 3) if roll(0, 3) else roll(4, 11) for _ in range(n)]
    return dict(kernel_shape=kernel, strides=[roll(1, 3) if roll(0, 5) else 5 for _ in range(n)],
                pads=[roll(0, k + (roll(0, 4) == 0) * 3 - 1) if roll(0, 2) else 0 for k in kernel * 2],
                **({"dilations": [roll(1, 2) if roll(0, 4) else 3 for _ in range(n)]} if dilated else {}))


def space(w, n):
    """Sizes that mostly hold the window."""
    return [max(1, (k - 1) * d + 1 - roll(0, 2) * (roll(0, 3) == 0) + roll(0, 13)) for k, d in
            zip(w["kernel_shape"], w.get("dilations", [1] * n))]


def convs():
    n = roll(1, 3)
    w = window(n)
    groups = 1 if roll(0, 2) else roll(2, 9)
    per_in = roll(1, 5) if roll(0, 2) else 8 * roll(1, 3)
    per_out = 1 if groups > 1 and roll(0, 1) else roll(1, 9) if roll(0, 2) else 8 * roll(1, 3)
    if groups > 1 and roll(0, 1):
        per_in, groups = 1, [groups, 8, 17, 32][roll(0, 3)]
    x, f = [roll(1, 2), groups * per_in] + space(w, n), [groups * per_out, per_in] + w["kernel_shape"]
    w["group"] = groups
    check("Conv", [floats(*x), (floats(*f),)] + ([(floats(f[0]),)] if roll(0, 1) else []), **w)
    kind, byte = [np.uint8, np.int8][roll(0, 1)], [np.uint8, np.int8][roll(0, 1)]
    zeros = whole(kind, *([f[0]] if roll(0, 1) else []))
    if kind == np.int8:
        zeros = zeros * 0  # onnxruntime takes no others
    check("ConvInteger", [whole(byte, *x), (whole(kind, *f) // 2,), (whole(byte),), (zeros // 2,)], **w)
    small = rng.integers(-60, 61, f).astype(np.int8)  # onnxruntime saturates pairs of larger ones without VNNI
    check("QLinearConv", [whole(np.uint8, *x), (np.float32(0.02),), (np.uint8(roll(0, 255)),), (small,),
                          (np.abs(floats(f[0])) * 0.01 + 0.001,), (np.zeros(f[0], np.int8),), (np.float32(0.07),),
                          (np.uint8(120),), (rng.integers(-999, 999, f[0]).astype(np.int32),)], **w)


def transposed():
    n = roll(1, 3)
    w = window(n)
    groups = 1 if roll(0, 2) else roll(2, 9)
    per_in, per_out = roll(1, 9) if roll(0, 1) else 16, roll(1, 9) if roll(0, 1) else 16
    w["pads"] = [min(p, (k - 1) * d) for p, k, d in zip(w["pads"], w["kernel_shape"] * 2, w["dilations"] * 2)]
    w["output_padding"] = [roll(0, max(s, d) - 1) * (roll(0, 2) == 0) for s, d in zip(w["strides"], w["dilations"])]
    x = [roll(1, 2), groups * per_in] + [roll(1, 9) for _ in range(n)]
    check("ConvTranspose", [floats(*x), (floats(groups * per_in, per_out, *w["kernel_shape"]),)], group=groups, **w)


def pools():
    n = roll(1, 3)
    for op in ("MaxPool", "AveragePool", "LpPool"):
        w = window(n)
        w["pads"] = [min(p, k - 1) for p, k in zip(w["pads"], w["kernel_shape"] * 2)]
        if roll(0, 1):
            w["strides"] = [1] * n
        more = {"count_include_pad": roll(0, 1)} if op == "AveragePool" else {}
        x = [roll(1, 2), size()] + space(w, n)
        check(op, [floats(*x)], ceil_mode=roll(0, 1) if op != "LpPool" else 0, **w, **more)
        if op == "MaxPool":
            check(op, [whole([np.uint8, np.int8][roll(0, 1)], *x)], **w)
    x = [roll(1, 2), size()] + [roll(1, 20) for _ in range(n)]
    check("GlobalMaxPool", [floats(*x)])
    check("GlobalAveragePool", [floats(*x)])


def rows():
    x = shape()
    axis = roll(-len(x), len(x) - 1)
    for op in ("Softmax", "LogSoftmax"):
        check(op, [floats(*x) * 10], axis=axis)
    tail = x[axis:] if axis < 0 else x[axis:]
    check("LayerNormalization", [floats(*x), (floats(*tail),), (floats(*tail),)], axis=axis)
    check("LpNormalization", [floats(*x)], axis=axis, p=roll(1, 2))
    check("CumSum", [floats(*x), (np.int64(axis),)], exclusive=roll(0, 1), reverse=roll(0, 1))
    check("CumSum", [whole(np.int64, *x), (np.int64(axis),)], exclusive=roll(0, 1), reverse=roll(0, 1))
    check("ArgMax", [floats(*x)], axis=axis, keepdims=roll(0, 1))
    check("ArgMin", [whole(np.int32, *x)], axis=axis, select_last_index=roll(0, 1))
    check("TopK", [floats(*x), (np.array([roll(0, max(0, x[axis]))]),)], 2, axis=axis, largest=roll(0, 1))
    axes = sorted(set(roll(0, len(x) - 1) for _ in range(roll(1, 3))))
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp",
               "ReduceSumSquare"):
        if not np.prod([x[a] for a in axes]) and op in ("ReduceMean", "ReduceLogSumExp", "ReduceMax", "ReduceMin"):
            continue  # of nothing: left open, or NaN and infinities
        check(op, [floats(*x), (np.array(axes, np.int64),)], keepdims=roll(0, 1))
    for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"):
        check(op, [whole(np.int64, *x) // 50, (np.array(axes, np.int64),)], keepdims=roll(0, 1))
    if len(x) > 2:
        check("LRN", [floats(*x)] if len(x) == 4 else [floats(1, 3, 2, 2)], size=2 * roll(0, 3) + 1, alpha=0.5, beta=float(roll(1, 4)) / 4)
        check("InstanceNormalization", [floats(*x), (floats(x[1]),), (floats(x[1]),)])


def moves():
    x = shape(2)
    axis = roll(-len(x), len(x) - 1)
    n, kinds = x[axis], [np.float32, np.int64, np.uint8, np.float64]
    data = whole(kinds[roll(0, 3)], *x)
    if n:
        ids = rng.integers(-n, n, shape(0, 2) if len(x) < 5 else [3]).astype([np.int32, np.int64][roll(0, 1)])
        check("Gather", [data, ids] if roll(0, 1) else [data, (ids,)], axis=axis)
        part = [s if d == axis % len(x) and roll(0, 1) else roll(0 if roll(0, 9) == 0 else 1, max(1, s)) if s else 0 for d, s in enumerate(x)]
        places = rng.integers(-n, n, part).astype(np.int64)
        check("GatherElements", [data, places], axis=axis)
        # each place once: the order of updates is not defined
        order = np.argsort(rng.random(part[:axis % len(x)] + [n] + part[axis % len(x) + 1:]), axis=axis)
        once = np.take(order, np.arange(part[axis % len(x)]) % n, axis=axis)
        if part[axis % len(x)] <= n:
            check("ScatterElements", [data, once.astype(np.int64), whole(data.dtype, *once.shape)], axis=axis)
        for how in ("add", "mul", "max", "min"):
            check("ScatterElements", [floats(*x), places, floats(*part)], axis=axis, reduction=how)
        k = roll(1, len(x))
        if all(x[:k]):
            every = np.stack(np.meshgrid(*[np.arange(s) for s in x[:k]], indexing="ij"), -1).reshape(-1, k)
            some = every[rng.permutation(len(every))[:roll(0 if roll(0, 9) == 0 else 1, 9)]]
            check("ScatterND", [data, (some,), whole(data.dtype, len(some), *x[k:])])
            check("ScatterND", [floats(*x), some, floats(len(some), *x[k:])], reduction="add")
            check("GatherND", [data, some])
    check("Trilu", [data] + ([(np.int64(roll(-50, 50)),)] if roll(0, 1) else []), upper=roll(0, 1))
    check("OneHot", [rng.integers(-9, 9, x[:3]), (np.array(roll(1, 9)),), (whole(kinds[roll(0, 1)], 2),)], axis=roll(-1, min(3, len(x))))
    perm = [int(p) for p in rng.permutation(len(x))]
    check("Transpose", [data], perm=perm)
    check("Concat", [data, whole(data.dtype, *[roll(0, 7) if d == axis % len(x) else s for d, s in enumerate(x)]), data], axis=axis)
    if n > 1:
        cut = roll(1, n - 1)
        check("Split", [data, (np.array([cut, n - cut]),)], 2, axis=axis)
    step = [-3, -1, 1, 2, 1000][roll(0, 4)]
    check("Slice", [data, (np.array([roll(-50, 50)]),), (np.array([roll(-50, 50)]),), (np.array([axis]),), (np.array([step]),)])
    mode = ["constant", "reflect", "edge", "wrap"][roll(0, 3)]
    most = [4] * len(x) if mode in ("constant", "edge") else [max(0, s - 1) for s in x]
    check("Pad", [floats(*x), (np.array([roll(0, min(4, m)) for m in most * 2]),)], mode=mode)
    check("Expand", [data, (np.array([s if s != 1 else roll(1, 4) for s in x]),)])
    check("Tile", [data, (np.array([roll(0 if roll(0, 9) == 0 else 1, 3) for _ in x]),)])
    how = [("nearest", {"nearest_mode": ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"][roll(0, 3)]}), ("linear", {}),
           ("cubic", {})][roll(0, 2)]
    where = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"][roll(0, 3)]
    image = [roll(1, 2), roll(1, 9), roll(1, 20), roll(1, 20)]
    check("Resize", [floats(*image), None, None, (np.array(image[:2] + [roll(1, 40), roll(1, 40)]),)], mode=how[0],
          coordinate_transformation_mode=where, **how[1])
    spatial = roll(1, 2) + 1
    grid = rng.uniform(-1.4, 1.4, [image[0]] + [roll(1, 9) for _ in range(spatial)] + [spatial]).astype(np.float32)
    mode = ["linear", "nearest", "cubic"][roll(0, 2 if spatial == 2 else 1)]
    check("GridSample", [floats(image[0], image[1], *[roll(1, 12) for _ in range(spatial)]), grid], mode=mode,
          padding_mode=["zeros", "border", "reflection"][roll(0, 2)], align_corners=roll(0, 1))


def pointwise():
    x = shape(0)
    y = [s if roll(0, 2) else 1 for s in x][roll(0, len(x)) if x and roll(0, 1) else 0:]
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        check(op, [floats(*x), floats(*y)])
    for op in ("Add", "Mul", "Max"):
        check(op, [whole(np.int64, *x), whole(np.int64, *y)])
    for op in ("Equal", "Greater", "LessOrEqual"):
        kind = [np.float32, np.int64, np.int32][roll(0, 2)]
        check(op, [whole(kind, *x) // 60, (whole(kind, *y) // 60,)])
    check("Where", [rng.integers(0, 2, y).astype(bool), floats(*x), floats(*y)])
    for op in ("Sigmoid", "Tanh", "Erf", "Exp", "Sign", "Sin", "Cos", "Elu", "Softplus", "HardSwish", "Floor", "Round", "Abs", "Gelu", "Mish"):
        check(op, [floats(*x) * [1, 30, 1e5][roll(0, 2 if op in ("Sin", "Cos", "Sign", "Tanh", "Sigmoid") else 1)]])
    kinds = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_, np.float16, np.int8]
    a, b = kinds[roll(0, 7)], kinds[roll(0, 7)]
    check("Cast", [np.abs(whole(np.int8, *x)).astype(a)], to=helper.np_dtype_to_tensor_dtype(np.dtype(b)))


def products():
    m, k, n = [roll(0, 20) if roll(0, 2) == 0 else roll(1, 70) for _ in range(3)]
    lead = [roll(1, 4) for _ in range(roll(0, 2))]
    check("MatMul", [floats(*lead, m, k), floats(*(lead if roll(0, 1) else []), k, n)])
    check("MatMul", [floats(*lead, m, k), (floats(k, n),)])
    check("Gemm", [floats(m, k), (floats(n, k),), (floats(n),)], transB=1, alpha=0.5)
    kind = [np.uint8, np.int8][roll(0, 1)]
    check("MatMulInteger", [whole(np.uint8, *lead, m, k), (rng.integers(-60, 60, (k, n)).astype(np.int8) if kind == np.int8
                                                           else whole(np.uint8, k, n),), (np.uint8(roll(0, 255)),), (kind(0),)])
    heads, q, keys, width = roll(1, 4), roll(1, 40), roll(1, 40), roll(1, 40)
    check("Attention", [floats(1, heads, q, width), floats(1, heads, keys, width), floats(1, heads, keys, roll(1, 20))], opset=23)
    steps, batch, inputs, hidden, ways = roll(1, 9), roll(1, 5), roll(1, 20), roll(1, 40), roll(1, 2)
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        more = dict(linear_before_reset=roll(0, 1)) if op == "GRU" else {}
        lengths = (rng.integers(1, steps + 1, batch).astype(np.int32),) if roll(0, 1) else None
        check(op, [floats(steps, batch, inputs), (floats(ways, gates * hidden, inputs) * 0.3,), (floats(ways, gates * hidden, hidden) * 0.3,),
                   (floats(ways, 2 * gates * hidden),), lengths], 2, hidden_size=hidden,
              direction="bidirectional" if ways == 2 else ["forward", "reverse"][roll(0, 1)], **more)


FAMILIES = [convs, transposed, pools, rows, moves, pointwise, products]
wanted = check


def check(op, *given, **attributes):
    if not args.only or re.search(args.only, op):
        wanted(op, *given, **attributes)


for _ in range(args.rounds):
    for family in FAMILIES:
        family()
for problem in problems:
    print(problem)
print("%d checked, %d problems; %s" % (counts["checked"], len(problems), ", ".join("%s: %d" % c for c in counts.items() if c[0] != "checked")))
sys.exit(1 if problems else 0)
