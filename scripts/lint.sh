#!/usr/bin/env bash
# clang-format and clang-tidy over the whole tree.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/format.sh --check
cmake --preset clang >/dev/null
cmake --build build-clang -j "$(nproc)"
git ls-files -z 'src/*.c' 'cli/*.c' | xargs -0 -n 8 -P "$(nproc)" clang-tidy -p build-clang --quiet
