# Builds for aarch64 with Debian's aarch64-linux-gnu-gcc; see debian.cmake.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(SKIVE_TRIPLE aarch64-linux-gnu)
set(SKIVE_DEBIAN arm64)
set(SKIVE_QEMU qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
