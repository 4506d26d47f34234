"""A whole process: start Python, load the model in onnxruntime, run it once on zeros, print the largest output's index.

    python first_answer_ort.py MODEL.onnx --threads 1

Timed from outside (interleave.py --whole); speaks no protocol.
"""

import sys

import protocol

THREADS = protocol.threads_from_argv(sys.argv)
protocol.limit_threads(THREADS)

import numpy as np  # noqa: E402

import ortmodel  # noqa: E402

session = ortmodel.open_session(sys.argv[1], THREADS)
feed = {v.name: np.zeros([d if isinstance(d, int) else 1 for d in v.shape], np.float32) for v in session.get_inputs()}
print(int(np.argmax(session.run(None, feed)[0])))
