# Builds for riscv64 with Debian's riscv64-linux-gnu-gcc; see debian.cmake.
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(SKIVE_TRIPLE riscv64-linux-gnu)
set(SKIVE_DEBIAN riscv64)
set(SKIVE_QEMU qemu-riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
# Debian 12 has no libraries for riscv64: those of Debian 13 ask for a newer C library than the cross compiler's. It lies
# beside them, and is what the programs run with.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--allow-shlib-undefined")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,--allow-shlib-undefined")
