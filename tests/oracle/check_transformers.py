"""Compares skive with onnxruntime on the operators of transformers: Attention and RMSNormalization of opset 23 in all their forms,
and the com.microsoft operators that skive reads as standard nodes. Exit 1 when one differs by more than 1e-4 of the largest value.

    tests/oracle/check_transformers.py [build/skive]
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

skive = sys.argv[1] if len(sys.argv) > 1 else "build/skive"
rng = np.random.default_rng(1)
failed = 0


def param(name, *shape):
    return numpy_helper.from_array((rng.standard_normal(shape) / 2).astype(np.float32), name)


def check(name, op, inputs, params, outputs, domain="com.microsoft", names=None, **attributes):
    """`outputs` has "" for the ones nobody wants; `names` are the node's inputs where some are left out."""
    global failed
    names = names or [*inputs, *(p.name for p in params)]
    node = helper.make_node(op, names, outputs, domain=domain, **attributes)
    types = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()]
    wanted = [o for o in outputs if o]
    graph = helper.make_graph([node], "g", types,
                              [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in wanted], params)
    opset = 23 if op in ("Attention", "RMSNormalization") and not domain else 17
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
                              ir_version=8 if opset == 17 else 10)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        onnx.save(model, folder / "m.onnx")
        want = onnxruntime.InferenceSession(folder / "m.onnx").run(None, inputs)
        arguments = []
        for k, v in inputs.items():
            np.save(folder / f"in_{k}.npy", v)
            arguments += ["-i", f"{k}={folder}/in_{k}.npy"]
        (folder / "out").mkdir()
        run = subprocess.run([skive, "run", folder / "m.onnx", *arguments, "--output-dir", folder / "out"],
                             capture_output=True, text=True)
        if run.returncode:
            print(f"{name}: {run.stderr.strip()}")
            failed += 1
            return
        worst = 0
        for o, w in zip(wanted, want):
            have = np.load(folder / "out" / f"{o}.npy")
            worst = max(worst, np.abs(have - w).max() / np.abs(w).max()) if have.shape == w.shape else np.inf
    print(f"{name}: {worst:.2g}")
    failed += not worst <= 1e-4


x = rng.standard_normal((2, 5, 24)).astype(np.float32)
skip = x[:, ::-1].copy()
check("Gelu", "Gelu", {"x": x}, [], ["y"])
check("BiasGelu", "BiasGelu", {"x": x}, [param("b", 24)], ["y"])
check("FastGelu", "FastGelu", {"x": x}, [param("b", 24)], ["y"])
check("QuickGelu", "QuickGelu", {"x": x}, [], ["y"], alpha=1.5)
norms = [param(n, 24) for n in "gbc"]
check("SkipLayerNormalization", "SkipLayerNormalization", {"x": x, "s": skip}, norms, ["y", "", "", "z"], epsilon=1e-5)
check("SkipSimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization", {"x": x, "s": skip}, norms[:1],
      ["y", "", "", "z"], epsilon=1e-5)
check("SimplifiedLayerNormalization", "SimplifiedLayerNormalization", {"x": x}, norms[:1], ["y"], domain="", axis=-1)
check("FusedMatMul", "FusedMatMul", {"x": x}, [param("w", 7, 24)], ["y"], alpha=0.3, transB=1)
check("MultiHeadAttention", "MultiHeadAttention", {"q": x, "k": x[:, :4].copy(), "v": x[:, 1:].copy()}, [param("b", 72)],
      ["y"], num_heads=4)
check("Attention (com.microsoft)", "Attention", {"x": x}, [param("w", 24, 72), param("b", 72)], ["y"], num_heads=4,
      unidirectional=1)
ids = {"i": rng.integers(0, 9, (2, 5)).astype(np.int32), "t": rng.integers(0, 2, (2, 5)).astype(np.int32)}
check("EmbedLayerNormalization", "EmbedLayerNormalization", ids,
      [param("w", 9, 24), param("p", 16, 24), param("s", 2, 24), *norms[:2]], ["y", ""], epsilon=1e-5)

# matrices large enough to stay in few bits
for bits, block, rows in ((4, 32, 1), (4, 128, 3), (8, 32, 1), (4, 32, 9)):
    k, n, count = 512, 200, 512 // block
    packed = [numpy_helper.from_array(rng.integers(0, 256, (n, count, block * bits // 8), dtype=np.uint8), "w"),
              numpy_helper.from_array((rng.random(n * count) / 50).astype(np.float32), "s"),
              numpy_helper.from_array(rng.integers(0, 256, n * (count * bits // 8), dtype=np.uint8), "z")]
    a = {"x": rng.standard_normal((1, rows, k)).astype(np.float32)}
    for params in (packed[:2], packed):
        check(f"MatMulNBits, {bits} bits, blocks of {block}, {rows} rows, {len(params) - 1} tensors behind", "MatMulNBits", a,
              params, ["y"], K=k, N=n, bits=bits, block_size=block)

check("RMSNormalization", "RMSNormalization", {"x": x}, norms[:1], ["y"], domain="")
q, k, v = (rng.standard_normal((2, 4, n, 8)).astype(np.float32) for n in (6, 6, 6))
mask = rng.standard_normal((6, 6)).astype(np.float32)
check("Attention", "Attention", {"q": q, "k": k, "v": v}, [], ["y"], domain="")
check("Attention, causal, softcap, scale", "Attention", {"q": q, "k": k, "v": v}, [], ["y"], domain="", is_causal=1,
      softcap=2.0, scale=0.4)
check("Attention, shared keys", "Attention", {"q": q, "k": k[:, :2].copy(), "v": v[:, :2].copy()}, [], ["y"], domain="")
check("Attention, mask", "Attention", {"q": q, "k": k, "v": v, "m": mask}, [], ["y"], domain="")
check("Attention, hiding mask", "Attention", {"q": q, "k": k, "v": v, "m": mask > -1}, [], ["y"], domain="")
past = {"q": q, "k": k, "v": v, "pk": k[:, :, :3].copy(), "pv": v[:, :, :3].copy()}
check("Attention, past", "Attention", past, [], ["y", "nk", "nv"], domain="", names=["q", "k", "v", "", "pk", "pv"])
check("Attention, past, causal", "Attention", past, [], ["y", "nk", "nv"], domain="", is_causal=1,
      names=["q", "k", "v", "", "pk", "pv"])
check("Attention, packed", "Attention", {"x": x, "k": skip, "v": x}, [], ["y"], domain="", q_num_heads=4, kv_num_heads=4)
for mode in range(4):
    check(f"Attention, scores at stage {mode}", "Attention", {"q": q, "k": k, "v": v, "m": mask}, [], ["y", "", "", "s"],
          domain="", qk_matmul_output_mode=mode, softcap=1.5)
sys.exit(failed > 0)
