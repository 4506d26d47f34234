"""The networks of the benchmark in torch, layer for layer what skive's zoo builds under the same names.

Each builder checks the number of parameters, so that a slip in either definition does not pass for a speed difference.
"""

import torch
from torch import nn


def conv_bn(cin, cout, kernel, stride):
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut is a 1x1 convolution with BN where the shape changes (option B)."""

    expansion = 1

    def __init__(self, cin, width, stride):
        super().__init__()
        self.first = conv_bn(cin, width, 3, stride)
        self.second = conv_bn(width, width, 3, 1)
        self.shortcut = conv_bn(cin, width, 1, stride) if stride != 1 or cin != width else nn.Identity()

    def forward(self, x):
        y = torch.relu_(self.first(x))
        return torch.relu_(self.second(y) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride), 1x1 to four times the width."""

    expansion = 4

    def __init__(self, cin, width, stride):
        super().__init__()
        cout = width * self.expansion
        self.first = conv_bn(cin, width, 1, 1)
        self.second = conv_bn(width, width, 3, stride)
        self.third = conv_bn(width, cout, 1, 1)
        self.shortcut = conv_bn(cin, cout, 1, stride) if stride != 1 or cin != cout else nn.Identity()

    def forward(self, x):
        y = torch.relu_(self.first(x))
        y = torch.relu_(self.second(y))
        return torch.relu_(self.third(y) + self.shortcut(x))


def stages(block, cin, widths, depths):
    layers = []
    for i, (width, depth) in enumerate(zip(widths, depths)):
        for j in range(depth):
            layers.append(block(cin, width, 2 if i > 0 and j == 0 else 1))
            cin = width * block.expansion
    return layers, cin


def resnet_imagenet(block, depths, classes=1000):
    body, channels = stages(block, 64, (64, 128, 256, 512), depths)
    return nn.Sequential(
        conv_bn(3, 64, 7, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        *body,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


def resnet18():
    return resnet_imagenet(BasicBlock, (2, 2, 2, 2))


def resnet50():
    return resnet_imagenet(Bottleneck, (3, 4, 6, 3))


def resnet20():
    """He et al. for CIFAR: 3x3 stem, three stages of three blocks with 16, 32 and 64 channels."""
    body, channels = stages(BasicBlock, 16, (16, 32, 64), (3, 3, 3))
    return nn.Sequential(
        conv_bn(3, 16, 3, 1),
        nn.ReLU(inplace=True),
        *body,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )


def lenet5():
    """LeNet-5 as in Caffe: no padding, no activation after the convolutions."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(inplace=True),
        nn.Linear(500, 10),
    )


def mlp():
    return nn.Sequential(
        nn.Linear(784, 300),
        nn.ReLU(inplace=True),
        nn.Linear(300, 100),
        nn.ReLU(inplace=True),
        nn.Linear(100, 10),
    )


# name: (builder, input shape of one sample, classes, parameters)
NETS = {
    "lenet5": (lenet5, (1, 28, 28), 10, 431080),
    "mlp": (mlp, (784,), 10, 266610),
    "resnet20": (resnet20, (3, 32, 32), 10, 272474),
    "resnet18": (resnet18, (3, 224, 224), 1000, 11689512),
    "resnet50": (resnet50, (3, 224, 224), 1000, 25557032),
}


def build(name, seed=1):
    """Returns the module, the shape of one sample and the number of classes."""
    builder, shape, classes, parameters = NETS[name]
    torch.manual_seed(seed)
    module = builder()
    found = sum(p.numel() for p in module.parameters())
    if found != parameters:
        raise ValueError("%s has %d parameters, expected %d" % (name, found, parameters))
    return module, shape, classes
