"""Inference in onnxruntime with random inputs, or those given, all graph optimizations, inter-op 1.

    python infer_ort.py MODEL.onnx --threads 1 [--batch 1] [--input NAME=FILE.npy ...]
"""

import argparse
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

import ortmodel  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--input", action="append", default=[])
    args = parser.parse_args()
    session = ortmodel.open_session(args.model, args.threads)
    given = {pair.partition("=")[0]: np.load(pair.partition("=")[2]) for pair in args.input}
    feed = given or ortmodel.random_inputs(session, args.batch)
    protocol.serve(lambda: session.run(None, feed), lambda: {"version": "onnxruntime " + onnxruntime.__version__})


main()
