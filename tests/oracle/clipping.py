"""Whether onnxruntime computes int8 weights exactly here: its kernels for x86-64 without VNNI add products in pairs of 16 bits, which clips large ones
(docs/quantization.md). Its answers are a witness then for weights of 7 bits, and for unsigned ones, only."""
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def clips():
    x, w = np.full((1, 4), 255, np.uint8), np.full((4, 1), 127, np.int8)
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "pairs", [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])],
                              [helper.make_tensor_value_info("y", TensorProto.INT32, None)], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return int(session.run(None, {"x": x})[0][0, 0]) != 4 * 255 * 127
