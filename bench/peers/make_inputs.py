"""Writes random inputs of a model as .npy files, and prints them as options: --input NAME=FILE ...

    python make_inputs.py MODEL.onnx FOLDER
"""

import os
import sys

import numpy as np

import ortmodel

# What a model needs to be just so: the voice detector's frame of 512 samples and its rate, the classifier's image size.
FIXED = {
    "silero_vad_v5.onnx": {"sr": np.array(16000, np.int64), "input": (1, 512), "state": (2, 1, 128)},
    "ppocr_cls_mobilenetv3.onnx": {"x": (1, 3, 48, 192)},
}


def main():
    model, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    fixed = FIXED.get(os.path.basename(model), {})
    options = []
    for i, value in enumerate(ortmodel.open_session(model, 1).get_inputs()):
        rng = np.random.default_rng(i)
        shape = fixed.get(value.name, [d if isinstance(d, int) and d > 0 else 1 for d in value.shape])
        if isinstance(shape, np.ndarray):
            x = shape
        elif "float" in value.type:
            x = rng.standard_normal(shape, dtype=np.float32)
        else:
            dtype = np.dtype(value.type[len("tensor("):-1])
            x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape).astype(dtype)
        path = os.path.join(folder, "%s.%d.npy" % (os.path.basename(model), i))
        np.save(path, x)
        options.append("--input %s=%s" % (value.name, path))
    print(" ".join(options))


main()
