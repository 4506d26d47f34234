"""INT8 versions of models with one image-like input, by skive (NAME.int8.onnx) and onnxruntime (NAME.ort-int8.onnx).

    quantize.py SKIVE FOLDER NAME ...     FOLDER/NAME.onnx; random calibration samples; files that are there stay
"""

import logging
import os
import subprocess
import sys

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

SAMPLES = 8


class Samples(CalibrationDataReader):
    def __init__(self, name, data):
        self.name, self.rows = name, iter(data)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {self.name: row[None]}


def main():
    logging.disable(logging.WARNING)
    skive, folder = sys.argv[1:3]
    for name in sys.argv[3:]:
        path = os.path.join(folder, name)
        value = onnx.load(path + ".onnx").graph.input[0]
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        data = np.random.default_rng(1).standard_normal([SAMPLES] + shape[1:], dtype=np.float32)
        if not os.path.exists(path + ".int8.onnx"):
            np.save(path + ".npy", data)
            command = [skive, "quantize", path + ".onnx", "-q", "--input", path + ".npy", "-o", path + ".int8.onnx"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            os.remove(path + ".npy")
        if not os.path.exists(path + ".ort-int8.onnx"):
            quantize_static(path + ".onnx", path + ".ort-int8.onnx", Samples(value.name, data),
                            quant_format=QuantFormat.QDQ, per_channel=True, weight_type=QuantType.QInt8,
                            activation_type=QuantType.QUInt8)


main()
