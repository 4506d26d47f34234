#!/usr/bin/env python3
"""Do onnx.checker and onnxruntime take every ONNX file below a folder that skive has written? Usage: check_files.py FOLDER

Files of other producers are passed over. Prints a line for each one that is refused; exit status 1 when there was one.
"""
import os
import sys

import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(4)
refused = 0
for folder, _, files in os.walk(sys.argv[1]):
    for path in sorted(os.path.join(folder, f) for f in files if f.endswith(".onnx")):
        try:
            model = onnx.load(path)
        except Exception:
            continue  # not a model, on purpose
        if model.producer_name != "skive" or any(o.domain not in ("", "ai.onnx") for o in model.opset_import):
            continue
        try:
            onnx.checker.check_model(path, full_check=True)
            onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as e:
            refused += 1
            print("FAIL: %s: %s" % (path, str(e).splitlines()[0][:300]))
sys.exit(1 if refused else 0)
