#!/usr/bin/env bash
# The sources of the current commit as an archive that builds without git: skive-VERSION.tar.gz, the same bytes for the same commit.
# Usage: dist.sh [FOLDER]     FOLDER: where it is written (default: the top of the sources)
set -euo pipefail
out=$(cd "${1:-$(dirname "$0")/..}" && pwd)
cd "$(dirname "$0")/.."
version=$(sed -n 's/^project(skive VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
git rev-parse --git-dir >/dev/null 2>&1 || { echo "dist: this is no clone; an archive is made from a commit" >&2; exit 1; }
git diff --quiet HEAD || echo "dist: what is not committed is left out" >&2
git archive --format=tar --prefix="skive-$version/" HEAD | gzip -n9 >"$out/skive-$version.tar.gz"
echo "wrote $out/skive-$version.tar.gz"
