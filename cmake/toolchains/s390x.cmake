# Builds for s390x, which is big-endian, with Debian's s390x-linux-gnu-gcc; see debian.cmake.
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(SKIVE_TRIPLE s390x-linux-gnu)
set(SKIVE_DEBIAN s390x)
set(SKIVE_QEMU qemu-s390x)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
