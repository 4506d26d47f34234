#!/usr/bin/env bash
# Everything that must hold: the tests with gcc and with clang, warnings being errors, the latter under the sanitizers (threads: the test that
# is about them); fuzz targets that search for half a minute each; a user's program against the installed library. Ends with the figures of
# the full run.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }

say "gcc, warnings are errors"
cmake --preset ci >/dev/null
cmake --build build-ci -j "$jobs"

say "clang, warnings are errors, sanitizers, fuzz targets"
cmake --preset fuzz >/dev/null
cmake --build build-fuzz -j "$jobs"

say "tests under the address and undefined-behaviour sanitizers"
OMP_NUM_THREADS=2 ctest --test-dir build-fuzz -j "$jobs" --output-on-failure --no-tests=error -LE release-only

say "fuzzing"
SKIVE_FUZZ_SEED=${SKIVE_FUZZ_SEED:-1} tests/fuzz/run.sh build-fuzz "${SKIVE_FUZZ_SECONDS:-30}"

say "installed library"
tests/install/run.sh build-ci

say "thread sanitizer: one plan, many threads"
cmake --preset tsan >/dev/null
cmake --build build-tsan -j "$jobs" --target test_threads
OMP_NUM_THREADS=1 build-tsan/test_threads

say "all tests"
ctest --test-dir build-ci -j "$jobs" --output-on-failure --no-tests=error
