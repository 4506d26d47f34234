#!/usr/bin/env bash
# Formats all C sources in place; with --check only tells what is not formatted, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run -Werror)
git ls-files -z '*.c' '*.h' | xargs -0 clang-format "${mode[@]}"
