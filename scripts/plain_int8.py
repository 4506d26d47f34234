"""A plain interpreter of quantized models, independent of skive: it reads a Q/DQ file with the onnx package and computes the integer
arithmetic that docs/quantization.md defines, in NumPy, and compares every output of skive bit by bit.

    plain_int8.py MODEL.onnx X.npy Y.npy       X: the inputs of all samples, Y: what skive run wrote for them

It holds what image networks have: Conv, Gemm, MatMul, Add, Relu, Clip, MaxPool, pooling of averages, Flatten, Reshape, Transpose.
A value is either real (float32) or codes with a scale and a zero point. Prints "DIFFERENT of ALL" and ends with 1 if any bit differs;
an operator that it does not know ends it with 2 and the name.
"""
import sys

import numpy as np
import onnx
from onnx import numpy_helper

f32, f64 = np.float32, np.float64


class Codes:  # integers on a grid
    def __init__(self, q, scale, zero):
        self.q, self.scale, self.zero = q, scale, zero


class Sums:  # exact integer sums and the step of each channel, real numbers to be: what a product gives
    def __init__(self, v, step, axis, limits=(-np.inf, np.inf)):
        self.v, self.step, self.axis, self.limits = v, step, axis, limits


class Pair:  # two quantized tensors that are added
    def __init__(self, a, b, limits=(-np.inf, np.inf)):
        self.a, self.b, self.limits = a, b, limits


class Weight:
    def __init__(self, q, scale):
        self.q, self.scale = q.astype(f64), np.atleast_1d(np.asarray(scale, f32))


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def window(x, kernel, stride, pads, dilation, fill):
    """[n][c][oh][ow][kh][kw] of [n][c][h][w]"""
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    w = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return w[:, :, ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]


def pads_of(a, x, kernel, stride, dilation):
    auto = a.get('auto_pad', b'NOTSET').decode()
    if auto in ('NOTSET', 'VALID'):
        pads = list(a.get('pads', [0, 0, 0, 0]))
    else:
        low, high = [], []
        for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation):
            need = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
            less = need // 2 if auto == 'SAME_UPPER' else need - need // 2
            low.append(less)
            high.append(need - less)
        pads = low + high
    if a.get('ceil_mode', 0):
        sys.exit('ceil_mode is not here')
    return pads


def convolve(x, w, a):
    stride, dilation = a.get('strides', [1, 1]), a.get('dilations', [1, 1])
    groups, kernel = a.get('group', 1), w.shape[2:]
    v = window(x, kernel, stride, pads_of(a, x, kernel, stride, dilation), dilation, 0)
    n, _, oh, ow = v.shape[:4]
    m, per = w.shape[0] // groups, w.shape[1]
    y = np.empty((n, w.shape[0], oh, ow), f64)
    for g in range(groups):
        rows = v[:, g * per:(g + 1) * per].transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
        part = rows.astype(f64) @ w[g * m:(g + 1) * m].reshape(m, -1).T
        y[:, g * m:(g + 1) * m] = part.reshape(n, oh, ow, m).transpose(0, 3, 1, 2)
    return y


def shaped(x, rank, axis):
    return x.reshape([-1 if i == axis else 1 for i in range(rank)]) if x.size > 1 else x.reshape(-1)[0]


def real_of(x):
    if isinstance(x, Codes):
        return (x.q - x.zero).astype(f32) * f32(x.scale)
    if isinstance(x, Sums):
        y = x.v.astype(f32) * shaped(x.step.astype(f32), x.v.ndim, x.axis)
        return np.clip(y, f32(x.limits[0]), f32(x.limits[1]))
    if isinstance(x, Pair):
        return np.clip(real_of(x.a) + real_of(x.b), f32(x.limits[0]), f32(x.limits[1]))
    return x


def code_limits(limits, scale, zero, low, high):
    ends = []
    for end, none in zip(limits, (low, high)):
        ends.append(none if np.isinf(end) else int(np.clip(np.rint(f64(f32(end) / f32(scale))) + zero, low, high)))
    return ends


shifts = False  # skive.multipliers: shift


def quantize(x, scale, zero, low, high):
    if shifts and isinstance(x, Sums):  # rounding halves up
        lo, hi = code_limits(x.limits, scale, zero, low, high)
        m = x.step.astype(f64) / f64(scale)
        if np.any(np.frexp(m)[0] != 0.5):
            sys.exit(2)  # an average over a number of elements that is no power of two
        t = np.floor(x.v * shaped(m, x.v.ndim, x.axis) + 0.5)
        return Codes(np.clip(t, lo - zero, hi - zero).astype(np.int64) + zero, f32(scale), zero)
    if shifts and isinstance(x, Pair):  # halves away from zero
        lo, hi = code_limits(x.limits, scale, zero, low, high)
        t = sum((p.q - p.zero).astype(f64) * (f64(p.scale) / f64(scale)) for p in (x.a, x.b))
        t = np.sign(t) * np.floor(np.abs(t) + 0.5)
        return Codes(np.clip(t, lo - zero, hi - zero).astype(np.int64) + zero, f32(scale), zero)
    if isinstance(x, (Sums, Pair)):
        lo, hi = code_limits(x.limits, scale, zero, low, high)
    if isinstance(x, Sums):
        m = (x.step.astype(f64) / f64(scale)).astype(f32)
        t = x.v.astype(f32) * shaped(m, x.v.ndim, x.axis)
    elif isinstance(x, Pair):
        ma, mb = (f32(f64(p.scale) / f64(scale)) for p in (x.a, x.b))
        t = (x.a.q - x.a.zero).astype(f32) * ma + (x.b.q - x.b.zero).astype(f32) * mb
    else:
        t, lo, hi = np.asarray(real_of(x), f32) / f32(scale), low, high
    t = np.rint(np.clip(t, f32(lo - zero), f32(hi - zero)))
    return Codes(t.astype(np.int64) + zero, f32(scale), zero)


