"""Static quantization by NNCF of the same model on the same number of random images, default options.

    python quantize_nncf.py MODEL.onnx --out INT8.onnx --images 100 --threads 2
"""

import argparse
import logging
import os
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv, 2))
os.environ.setdefault("NNCF_CI", "1")  # no usage reports over the network while measuring

import numpy as np  # noqa: E402
import onnx  # noqa: E402

import nncf  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    value = onnx.load(args.model, load_external_data=False).graph.input[0]
    shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]

    def image(seed):
        return {value.name: np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)}

    def quantize():
        data = nncf.Dataset(list(range(args.images)), image)
        result = nncf.quantize(onnx.load(args.model), data, subset_size=args.images)
        onnx.save(result, args.out)

    protocol.serve(quantize, lambda: {"bytes": os.path.getsize(args.out), "version": "nncf " + nncf.__version__})


main()
