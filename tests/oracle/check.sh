#!/bin/sh
# Compares skive with onnxruntime on one model: sets the oracle up, then runs check_model.py with the same arguments.
# Exit 77 when onnxruntime cannot be installed, so that CTest counts the check as skipped.
#   tests/oracle/check.sh MODEL.onnx [--skive build/skive] [--shape NAME=1,3,224,224] ...   (see check_model.py --help)
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/setup.sh") || exit $?
exec "$python" "$here/check_model.py" "$@"
