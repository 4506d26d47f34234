"""Writes the ONNX models of the inference rows into a directory: resnet18.onnx, resnet50.onnx, random weights.

    python make_models.py DIR [NAME ...]

BatchNorm's statistics are settled on random images first: with the untouched ones the activations of a random ResNet
grow or vanish from layer to layer, and denormals or infinities would be measured instead of the network.
"""

import os
import sys

import torch

import nets


def settle(net, shape, batches=4):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain average over the batches
            module.reset_running_stats()
    net.train()
    with torch.no_grad():
        for _ in range(batches):
            net(torch.randn(8, *shape))
    net.eval()


def export(name, path):
    net, shape, _ = nets.build(name)
    settle(net, shape)
    image = torch.randn(1, *shape)
    options = dict(input_names=["input"], output_names=["output"], opset_version=17, do_constant_folding=True)
    partial = path + ".partial"
    try:
        torch.onnx.export(net, (image,), partial, dynamo=False, **options)
    except (TypeError, RuntimeError, ImportError, AttributeError, ValueError) as error:
        # a later torch may have lost the TorchScript exporter; its successor needs onnxscript
        print("TorchScript exporter not usable (%s), using the other one" % error, file=sys.stderr)
        options["opset_version"] = 18
        torch.onnx.export(net, (image,), partial, dynamo=True, external_data=False, **options)
    os.replace(partial, path)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for name in sys.argv[2:] or ["resnet18", "resnet50"]:
        path = os.path.join(directory, name + ".onnx")
        if not os.path.exists(path):
            export(name, path)
        print(path)


main()
