#!/usr/bin/env bash
# clang-format and clang-tidy over the whole tree, and whether the generated pages are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/format.sh --check
cmake --preset fuzz >/dev/null
cmake --build build-fuzz -j "$(nproc)"
scripts/docs.sh build-fuzz --check
git ls-files -z 'src/*.c' 'cli/*.c' | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build-fuzz --quiet
