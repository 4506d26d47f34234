#!/usr/bin/env bash
# What must hold on other processors, emulated: the command and a set of tests on an x86-64 of 2008, on AArch64 and on
# s390x, which is big-endian, and the same bytes there as here. Takes about 20 minutes on two cores; before a release, and
# after changes of kernels, readers, writers or coders.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset ci >/dev/null
cmake --build build-ci -j "$(nproc)"
scripts/old_x86.sh build-ci || [ $? = 77 ]
scripts/cross_test.sh aarch64 build-ci/skive || [ $? = 77 ]
scripts/cross_test.sh --files s390x build-ci/skive || [ $? = 77 ]
echo "test_machines: all of it holds"
