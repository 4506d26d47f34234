"""Static quantization by onnxruntime: quantize_static, QDQ, per-channel s8 weights, u8 activations, random images.

    python quantize_ort.py MODEL.onnx --out INT8.onnx --images 100 --threads 2 [--method minmax|entropy|percentile]

The unit of work is the whole call: reading the model, calibrating, writing the result. The images are generated while
calibrating (one at a time, as a loader would deliver them). quantize_static opens its session with default options, which
use every core: --threads only bounds OpenMP and is recorded; pin the process (taskset) to measure with fewer.
"""

import argparse
import logging
import os
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv, 2))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnxruntime.quantization import (CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType,  # noqa: E402
                                      quantize_static)

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class RandomImages(CalibrationDataReader):
    def __init__(self, name, shape, count, seed=1):
        self.name, self.shape, self.left = name, shape, count
        self.rng = np.random.default_rng(seed)

    def get_next(self):
        if self.left == 0:
            return None
        self.left -= 1
        return {self.name: self.rng.standard_normal(self.shape, dtype=np.float32)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--method", choices=sorted(METHODS), default="minmax")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    value = onnx.load(args.model, load_external_data=False).graph.input[0]
    shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]

    def quantize():
        quantize_static(
            args.model,
            args.out,
            RandomImages(value.name, shape, args.images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[args.method],
        )

    protocol.serve(quantize, lambda: {"bytes": os.path.getsize(args.out),
                                      "version": "onnxruntime " + onnxruntime.__version__})


main()
