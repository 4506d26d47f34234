"""Small networks with the structures that exporters write, as ONNX files, for tests of pruning:

    export_graphs.py FOLDER

Weights are random. Each is one function; the list at the end names them."""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    def __init__(self, name, shape):
        self.name, self.nodes, self.parameters, self.count = name, [], [], 0
        self.rng = np.random.default_rng(sum(map(ord, name)))
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)

    def constant(self, array):
        self.count += 1
        self.parameters.append(numpy_helper.from_array(np.asarray(array, order="C"), f"p{self.count}"))
        return f"p{self.count}"

    def weight(self, *shape, scale=None):
        fan = int(np.prod(shape[1:])) or 1
        return self.constant((self.rng.standard_normal(shape) * (scale or fan ** -0.5)).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"v{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind.lower()}{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, i, o, k=3, group=1, stride=1, bias=True):
        inputs = [x, self.weight(o, i // group, k, k)] + ([self.weight(o, scale=0.1)] if bias else [])
        return self.op("Conv", *inputs, group=group, kernel_shape=[k, k], pads=[k // 2] * 4, strides=[stride] * 2)

    def norm(self, x, c):
        mean, var = self.weight(c, scale=0.1), self.constant(self.rng.uniform(0.5, 1.5, c).astype(np.float32))
        return self.op("BatchNormalization", x, self.constant(self.rng.uniform(0.5, 1.5, c).astype(np.float32)),
                       self.weight(c, scale=0.2), mean, var)

    def block(self, x, i, o, **more):
        return self.op("Relu", self.norm(self.conv(x, i, o, **more), o))

    def gemm(self, x, i, o):
        return self.op("Gemm", x, self.weight(o, i), self.weight(o, scale=0.1), transB=1)

    def linear(self, x, i, o):
        return self.op("Add", self.op("MatMul", x, self.weight(i, o, scale=i ** -0.5)), self.weight(o, scale=0.1))

    def head(self, x, c, classes=10):
        return self.gemm(self.op("Flatten", self.op("GlobalAveragePool", x)), c, classes)

    def save(self, folder, *outputs):
        graph = helper.make_graph(self.nodes, self.name, [self.input],
                                  [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
                                  self.parameters)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(pathlib.Path(folder) / f"{self.name}.onnx"))


IMAGE = [1, 3, 32, 32]


def residual(folder):
    n = Net("residual", IMAGE)
    x = n.block("x", 3, 32)
    for _ in range(3):
        y = n.norm(n.conv(n.block(x, 32, 32), 32, 32), 32)
        x = n.op("Relu", n.op("Add", x, y))
    n.save(folder, n.head(x, 32))


def residual_direct(folder):
    """The sum of a convolution and its own input."""
    n = Net("residual_direct", IMAGE)
    x = n.block("x", 3, 32)
    for _ in range(3):
        x = n.op("Add", x, n.op("Relu", n.conv(x, 32, 32)))
    n.save(folder, n.head(x, 32))


def concat(folder):
    n = Net("concat", IMAGE)
    x = n.block("x", 3, 32)
    parts = [n.block(x, 32, 16, k=1), n.block(n.block(x, 32, 16, k=1), 16, 32), n.block(x, 32, 16, k=5)]
    x = n.block(n.op("Concat", *parts, axis=1), 64, 48)
    n.save(folder, n.head(x, 48))


def dense_block(folder):
    n = Net("dense_block", IMAGE)
    x, c = n.block("x", 3, 32), 32
    for _ in range(4):
        x = n.op("Concat", x, n.block(x, c, 16), axis=1)
        c += 16
    n.save(folder, n.head(n.block(x, c, 48, k=1), 48))


def grouped(folder):
    n = Net("grouped", IMAGE)
    x = n.block("x", 3, 32)
    for _ in range(2):
        x = n.block(n.block(x, 32, 64, k=1), 64, 64, group=4)
        x = n.block(x, 64, 32, k=1)
    n.save(folder, n.head(x, 32))


def shuffle(folder):
    n = Net("shuffle", IMAGE)
    x = n.block("x", 3, 48)
    for _ in range(2):
        y = n.block(x, 48, 48, k=1, group=3)
        y = n.op("Reshape", y, n.ints(1, 3, 16, 32, 32))
        y = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3, 4]), n.ints(1, 48, 32, 32))
        y = n.norm(n.conv(y, 48, 48, group=48), 48)
        x = n.op("Relu", n.op("Add", x, n.norm(n.conv(y, 48, 48, k=1, group=3), 48)))
    n.save(folder, n.head(x, 48))


def split(folder):
    n = Net("split", IMAGE)
    x = n.block("x", 3, 64)
    for _ in range(2):
        a, b = n.op("Split", x, n.ints(32, 32), outputs=2, axis=1)
        x = n.op("Concat", a, n.block(n.block(b, 32, 48), 48, 32), axis=1)
    n.save(folder, n.head(n.block(x, 64, 64), 64))


def depthwise(folder):
    n = Net("depthwise", IMAGE)
    x = n.block("x", 3, 32, stride=2)
    for i, o in ((32, 64), (64, 64), (64, 96)):
        x = n.block(n.block(x, i, i, group=i), i, o, k=1)
    n.save(folder, n.head(x, 96))


def squeeze_excite(folder):
    n = Net("squeeze_excite", IMAGE)
    x = n.block("x", 3, 64)
    gate = n.op("Relu", n.conv(n.op("GlobalAveragePool", x), 64, 16, k=1))
    x = n.op("Mul", x, n.op("Sigmoid", n.conv(gate, 16, 64, k=1)))
    n.save(folder, n.head(n.block(x, 64, 64), 64))


def transposed(folder):
    n = Net("transposed", IMAGE)
    x = n.block(n.block("x", 3, 32, stride=2), 32, 64, stride=2)
    for i, o in ((64, 48), (48, 32)):
        x = n.op("Relu", n.op("ConvTranspose", x, n.weight(i, o, 2, 2), n.weight(o, scale=0.1), strides=[2, 2],
                              kernel_shape=[2, 2]))
    n.save(folder, n.conv(x, 32, 3))


def u_net(folder):
    n = Net("u_net", IMAGE)
    a = n.block(n.block("x", 3, 24), 24, 24)
    b = n.block(n.op("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), 24, 48)
    c = n.block(n.op("MaxPool", b, kernel_shape=[2, 2], strides=[2, 2]), 48, 96)
    up = n.op("ConvTranspose", c, n.weight(96, 48, 2, 2), n.weight(48, scale=0.1), strides=[2, 2], kernel_shape=[2, 2])
    y = n.block(n.op("Concat", b, up, axis=1), 96, 48)
    up = n.op("Resize", y, "", n.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    n.save(folder, n.conv(n.block(n.op("Concat", a, up, axis=1), 72, 24), 24, 2, k=1))


def pixel_shuffle(folder):
    n = Net("pixel_shuffle", IMAGE)
    x = n.block(n.block("x", 3, 48), 48, 48)
    x = n.op("DepthToSpace", n.conv(x, 48, 12), blocksize=2, mode="CRD")
    n.save(folder, x)


def recurrent(name, kind, gates, directions, folder):
    n = Net(name, [20, 1, 16])
    hidden, x, width = 32, "x", 16
    way = "bidirectional" if directions == 2 else "forward"
    for _ in range(2):
        w, r = n.weight(directions, gates * hidden, width), n.weight(directions, gates * hidden, hidden)
        b = n.weight(directions, 2 * gates * hidden, scale=0.1)
        y = n.op(kind, x, w, r, b, hidden_size=hidden, direction=way)
        x = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.ints(0, 0, -1))
        width = directions * hidden
    last = n.op("Gather", x, n.constant(np.array(-1, np.int64)), axis=0)
    n.save(folder, n.gemm(last, width, 5))


def gru(folder):
    recurrent("gru", "GRU", 3, 1, folder)


def bi_lstm(folder):
    recurrent("bi_lstm", "LSTM", 4, 2, folder)


def attention(name, heads, kv_heads, folder):
    n = Net(name, [1, 16, 64])
    width, d = 64, 64 // heads
    x = "x"
    for _ in range(2):
        def parts(count):
            y = n.op("Reshape", n.linear(x, width, count * d), n.ints(0, 16, count, d))
            return n.op("Transpose", y, perm=[0, 2, 1, 3])
        q, k, v = parts(heads), parts(kv_heads), parts(kv_heads)
        if kv_heads != heads:
            times = heads // kv_heads

            def repeat(t):
                t = n.op("Unsqueeze", t, n.ints(2))
                t = n.op("Expand", t, n.ints(1, kv_heads, times, 16, d))
                return n.op("Reshape", t, n.ints(1, heads, 16, d))
            k, v = repeat(k), repeat(v)
        score = n.op("MatMul", q, n.op("Transpose", k, perm=[0, 1, 3, 2]))
        share = n.op("Softmax", n.op("Mul", score, n.constant(np.float32(d ** -0.5))), axis=-1)
        y = n.op("Transpose", n.op("MatMul", share, v), perm=[0, 2, 1, 3])
        x = n.op("Add", x, n.linear(n.op("Reshape", y, n.ints(0, 16, width)), width, width))
        x = n.op("Add", x, n.linear(n.op("Relu", n.linear(x, width, 128)), 128, width))
    n.save(folder, n.linear(n.op("ReduceMean", x, axes=[1], keepdims=0), width, 5))


def vit(name, how, folder):
    """A vision transformer as PyTorch exports it with an open batch: view(x.size(0), ...), token.expand(x.size(0), -1, -1)
    or repeat, and heads by a reshape, a product of all three, or inside the axis of the batch (nn.MultiheadAttention)."""
    n = Net(name, ["batch", 3, 32, 32])
    width, heads, steps = 64, 4, 17
    d = width // heads
    number = lambda k: n.constant(np.array(k, np.int64))
    size = lambda x, axis: n.op("Gather", n.op("Shape", x), number(axis), axis=0)
    listed = lambda *parts: n.op("Concat", *[p if isinstance(p, str) and p.startswith("p") else
                                             n.op("Unsqueeze", p, n.ints(0)) for p in parts], axis=0)
    x = n.op("Conv", "x", n.weight(width, 3, 8, 8), n.weight(width, scale=0.1), kernel_shape=[8, 8], strides=[8, 8])
    x = n.op("Transpose", n.op("Reshape", x, listed(size(x, 0), n.ints(width), n.ints(-1))), perm=[0, 2, 1])
    token = n.weight(1, 1, width)
    if how == "whole":
        token = n.op("Tile", token, listed(size(x, 0), n.ints(1), n.ints(1)))
    else:
        sizes = n.op("Reshape", listed(size(x, 0), n.ints(-1), n.ints(-1)), n.ints(-1))
        ones = n.op("ConstantOfShape", n.op("Shape", sizes), value=helper.make_tensor("one", TensorProto.INT64, [1], [1]))
        stays = n.op("Equal", sizes, n.op("Mul", ones, number(-1)))
        token = n.op("Expand", token, n.op("Where", stays, ones, sizes))
    x = n.op("Add", n.op("Concat", token, x, axis=1), n.weight(1, steps, width, scale=0.2))
    norm = lambda y: n.op("LayerNormalization", y, n.weight(width, scale=0.5), n.weight(width, scale=0.1), axis=-1)
    for _ in range(2):
        y = norm(x)
        if how == "batch":
            y = n.op("Transpose", y, perm=[1, 0, 2])
            both = n.op("Mul", size(y, 1), number(heads))
            parts = [n.op("Reshape", n.linear(y, width, width), listed(n.ints(steps), both, n.ints(d))) for _ in "qkv"]
            q, k, v = [n.op("Transpose", p, perm=[1, 0, 2]) for p in parts]
            turn, back = [0, 2, 1], [1, 0, 2]
        elif how == "joint":
            y = n.linear(y, width, 3 * width)
            shape = listed(size(y, 0), size(y, 1), n.ints(3), n.ints(heads), n.op("Div", size(x, 2), number(heads)))
            y = n.op("Transpose", n.op("Reshape", y, shape), perm=[2, 0, 3, 1, 4])
            q, k, v = [n.op("Gather", y, number(i), axis=0) for i in range(3)]
            turn, back = [0, 1, 3, 2], [0, 2, 1, 3]
        else:
            shape = listed(size(y, 0), size(y, 1), n.ints(heads), n.ints(d))
            q, k, v = [n.op("Transpose", n.op("Reshape", n.linear(y, width, width), shape), perm=[0, 2, 1, 3])
                       for _ in "qkv"]
            turn, back = [0, 1, 3, 2], [0, 2, 1, 3]
        scale = n.op("Sqrt", n.op("Cast", n.op("Div", size(x, 2), number(heads)), to=TensorProto.FLOAT))
        score = n.op("Div", n.op("MatMul", q, n.op("Transpose", k, perm=turn)), scale)
        y = n.op("Transpose", n.op("MatMul", n.op("Softmax", score, axis=-1), v), perm=back)
        if how == "batch":
            y = n.linear(n.op("Reshape", y, listed(n.ints(steps), size(x, 0), n.ints(width))), width, width)
            y = n.op("Transpose", y, perm=[1, 0, 2])
        else:
            y = n.linear(n.op("Reshape", y, listed(size(x, 0), size(x, 1), n.ints(width))), width, width)
        x = n.op("Add", x, y)
        x = n.op("Add", x, n.linear(n.op("Relu", n.linear(norm(x), width, 128)), 128, width))
    n.save(folder, n.gemm(n.op("Gather", norm(x), number(0), axis=1), width, 5))


def vit_joint(folder):
    vit("vit_joint", "joint", folder)


def vit_whole(folder):
    vit("vit_whole", "whole", folder)


def vit_batch(folder):
    vit("vit_batch", "batch", folder)


def mha(folder):
    attention("mha", 4, 4, folder)


def gqa(folder):
    attention("gqa", 4, 2, folder)


def ssd(folder):
    """Boxes and scores from two scales, joined."""
    n = Net("ssd", IMAGE)
    a = n.block(n.block("x", 3, 32, stride=2), 32, 48, stride=2)
    b = n.block(a, 48, 64, stride=2)
    found = {4: [], 6: []}
    for x, c, side in ((a, 48, 8), (b, 64, 4)):
        for numbers in found:
            y = n.op("Transpose", n.conv(x, c, 2 * numbers), perm=[0, 2, 3, 1])
            found[numbers].append(n.op("Reshape", y, n.ints(1, side * side * 2, numbers)))
    n.save(folder, *[n.op("Concat", *parts, axis=1) for parts in found.values()])


def shared(folder):
    """One filter bank used twice."""
    n = Net("shared", IMAGE)
    x = n.block("x", 3, 32)
    w, b = n.weight(32, 32, 3, 3), n.weight(32, scale=0.1)
    for _ in range(2):
        x = n.op("Relu", n.op("Conv", x, w, b, pads=[1] * 4, kernel_shape=[3, 3]))
    n.save(folder, n.head(n.block(x, 32, 48), 48))


ALL = [residual, residual_direct, concat, dense_block, grouped, shuffle, split, depthwise, squeeze_excite, transposed,
       u_net, pixel_shuffle, gru, bi_lstm, mha, gqa, vit_joint, vit_whole, vit_batch, ssd, shared]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in ALL:
        make(folder)


if __name__ == "__main__":
    main()
