"""Writes the data of the installed onnx package's backend suite as folders, for SKIVE_ONNX_SUITE.

    python tests/oracle/suite_data.py FOLDER [OP]

The package's own generate-data leaves out the node models since ONNX 1.20. The models of simple/ and pytorch-*/ come
with the package as files and are copied."""
import os
import shutil
import sys

import numpy as np
import onnx
import onnx.backend.test as backend_test
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def message(info, value):
    kind = info.type.WhichOneof("value")
    if hasattr(value, "SerializeToString"):
        return value
    if kind == "map_type":
        return numpy_helper.from_dict(value, info.name)
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(np.asarray(value), info.name)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def main():
    folder, op = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else None)
    source = os.path.join(os.path.dirname(backend_test.__file__), "data")
    for kind in ("simple", "pytorch-operator", "pytorch-converted"):
        if op is None:
            shutil.copytree(os.path.join(source, kind), os.path.join(folder, kind), dirs_exist_ok=True)
    cases = collect_testcases(op)
    for case in cases:
        at = os.path.join(folder, "node", case.name)
        shutil.rmtree(at, ignore_errors=True)
        os.makedirs(at)
        write(os.path.join(at, "model.onnx"), case.model.SerializeToString())
        for i, (inputs, outputs) in enumerate(case.data_sets):
            to = os.path.join(at, f"test_data_set_{i}")
            os.makedirs(to)
            for name, infos, values in (("input", case.model.graph.input, inputs),
                                        ("output", case.model.graph.output, outputs)):
                for j, value in enumerate(values):
                    write(os.path.join(to, f"{name}_{j}.pb"), message(infos[j], value).SerializeToString())
    print(f"onnx {onnx.__version__}: {len(cases)} node models in {folder}")


main()
