# Builds for riscv64 with Debian's riscv64-linux-gnu-gcc; see debian.cmake.
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(SKIVE_TRIPLE riscv64-linux-gnu)
set(SKIVE_DEBIAN riscv64)
set(SKIVE_QEMU qemu-riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
