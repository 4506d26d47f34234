#!/usr/bin/env bash
# The ONNX backend suite under valgrind: reads of memory nobody wrote, accesses out of bounds and blocks that are lost fail. Usage:
# memcheck.sh BUILD-FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "memcheck.sh: valgrind is not installed; nothing was checked (apt-get install valgrind)"
    exit 0
fi
OMP_NUM_THREADS=2 valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite "$1/test_suite"
echo "memcheck.sh: no error"
