#!/usr/bin/env bash
# Every test, on a release build by gcc with warnings as errors. What else must hold is scripts/test_all.sh.
# CMAKE_FLAGS: more arguments for cmake.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
read -ra flags <<<"${CMAKE_FLAGS:-}"
cmake --preset ci "${flags[@]}" >/dev/null
cmake --build build-ci -j "$jobs"
# Threads that wait must not spin: two tests run at once.
OMP_WAIT_POLICY=passive OMP_NUM_THREADS=2 ctest --test-dir build-ci -j "$jobs" --output-on-failure --no-tests=error
