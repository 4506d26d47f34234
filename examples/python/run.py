#!/usr/bin/env python3
"""Runs a model through the shared library with ctypes; needs nothing but Python itself.

    python3 run.py /usr/local/lib/libskive.so model.onnx
"""
import ctypes
import sys

MAX_RANK = 8  # SKIVE_MAX_RANK
FLOAT32 = 1  # SKIVE_F32


class Tensor(ctypes.Structure):
    """skive_tensor of <skive/tensor.h>."""

    _fields_ = [
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_int),
        ("dims", ctypes.c_int64 * MAX_RANK),
        ("data", ctypes.c_void_p),
    ]

    def floats(self):
        """The elements of a float32 tensor, as an array over the library's own memory."""
        count = 1
        for size in self.dims[: self.rank]:
            count *= size
        return (ctypes.c_float * count).from_address(self.data)


def load(path):
    """The library, with the types of the functions used here."""
    lib = ctypes.CDLL(path)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    lib.skive_context_message.restype = ctypes.c_char_p
    lib.skive_plan_output_name.restype = ctypes.c_char_p
    lib.skive_context_message.argtypes = [pointer]
    lib.skive_plan_output_name.argtypes = [pointer, size]
    lib.skive_context_create.argtypes = [pointer, ctypes.POINTER(pointer)]
    lib.skive_model_load.argtypes = [pointer, ctypes.c_char_p, ctypes.POINTER(pointer)]
    lib.skive_plan_create.argtypes = [pointer, pointer, pointer, ctypes.POINTER(pointer)]
    lib.skive_exec_create.argtypes = [pointer, pointer, ctypes.POINTER(pointer)]
    lib.skive_exec_input.argtypes = [pointer, size, ctypes.POINTER(Tensor)]
    lib.skive_exec_output.argtypes = [pointer, size, ctypes.POINTER(Tensor)]
    for name in ("exec_run", "exec_free", "plan_free", "graph_free", "context_free"):
        getattr(lib, "skive_" + name).argtypes = [pointer]
        if name != "exec_run":
            getattr(lib, "skive_" + name).restype = None
    return lib


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: run.py LIBSKIVE MODEL")
    lib = load(sys.argv[1])
    context, model, plan, run = (ctypes.c_void_p() for _ in range(4))
    if lib.skive_context_create(None, ctypes.byref(context)) != 0:
        sys.exit("run.py: out of memory")

    def check(status):
        if status != 0:
            sys.exit("run.py: " + lib.skive_context_message(context).decode(errors="replace"))

    check(lib.skive_model_load(context, sys.argv[2].encode(), ctypes.byref(model)))
    check(lib.skive_plan_create(context, model, None, ctypes.byref(plan)))
    lib.skive_graph_free(model)  # the plan has what it needs
    check(lib.skive_exec_create(context, plan, ctypes.byref(run)))

    tensor = Tensor()
    check(lib.skive_exec_input(run, 0, ctypes.byref(tensor)))
    if tensor.dtype == FLOAT32:
        x = tensor.floats()
        x[:] = [0.5] * len(x)
    check(lib.skive_exec_run(run))
    check(lib.skive_exec_output(run, 0, ctypes.byref(tensor)))
    print(f"{lib.skive_plan_output_name(plan, 0).decode()}: shape {list(tensor.dims[: tensor.rank])}", end="")
    print(f", the first value {tensor.floats()[0]:.6g}" if tensor.dtype == FLOAT32 else "")

    lib.skive_exec_free(run)
    lib.skive_plan_free(plan)
    lib.skive_context_free(context)


if __name__ == "__main__":
    main()
