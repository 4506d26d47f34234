"""Writes networks of torchvision and some made of PyTorch's layers, with random weights, for sweep.py.

    torch_nets.py FOLDER [NAME ...]     those that are there already stay
"""

import os
import sys
import warnings

import numpy as np
import onnx
import torch
import torchvision

NAMES = ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf",
         "convnext_tiny", "swin_t", "densenet121", "squeezenet1_1", "googlenet", "mnasnet1_0"]


class Recurrent(torch.nn.Module):
    """A classifier of sequences with lengths, packed as PyTorch wants them."""

    def __init__(self, kind, bidirectional):
        super().__init__()
        self.cell = kind(40, 128, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.fc = torch.nn.Linear(256 if bidirectional else 128, 12)

    def forward(self, x, lengths):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.fc(y.mean(1))


class Detector(torch.nn.Module):
    """Heads of a single-shot detector over three levels of MobileNetV2: boxes and scores, without suppression."""

    def __init__(self):
        super().__init__()
        self.body = torchvision.models.mobilenet_v2().features
        self.heads = torch.nn.ModuleList(torch.nn.ModuleList([torch.nn.Conv2d(c, 6 * 4, 3, padding=1), torch.nn.Conv2d(c, 6 * 21, 3, padding=1)])
                                         for c in (96, 320, 1280))

    def forward(self, x):
        boxes, scores, level = [], [], 0
        for i, layer in enumerate(self.body):
            x = layer(x)
            if i in (13, 17, 18):
                box, score = self.heads[level]
                boxes.append(box(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4)))
                scores.append(score(x).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 21)))
                level += 1
        return torch.cat(boxes, 1), torch.cat(scores, 1).softmax(-1)


class Yolo(torch.nn.Module):
    """Blocks of a YOLO-like detector: SiLU, split and concat, pooling pyramid, upsampling, two heads."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.ModuleList(self.conv(c, m, 3, 2) for c, m in ((3, 16), (16, 32), (32, 64), (64, 128)))
        self.block = torch.nn.ModuleList([self.conv(32, 32, 3), self.conv(32, 32, 3), self.conv(96, 64, 1)])
        self.pyramid = self.conv(512, 128, 1)
        self.join = self.conv(192, 64, 1)
        self.heads = torch.nn.ModuleList([torch.nn.Conv2d(64, 85, 1), torch.nn.Conv2d(128, 85, 1)])

    @staticmethod
    def conv(c, m, k, stride=1):
        return torch.nn.Sequential(torch.nn.Conv2d(c, m, k, stride, k // 2, bias=False), torch.nn.BatchNorm2d(m), torch.nn.SiLU())

    def forward(self, x):
        for layer in self.stem[:3]:
            x = layer(x)
        a, b = x.chunk(2, 1)
        near = self.block[2](torch.cat([a, b, b + self.block[1](self.block[0](b))], 1))
        far = self.stem[3](near)
        pools = [far]
        for _ in range(3):
            pools.append(torch.nn.functional.max_pool2d(pools[-1], 5, 1, 2))
        far = self.pyramid(torch.cat(pools, 1))
        near = self.join(torch.cat([near, torch.nn.functional.interpolate(far, scale_factor=2.0)], 1))
        return [head(v).flatten(2).sigmoid() for head, v in zip(self.heads, (near, far))]


def made(name):
    """The network and its inputs by name, the first axis being the batch."""
    image = {"images": torch.randn(2, 3, 224, 224)}
    if name in ("gru-lengths", "bilstm-lengths"):
        net = Recurrent(torch.nn.GRU, False) if name[0] == "g" else Recurrent(torch.nn.LSTM, True)
        return net, {"x": torch.randn(3, 50, 40), "lengths": torch.tensor([50, 37, 12])}
    if name == "transformer-encoder":
        layer = torch.nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, activation="gelu")
        return torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), {"x": torch.randn(2, 64, 256)}
    if name == "ssd-mobilenetv2":
        return Detector(), {"images": torch.randn(2, 3, 320, 320)}
    if name == "yolo-like":
        return Yolo(), {"images": torch.randn(2, 3, 320, 320)}
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return getattr(torchvision.models, name)(**options), image


def main():
    folder, names = sys.argv[1], sys.argv[2:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in names or NAMES + ["gru-lengths", "bilstm-lengths", "transformer-encoder", "ssd-mobilenetv2", "yolo-like"]:
        path = os.path.join(folder, f"tv-{name}.onnx")
        if os.path.exists(path):
            continue
        torch.manual_seed(1)
        net, inputs = made(name)
        net.eval()
        how = {"dynamo": True, "external_data": False, "dynamic_shapes": tuple({0: torch.export.Dim("n", min=1, max=64)} for _ in inputs)}
        if name.endswith("-lengths"):  # packed sequences are for the older exporter only
            how = {"dynamo": False, "dynamic_axes": {n: {0: "n"} for n in inputs}}
        try:
            torch.onnx.export(net, tuple(inputs.values()), path + ".partial", input_names=list(inputs), opset_version=18, verbose=False, **how)
        except Exception as error:  # the exporter of a later PyTorch may refuse one of them: the others are still of use
            print(f"torch_nets.py: {name}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        onnx.checker.check_model(path + ".partial")
        os.replace(path + ".partial", path)
        print(name, f"{os.path.getsize(path) / 1e6:.1f} MB", np.sum([v.numel() for v in net.parameters()]), flush=True)


main()
