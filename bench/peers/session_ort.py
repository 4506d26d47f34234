"""Creation of an onnxruntime session: from the file to a session that is ready to run.

    python session_ort.py MODEL.onnx [--threads 1]
"""

import argparse
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv))

import onnxruntime  # noqa: E402

import ortmodel  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    protocol.serve(lambda: ortmodel.open_session(args.model, args.threads),
                   lambda: {"version": "onnxruntime " + onnxruntime.__version__})


main()
