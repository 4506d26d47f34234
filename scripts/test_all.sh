#!/usr/bin/env bash
# What must hold besides the tests of scripts/test.sh, which run first: some of these on a processor without AVX,
# emulated; the tests with clang under the sanitizers (threads: the test that is about them), warnings being errors; a fixed
# search of the fuzz targets. Other processors, for which the library is compiled anew, are scripts/test_machines.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }

say "an x86-64 without AVX, emulated"
SKIVE_FEW_CASES=1 scripts/old_x86.sh build-ci || [ $? = 77 ]

say "clang, warnings are errors, sanitizers, fuzz targets"
linker=() # 200 programs with everything in them: bfd's takes three times as long
command -v ld.lld >/dev/null && linker=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld)
cmake --preset fuzz "${linker[@]}" >/dev/null
cmake --build build-fuzz -j "$jobs"

say "tests under the address and undefined-behaviour sanitizers"
# Threads that wait must not spin: two tests run at once. Freed memory is held back less long and stacks are kept less deep
# than by default, which costs a fifth of the time.
ASAN_OPTIONS=quarantine_size_mb=32:malloc_context_size=12 OMP_WAIT_POLICY=passive OMP_NUM_THREADS=2 ctest --test-dir build-fuzz -j "$jobs" --output-on-failure --no-tests=error -LE release-only

say "fuzzing"
tests/fuzz/run.sh build-fuzz fixed

say "thread sanitizer: one plan, many threads"
cmake --preset tsan >/dev/null
cmake --build build-tsan -j "$jobs" --target test_threads
OMP_NUM_THREADS=1 build-tsan/test_threads
say "all of it holds"
