"""What the onnxruntime timing programs share: session options and random inputs."""

import numpy as np
import onnxruntime as ort

LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def open_session(path, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = LEVELS["all"]
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def random_inputs(session, batch, seed=1):
    """Standard normal floats and small integers; a symbolic dimension gets the batch size when first, else 1."""
    rng = np.random.default_rng(seed)
    feed = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else (batch if i == 0 else 1) for i, d in enumerate(value.shape)]
        if "float16" in value.type:
            feed[value.name] = rng.standard_normal(shape).astype(np.float16)
        elif "double" in value.type:
            feed[value.name] = rng.standard_normal(shape)
        elif "float" in value.type:
            feed[value.name] = rng.standard_normal(shape, dtype=np.float32)
        elif "bool" in value.type:
            feed[value.name] = rng.integers(0, 2, shape).astype(bool)
        else:
            dtype = value.type[len("tensor("):-1]
            feed[value.name] = rng.integers(0, 2, shape).astype(dtype)
    return feed
