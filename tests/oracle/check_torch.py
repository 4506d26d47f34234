"""Compares the gradients of whole networks with PyTorch's: relative L2 error of every parameter's gradient.

    check_torch.py SKIVE GRADIENTS

SKIVE is the command, GRADIENTS the program tests/gradients.c. Each network is written by `skive zoo`, run in training mode
on a random batch by GRADIENTS, and written out again here in PyTorch, with its own LSTM, attention and encoder layers, in
float64 with the same parameters. Where a gradient vanishes but for rounding (the bias of a convolution in front of a
normalisation, that of the keys of attention), it must be below 1e-6 of the largest in the network.
Batches in which the input of a ReLU lies within 1e-5 of where it bends are drawn again: there float32 may fall on the
other side, and the gradient of that element is another, in PyTorch as here.
The loss of label sequences (CTC) is compared too, with lengths of the samples.
Exit status: 0 when all are within 1e-4, 1 otherwise.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

TOLERANCE = 1e-4
NOTHING = 1e-6
BEND = 1e-5

bends = []  # the smallest distances from a bend, of the run that is under way


def relu(x):
    bends.append(float(x.detach().abs().min()))
    return F.relu(x)


def relu6(x):
    bends.append(float(torch.minimum(x.detach().abs(), (x.detach() - 6).abs()).min()))
    return F.relu6(x)



class Net:
    """The parameters by name, as float64 tensors that collect gradients."""

    def __init__(self, folder):
        self.p = {}
        for file in os.listdir(folder):
            if file.endswith(".npy") and not file.endswith(".grad.npy") and file != "loss.npy":
                array = np.load(os.path.join(folder, file)).astype(np.float64)
                self.p[file[:-4]] = torch.tensor(array, requires_grad=True)

    def conv(self, name, x, stride=1, pad=0, groups=1):
        return F.conv2d(x, self.p[name + ".weight"], self.p.get(name + ".bias"), stride, pad, 1, groups)

    def norm(self, name, x):
        return F.batch_norm(x, None, None, self.p[name + ".weight"], self.p[name + ".bias"], True, 0.1, 1e-5)

    def conv_bn(self, name, x, **how):
        return self.norm(name + ".bn", self.conv(name, x, **how))

    def linear(self, name, x):
        return F.linear(x, self.p[name + ".weight"], self.p[name + ".bias"])


def resnet20(net, x):
    x = relu(net.conv_bn("conv1", x, pad=1))
    for stage in (1, 2, 3):
        for block in (1, 2, 3):
            name = "stage%d.block%d." % (stage, block)
            stride = 2 if stage > 1 and block == 1 else 1
            y = relu(net.conv_bn(name + "conv1", x, stride=stride, pad=1))
            y = net.conv_bn(name + "conv2", y, pad=1)
            if name + "shortcut.weight" in net.p:
                x = net.conv_bn(name + "shortcut", x, stride=stride)
            x = relu(x + y)
    return net.linear("fc", x.mean((2, 3)))


def mobilenetv2(net, x):
    x = relu6(net.conv_bn("stem.conv", x, pad=1))
    stages = [(16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]
    for s, (_, repeat, stride) in enumerate(stages):
        for k in range(repeat):
            name = "stage%d.block%d." % (s + 1, k + 1)
            step, y = stride if k == 0 else 1, x
            if name + "expand.weight" in net.p:
                y = relu6(net.conv_bn(name + "expand", y))
            y = relu6(net.conv_bn(name + "depthwise", y, stride=step, pad=1, groups=y.shape[1]))
            y = net.conv_bn(name + "project", y)
            x = x + y if step == 1 and x.shape == y.shape else y
    x = relu6(net.conv_bn("head.conv", x))
    return net.linear("fc", x.mean((2, 3)))


def set_to(parameter_of, module, name, value):
    """Gives a module's parameter a value that depends on the net's, so that gradients reach those."""
    del module._parameters[name]
    setattr(module, name, value)


def in_torch_order(w, hidden):
    """ONNX's gates input, output, forget, cell; PyTorch's input, forget, cell, output."""
    i, o, f, c = w.split(hidden)
    return torch.cat([i, f, c, o])


def bilstm(net, tokens):
    lengths = (tokens != 0).sum(1).clamp(min=1)
    x = F.embedding(tokens, net.p["embedding.weight"])
    state = None
    for layer in ("lstm1", "lstm2"):
        w, r, b = (net.p[layer + "." + part] for part in ("weight", "recurrence", "bias"))
        hidden = r.shape[2]
        weights = []
        for d in (0, 1):
            wb, rb = b[d].split(4 * hidden)
            weights += [in_torch_order(t, hidden) for t in (w[d], r[d], wb, rb)]
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        zeros = torch.zeros(2, len(tokens), hidden, dtype=torch.float64)
        index = lambda t: t.index_select(1, packed.sorted_indices)
        out, h, _ = torch._VF.lstm(packed.data, packed.batch_sizes, (index(zeros), index(zeros)), weights, True, 1, 0.0,
                                   True, True)
        out = nn.utils.rnn.PackedSequence(out, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        x, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=tokens.shape[1])
        state = h.index_select(1, packed.unsorted_indices)
    return net.linear("fc", torch.cat([state[0], state[1]], 1))


def encoder_layer(net, name, x, heads, mask):
    """PyTorch's own TransformerEncoderLayer, its parameters made of the net's."""
    dim, hidden = x.shape[2], net.p[name + ".mlp.1.bias"].shape[0]
    layer = nn.TransformerEncoderLayer(dim, heads, hidden, 0.0, "gelu", 1e-5, True, True).double()
    part = lambda p: net.p[name + "." + p]
    across = ["attention.query", "attention.key", "attention.value"]
    set_to(net, layer.self_attn, "in_proj_weight", torch.cat([part(a + ".weight").T for a in across]))
    set_to(net, layer.self_attn, "in_proj_bias", torch.cat([part(a + ".bias") for a in across]))
    for module, source, turned in ((layer.self_attn.out_proj, "attention.output", True), (layer.linear1, "mlp.1", True),
                                   (layer.linear2, "mlp.2", True), (layer.norm1, "norm1", False),
                                   (layer.norm2, "norm2", False)):
        w = part(source + ".weight")
        set_to(net, module, "weight", w.T if turned else w)
        set_to(net, module, "bias", part(source + ".bias"))
    return layer(x, src_key_padding_mask=mask)


def last_norm(net, x):
    return F.layer_norm(x, x.shape[-1:], net.p["norm.weight"], net.p["norm.bias"], 1e-5)


def transformer(net, tokens):
    x = F.embedding(tokens, net.p["embedding.weight"]) + net.p["positions.weight"]
    for block in ("block1", "block2"):
        x = encoder_layer(net, block, x, 4, tokens == 0)
    valid = (tokens != 0).double()[:, :, None]
    x = (last_norm(net, x) * valid).sum(1) / valid.sum(1).clamp(min=1)
    return net.linear("fc", x)


def vit(net, x):
    x = net.conv("patches", x, stride=net.p["patches.weight"].shape[2]).flatten(2).transpose(1, 2)
    x = torch.cat([net.p["token.weight"].expand(len(x), -1, -1), x], 1) + net.p["positions.weight"]
    block = 1
    while "block%d.norm1.weight" % block in net.p:
        x = encoder_layer(net, "block%d" % block, x, 3, None)
        block += 1
    return net.linear("fc", last_norm(net, x)[:, 0])


def unet(net, x):
    before, depth = [], 3
    for d in range(depth + 1):
        x = F.max_pool2d(x, 2) if d else x
        for i in (1, 2):
            x = relu(net.conv_bn("down%d.conv%d" % (d, i), x, pad=1))
        before.append(x)
    for d in reversed(range(depth)):
        name = "up%d" % d
        x = F.conv_transpose2d(x, net.p[name + ".up.weight"], net.p[name + ".up.bias"], 2)
        x = torch.cat([before[d], x], 1)
        for i in (1, 2):
            x = relu(net.conv_bn("%s.conv%d" % (name, i), x, pad=1))
    return net.conv("head", x)


# name, network, sample, classes, tokens, batch
CASES = [
    (resnet20, "resnet20", (3, 16, 16), 10, 0, 8),
    (mobilenetv2, "mobilenetv2:0.25", (3, 16, 16), 10, 0, 4),
    (bilstm, "lstm:layers=2,bidirectional,embed=32,width=0.5", (20,), 5, 100, 8),
    (transformer, "transformer:depth=2", (20,), 5, 100, 8),
    (vit, "vit", (3, 32, 32), 10, 0, 4),
    (unet, "unet:0.25,depth=3", (3, 16, 24), 3, 0, 4),
]


def batch_of(rng, sample, classes, tokens, n, dense):
    if tokens:
        x = rng.integers(1, tokens, (n,) + sample)
        for i, length in enumerate(rng.integers(sample[0] // 3, sample[0] + 1, n)):
            x[i, length:] = 0
    else:
        x = rng.normal(size=(n,) + sample).astype(np.float32)
    return x, rng.integers(0, classes, (n,) + (sample[1:] if dense else ()))


def run(folder, program, net, x, labels):
    """Gradients and parameters by the program, in a folder of their own."""
    at = lambda name: os.path.join(folder, name)
    np.save(at("x.npy"), x)
    np.save(at("y.npy"), labels)
    os.makedirs(at("out"), exist_ok=True)
    subprocess.run([program, net, at("x.npy"), at("y.npy"), at("out")], check=True)
    return at("out")


def check(build, spec, sample, classes, tokens, n, skive, program):
    with tempfile.TemporaryDirectory() as folder:
        told = ["--vocabulary", str(tokens)] if tokens else []
        file = os.path.join(folder, "net.onnx")
        subprocess.run([skive, "zoo", spec, "--sample", ",".join(map(str, sample)), "--classes", str(classes), "-q", "-o",
                        file] + told, check=True, stdout=subprocess.DEVNULL)
        for seed in range(1000):
            x, labels = batch_of(np.random.default_rng(seed), sample, classes, tokens, n, build is unet)
            out = run(folder, program, file, x, labels) if seed == 0 else out
            net = Net(out)
            bends.clear()
            loss = F.cross_entropy(build(net, torch.tensor(x if tokens else x.astype(np.float64))), torch.tensor(labels))
            if not bends or min(bends) > BEND:
                break
        else:
            raise SystemExit("%s: every batch comes too near to a bend" % spec)
        loss.backward()
        out = run(folder, program, file, x, labels)
        ours = {name: np.load("%s/%s.grad.npy" % (out, name)).astype(np.float64) for name in net.p}
        gap = abs(float(np.load(out + "/loss.npy").reshape(-1)[0]) - float(loss.detach()))
    largest = max(float(p.grad.norm()) for p in net.p.values())
    worst, where, vanish, failed = 0.0, "", 0, gap > 1e-4
    for name, p in net.p.items():
        reference, got = p.grad.numpy(), ours[name]
        if reference.shape != got.shape:
            raise SystemExit("%s: %s has shape %s, its gradient %s" % (spec, name, reference.shape, got.shape))
        size, error = np.linalg.norm(reference), np.linalg.norm(got - reference)
        if size < NOTHING * largest:
            vanish += 1
            failed = failed or error > NOTHING * largest
        elif not error / size <= worst:
            worst, where = error / size, name
    failed = failed or not worst <= TOLERANCE
    print("%-50s batch %d; %3d parameters, %d vanish; loss off by %.1e; worst %.1e (%s)%s" %
          (spec, seed, len(net.p), vanish, gap, worst, where, "  FAILS" if failed else ""))
    return failed


def check_ctc(skive):
    """The loss of label sequences over samples of different lengths, which the data or the network itself counts."""
    rng = np.random.default_rng(3)
    n, width = 40, 96
    x = rng.normal(size=(n, 1, 16, width)).astype(np.float32)
    lengths = rng.integers(60, width + 1, n)
    count = rng.integers(0, 6, n)
    y = np.full((n, 5), -1, np.int64)
    for i in range(n):
        y[i, :count[i]] = rng.integers(1, 5, count[i])
    failed = 0
    for spec, more, steps in (("crnn:0.125,per-step,lengths", [], lambda l: (l + 3) // 4 - 1),
                              ("crnn:0.125,per-step", ["--lengths", "lengths/4"], lambda l: (l + 3) // 4)):
        with tempfile.TemporaryDirectory() as folder:
            at = lambda name: os.path.join(folder, name)
            np.savez(at("set.npz"), input=x, y=y, lengths=lengths)
            quiet = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            subprocess.run([skive, "zoo", spec, "--sample", "1,16,%d" % width, "--classes", "5", "-q", "-o",
                            at("net.onnx")], **quiet)
            data = ["--data", "npz:" + at("set.npz"), "-q"]
            subprocess.run([skive, "run", at("net.onnx"), "-o", at("scores.npy")] + data, **quiet)
            told = subprocess.run([skive, "eval", at("net.onnx"), "--output-kind", "ctc", "--json"] + more + data,
                                  **quiet)
            ours = json.loads(told.stdout)["cross_entropy"]
            scores = torch.tensor(np.load(at("scores.npy")).astype(np.float64))
        inputs = torch.tensor(np.minimum(steps(lengths), scores.shape[1]))
        theirs = float(F.ctc_loss(F.log_softmax(scores, -1).transpose(0, 1), torch.tensor(np.maximum(y, 0)), inputs,
                                  torch.tensor(count), reduction="none").mean())
        bad = not abs(ours - theirs) <= 1e-6 * abs(theirs)
        failed += bad
        print("%-50s loss of sequences %.8g, PyTorch's %.8g%s" %
              (" ".join([spec] + more), ours, theirs, "  FAILS" if bad else ""))
    return failed


def main():
    skive, program = (os.path.abspath(p) for p in sys.argv[1:3])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    failures = sum([check(*case, skive, program) for case in CASES])
    print("%d networks, %d fail" % (len(CASES), failures))
    failures += check_ctc(skive)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