def limited(x, low, high):
    if isinstance(x, (Sums, Pair)):
        lo, hi = (min(max(end, low), high) for end in x.limits)
        x.limits = (lo, hi)
        return x
    return np.clip(real_of(x), f32(low), f32(high))


def product(x, w, bias, axis):
    step = f64(x.scale) * w.scale.astype(f64)
    total = lambda v: Sums(v if bias is None else v + shaped(bias, v.ndim, axis), step, axis)
    return total


def bias_of(b, x, w):
    """integers in steps of the input's scale times the weights'"""
    if b is None:
        return None
    if isinstance(b, Weight) and np.array_equal(b.scale, f32(x.scale) * w.scale):
        return b.q.reshape(-1)
    real = real_of_weight(b)
    return np.rint(real.astype(f64) / (f64(x.scale) * w.scale.astype(f64)))


def real_of_weight(w):
    if not isinstance(w, Weight):
        return np.asarray(w, f32)
    return w.q.astype(f32) * shaped(w.scale, w.q.ndim, 0)


def run(model, x):
    g = model.graph
    value = {i.name: numpy_helper.to_array(i) for i in g.initializer}
    value[[i.name for i in g.input if i.name not in value][0]] = x
    for node in g.node:
        op, a = node.op_type, attributes(node)
        i = [value[n] if n else None for n in node.input]
        if op == 'Constant':
            y = numpy_helper.to_array(a['value'])
        elif op == 'QuantizeLinear':
            low, high = (-128, 127) if i[2].dtype == np.int8 else (0, 255)
            if i[2].dtype not in (np.int8, np.uint8):
                return None, f'QuantizeLinear to {i[2].dtype}'
            y = quantize(i[0], i[1].reshape(-1)[0], int(i[2].reshape(-1)[0]), low, high)
        elif op == 'DequantizeLinear':
            if isinstance(i[0], Codes):
                y = i[0]
            elif len(i) > 2 and np.any(i[2]):
                return None, 'weights with a zero point'
            else:
                y = Weight(i[0], i[1])
        elif op in ('Conv', 'Gemm', 'MatMul') and isinstance(i[0], Codes) and isinstance(i[1], Weight):
            c, w = i[0], i[1]
            v = (c.q - c.zero).astype(f64)
            bias = bias_of(i[2] if len(i) > 2 else None, c, w)
            if op == 'Conv':
                y = product(c, w, bias, 1)(convolve(v, w.q, a))
            else:
                y = product(c, w, bias, v.ndim - 1)(v @ (w.q.T if a.get('transB', 0) else w.q))
        elif op == 'Add' and isinstance(i[0], Codes) and isinstance(i[1], Codes):
            y = Pair(i[0], i[1])
        elif op in ('Relu', 'Clip'):
            low = 0 if op == 'Relu' else float(i[1]) if len(i) > 1 and i[1] is not None else -np.inf
            high = float(i[2]) if op == 'Clip' and len(i) > 2 and i[2] is not None else np.inf
            y = limited(i[0], low, high)
        elif op == 'MaxPool':
            kernel, stride = a['kernel_shape'], a.get('strides', [1, 1])
            of = i[0].q if isinstance(i[0], Codes) else real_of(i[0])
            fill = of.min()
            y = window(of, kernel, stride, pads_of(a, of, kernel, stride, [1, 1]), [1, 1], fill).max(axis=(4, 5))
            y = Codes(y, i[0].scale, i[0].zero) if isinstance(i[0], Codes) else y
        elif op in ('GlobalAveragePool', 'AveragePool') and isinstance(i[0], Codes):
            c = i[0]
            kernel = c.q.shape[2:] if op[0] == 'G' else a['kernel_shape']
            stride = [1, 1] if op[0] == 'G' else a.get('strides', [1, 1])
            if any(a.get('pads', [0])):
                return None, 'AveragePool with padding'
            v = window(c.q - c.zero, kernel, stride, [0] * 4, [1, 1], 0).sum(axis=(4, 5))
            y = Sums(v.astype(f64), np.array([f64(c.scale) / (kernel[0] * kernel[1])]), 1)
        elif op in ('Flatten', 'Reshape', 'Transpose'):
            def move(v):
                if op == 'Flatten':
                    return v.reshape(v.shape[0], -1)
                if op == 'Reshape':
                    return v.reshape([v.shape[k] if d == 0 else d for k, d in enumerate(i[1])])
                return v.transpose(a['perm'])
            y = Codes(move(i[0].q), i[0].scale, i[0].zero) if isinstance(i[0], Codes) else move(real_of(i[0]))
        else:
            return None, op
        value[node.output[0]] = y
    return real_of(value[g.output[0].name]), None


def main():
    model, x, y = onnx.load(sys.argv[1]), np.load(sys.argv[2]), np.load(sys.argv[3])
    global shifts
    shifts = any(m.key == 'skive.multipliers' and m.value == 'shift' for m in model.metadata_props)
    different = 0
    for k in range(0, len(x), 500):
        mine, unknown = run(model, x[k:k + 500])
        if unknown:
            print('not here:', unknown)
            return 2
        mine = np.ascontiguousarray(mine, f32).reshape(y[k:k + 500].shape)
        different += np.count_nonzero(mine.view(np.uint32) != np.ascontiguousarray(y[k:k + 500]).view(np.uint32))
    print(f'{different} of {y.size}')
    return int(different != 0)


sys.exit(main())
