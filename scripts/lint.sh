#!/usr/bin/env bash
# clang-format, clang-tidy and shellcheck over the whole tree; the rule of rooms; whether the generated pages are up to date and both READMEs say
# the same.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/format.sh --check
scripts/readmes.pl
scripts/rooms.pl
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck --severity=warning --exclude=SC1091,SC2034,SC2046,SC2148,SC2154,SC2164
cmake --preset fuzz >/dev/null
cmake --build build-fuzz -j "$(nproc)"
scripts/docs.sh build-fuzz --check
git ls-files -z 'src/*.c' 'cli/*.c' | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build-fuzz --quiet
