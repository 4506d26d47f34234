#!/bin/sh
# Prints a Python that has PyTorch. Exit 77 (CTest: skipped) when there is none: on PyPI, torch for Linux comes with
# gigabytes of CUDA, so that nothing is installed here. Debian's package is small: apt install python3-torch.
#   SKIVE_TORCH_PYTHON   the Python to use
for python in ${SKIVE_TORCH_PYTHON:-} /usr/bin/python3 python3; do
    if "$python" -c 'import numpy, torch' 2>/dev/null; then
        echo "$python"
        exit 0
    fi
done
echo "tests/oracle/torch.sh: skipped: no Python with PyTorch (Debian: apt install python3-torch)" >&2
exit 77
