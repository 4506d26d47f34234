# The compiler and the libraries that skive stands on, each with one line of what was found. What is missing and needed
# ends configuring with its name and its Debian package; what is optional is left out with a line of what is lost.

# Messages begin with a space: CMake breaks others into lines.

# ---- the compiler ----
set(least_GNU 11)
set(least_Clang 13)
set(least "${least_${CMAKE_C_COMPILER_ID}}")
if(least STREQUAL "")
  message(WARNING " ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} is not a compiler that skive is tried with; gcc ${least_GNU} or clang ${least_Clang} and newer are")
elseif(CMAKE_C_COMPILER_VERSION VERSION_LESS least)
  message(FATAL_ERROR " ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} is too old: skive needs gcc ${least_GNU} or clang ${least_Clang}")
endif()

# Every operation on floats is rounded to a float: other results than other processors' otherwise. gcc for s390x computes
# in double where the standard's letter is asked for.
include(CheckCSourceCompiles)
set(SKIVE_FLOAT_FLAGS)
set(CMAKE_REQUIRED_QUIET TRUE)
set(plain_floats "#include <float.h>
  #if FLT_EVAL_METHOD != 0
  #error wider
  #endif
  int main(void) { return 0; }")
set(CMAKE_REQUIRED_FLAGS -std=c11)
check_c_source_compiles("${plain_floats}" SKIVE_FLOATS_ARE_FLOATS)
if(NOT SKIVE_FLOATS_ARE_FLOATS)
  set(SKIVE_FLOAT_FLAGS -fexcess-precision=fast)
  set(CMAKE_REQUIRED_FLAGS "-std=c11 ${SKIVE_FLOAT_FLAGS}")
  check_c_source_compiles("${plain_floats}" SKIVE_FAST_FLOATS_ARE_FLOATS)
  if(NOT SKIVE_FAST_FLOATS_ARE_FLOATS)
    message(FATAL_ERROR " ${CMAKE_C_COMPILER} computes with floats in a wider type (FLT_EVAL_METHOD is not 0), which gives other results than skive's; on 32-bit x86, -DCMAKE_C_FLAGS='-msse2 -mfpmath=sse' makes it compute in float")
  endif()
endif()
unset(CMAKE_REQUIRED_FLAGS)
unset(CMAKE_REQUIRED_QUIET)

# ---- needed ----
function(skive_needs found what package)
  if(NOT ${found})
    message(FATAL_ERROR " skive needs ${what}, which is missing (Debian and Ubuntu: apt-get install ${package})")
  endif()
endfunction()

find_package(PkgConfig QUIET)
skive_needs(PkgConfig_FOUND "pkg-config" pkg-config)
find_package(Threads REQUIRED)
find_package(ZLIB QUIET)
skive_needs(ZLIB_FOUND "zlib" zlib1g-dev)
pkg_check_modules(PROTOBUF_C QUIET libprotobuf-c)
skive_needs(PROTOBUF_C_FOUND "protobuf-c" libprotobuf-c-dev)
if(SKIVE_COMMAND OR SKIVE_TESTS)
  pkg_check_modules(JANSSON QUIET jansson)
  skive_needs(JANSSON_FOUND "jansson (needed by the command, -DSKIVE_COMMAND=OFF leaves it out)" libjansson-dev)
endif()
find_program(PROTOC_C protoc-c)
skive_needs(PROTOC_C "protoc-c, the compiler of protobuf-c," protobuf-c-compiler)
find_path(ONNX_PROTO_DIR onnx.proto PATHS /usr/include/onnx PATH_SUFFIXES onnx)
skive_needs(ONNX_PROTO_DIR "onnx.proto, the schema of ONNX files," libonnx-dev)

# ---- optional ----
include(${CMAKE_CURRENT_LIST_DIR}/switch.cmake)
# skive_optional(NAME WHAT LOST TARGET): the switch SKIVE_NAME, AUTO (used where it is found), ON (required) or OFF;
# sets SKIVE_WITH_NAME to 1 or 0, and SKIVE_NAME_LIBRARY to what is linked: the target, or what the .pc file of
# "pkg-config:MODULE" names
macro(skive_optional name what lost target)
  set(SKIVE_${name} AUTO CACHE STRING "${what}: AUTO (used where it is found), ON (required), OFF (left out)")
  set_property(CACHE SKIVE_${name} PROPERTY STRINGS AUTO ON OFF)
  skive_check_switch(${name})
  set(SKIVE_WITH_${name} 0)
  set(SKIVE_${name}_LIBRARY "")
  if(SKIVE_${name} STREQUAL "AUTO" OR SKIVE_${name})
    if("${target}" MATCHES "^pkg-config:(.*)$") # its CMake package is not installed everywhere, its .pc file is
      pkg_check_modules(${name} QUIET ${CMAKE_MATCH_1})
      set(library ${${name}_LINK_LIBRARIES})
    else()
      find_package(${name} QUIET)
      set(library ${target})
    endif()
    if(${name}_FOUND)
      set(SKIVE_WITH_${name} 1)
      set(SKIVE_${name}_LIBRARY ${library})
    elseif(NOT SKIVE_${name} STREQUAL "AUTO")
      message(FATAL_ERROR " ${what} is missing. -DSKIVE_${name}=OFF builds without it: ${lost}.")
    endif()
  endif()
  if(NOT SKIVE_WITH_${name})
    message(STATUS "${what}: left out; ${lost}")
  endif()
endmacro()
skive_optional(PNG libpng "PNG images are not read" PNG::PNG)
skive_optional(JPEG libjpeg-turbo "JPEG images are not read" JPEG::JPEG)
skive_optional(SNDFILE libsndfile "sounds (WAV, FLAC, Ogg) are not read" pkg-config:sndfile)
skive_optional(LAPACKE LAPACKE "matrices are factorized by skive's own code, slower" "pkg-config:lapacke")

# OpenMP comes with the compiler: it is there when a program with a parallel region can be linked.
set(SKIVE_OPENMP AUTO CACHE STRING "OpenMP: AUTO (used where the compiler has it), ON (required), OFF (one thread)")
set_property(CACHE SKIVE_OPENMP PROPERTY STRINGS AUTO ON OFF)
skive_check_switch(OPENMP)
set(SKIVE_WITH_OPENMP 0)
if(SKIVE_OPENMP STREQUAL "AUTO" OR SKIVE_OPENMP)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fopenmp)
  set(CMAKE_REQUIRED_QUIET TRUE)
  check_c_source_compiles("#include <omp.h>
    int main(void) { int n = 0;
    #pragma omp parallel reduction(+ : n)
    n += omp_get_num_threads(); return n == 0; }" SKIVE_OPENMP_LINKS)
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_QUIET)
  if(SKIVE_OPENMP_LINKS)
    set(SKIVE_WITH_OPENMP 1)
  elseif(NOT SKIVE_OPENMP STREQUAL "AUTO")
    message(FATAL_ERROR " ${CMAKE_C_COMPILER} cannot link OpenMP. -DSKIVE_OPENMP=OFF builds without it: one thread.")
  endif()
endif()
if(NOT SKIVE_WITH_OPENMP)
  message(STATUS "OpenMP: left out; everything runs on one thread")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/onednn.cmake)
