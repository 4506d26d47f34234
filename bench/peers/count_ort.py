"""Runs a model N times in onnxruntime on one thread, for counting its instructions (bench/count_arm64.sh).

    python count_ort.py MODEL.onnx N
"""

import sys

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
kinds = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}
random = np.random.default_rng(0)
binding = session.io_binding()  # nothing is converted or allocated in a run
for value in session.get_inputs():
    shape = [d if isinstance(d, int) else 1 for d in value.shape]
    array = random.integers(0, 100, shape).astype(kinds[value.type])
    binding.bind_ortvalue_input(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
for value in session.get_outputs():
    binding.bind_output(value.name, "cpu")
for _ in range(int(sys.argv[2])):
    session.run_with_iobinding(binding)
