# The instruction-set levels (src/base/isa.inc): for each the processor, the compiler's flags and the files of src/ that
# are compiled with them. Files of other processors' levels are left out of the build. Whether a level runs is decided by
# the CPU at run time, so that no other file may be compiled with such flags; skive_check_levels refuses a file that
# belongs to a level, by what it includes or by its name, and is not in its list.
#
# Included by CMakeLists.txt; skive_check_levels also runs in script mode (tests/cli/test_levels.sh):
#   cmake -DROOT=<source folder> -P cmake/levels.cmake

if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
endif()

set(SKIVE_LEVELS avx2 avx512 avx512_vnni amx neon dotprod i8mm)

set(SKIVE_PROCESSOR_avx2 x86_64)
set(SKIVE_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(SKIVE_FILES_avx2
  kernels/attention_avx2.c
  kernels/conv_planes_avx2.c
  kernels/convert_avx2.c
  kernels/depthwise_avx2.c
  kernels/elements_avx2.c
  kernels/fake_quantize_avx2.c
  kernels/int8/few_avx2.c
  kernels/int8/gemm_avx2.c
  kernels/int8/loops_avx2.c
  kernels/int8/shift_avx2.c
  kernels/int8/sparse_avx2.c
  kernels/int8/winograd_avx2.c
  kernels/int8/xnor_avx2.c
  kernels/norm_batch_avx2.c
  kernels/packed_avx2.c
  kernels/pool_conv_weight_avx2.c
  kernels/pool_window_avx2.c
  kernels/recurrent_avx2.c
  kernels/reduce_avx2.c
  kernels/resample_avx2.c
  kernels/rows_avx2.c
  kernels/sgemm_avx2.c
  kernels/sparse/loops_avx2.c
  kernels/unary_avx2.c
  kernels/winograd_conv_avx2.c
  probe/loops_avx2.c
  quant/loops_avx2.c
  share/hashed/indices_avx2.c)

set(SKIVE_PROCESSOR_avx512 x86_64)
set(SKIVE_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c)
set(SKIVE_FILES_avx512
  kernels/attention_avx512.c
  kernels/conv_planes_avx512.c
  kernels/convert_avx512.c
  kernels/depthwise_avx512.c
  kernels/elements_avx512.c
  kernels/fake_quantize_avx512.c
  kernels/int8/few_avx512.c
  kernels/int8/gemm_avx512.c
  kernels/int8/loops_avx512.c
  kernels/int8/shift_avx512.c
  kernels/int8/xnor_avx512.c
  kernels/norm_batch_avx512.c
  kernels/packed_avx512.c
  kernels/pool_max_avx512.c
  kernels/pool_window_avx512.c
  kernels/recurrent_avx512.c
  kernels/reduce_avx512.c
  kernels/resample_avx512.c
  kernels/rows_avx512.c
  kernels/sgemm_avx512.c
  kernels/sparse/loops_avx512.c
  kernels/unary_avx512.c
  kernels/winograd_conv_avx512.c
  kernels/winograd_weight_avx512.c
  probe/loops_avx512.c
  quant/loops_avx512.c
  share/hashed/indices_avx512.c)

# gcc 12 copies the head of a loop whose sums fill the registers and then writes all of them to memory at every step.
set(SKIVE_PROCESSOR_avx512_vnni x86_64)
set(SKIVE_FLAGS_avx512_vnni ${SKIVE_FLAGS_avx512} -mavx512vnni $<$<C_COMPILER_ID:GNU>:-fno-tree-ch>)
set(SKIVE_FILES_avx512_vnni
  kernels/int8/depthwise_vnni.c
  kernels/int8/few_vnni.c
  kernels/int8/gemm_vnni.c
  kernels/int8/sparse_vnni.c
  kernels/int8/xnor_vnni.c)

# gcc 11 and clang 12 are the first that know the tile registers.
set(SKIVE_PROCESSOR_amx x86_64)
set(SKIVE_FLAGS_amx ${SKIVE_FLAGS_avx512} -mamx-tile -mamx-int8)
set(SKIVE_FILES_amx kernels/int8/gemm_amx.c)

# NEON is part of every AArch64 CPU.
set(SKIVE_PROCESSOR_neon aarch64)
set(SKIVE_FLAGS_neon)
set(SKIVE_FILES_neon
  kernels/attention_neon.c
  kernels/conv_planes_neon.c
  kernels/depthwise_neon.c
  kernels/int8/gemm_neon.c
  kernels/int8/loops_neon.c
  kernels/packed_neon.c
  kernels/pool_conv_weight_neon.c
  kernels/pool_window_neon.c
  kernels/sgemm_neon.c
  kernels/sparse/loops_neon.c)

set(SKIVE_PROCESSOR_dotprod aarch64)
set(SKIVE_FLAGS_dotprod -march=armv8.2-a+dotprod)
set(SKIVE_FILES_dotprod kernels/int8/gemm_dotprod.c)

set(SKIVE_PROCESSOR_i8mm aarch64)
set(SKIVE_FLAGS_i8mm -march=armv8.2-a+dotprod+i8mm)
set(SKIVE_FILES_i8mm kernels/int8/gemm_i8mm.c)

# Every file of a level must be in its list, and what is in a list must exist.
function(skive_check_levels root)
  set(listed)
  foreach(level ${SKIVE_LEVELS})
    foreach(file ${SKIVE_FILES_${level}})
      if(NOT EXISTS ${root}/src/${file})
        message(FATAL_ERROR "cmake/levels.cmake: level ${level} lists src/${file}, which does not exist")
      endif()
    endforeach()
    list(APPEND listed ${SKIVE_FILES_${level}})
  endforeach()
  # Headers with instructions of a level make a file that includes them one of the level.
  file(GLOB_RECURSE headers RELATIVE ${root}/src ${root}/src/*.h)
  set(instructions [[(immintrin|x86intrin|[a-z]mmintrin|arm_neon|arm_sve|riscv_vector)\.h]])
  foreach(header ${headers})
    file(STRINGS ${root}/src/${header} lines REGEX "^#[ \t]*include[ \t]*[<\"]${instructions}[>\"]")
    if(lines)
      string(REPLACE "." "\\." pattern ${header})
      string(APPEND instructions "|${pattern}")
    endif()
  endforeach()
  file(GLOB_RECURSE sources RELATIVE ${root}/src ${root}/src/*.c)
  string(REPLACE ";" "|" names "${SKIVE_LEVELS};vnni;amx;sse;sse41")
  foreach(source ${sources})
    if(source IN_LIST listed)
      continue()
    endif()
    file(STRINGS ${root}/src/${source} lines REGEX "^#[ \t]*include[ \t]*[<\"](${instructions})[>\"]")
    if(lines OR source MATCHES "_(${names})\\.c$")
      message(FATAL_ERROR "src/${source} uses instructions of a level or is named after one, but is in no list of "
        "cmake/levels.cmake: it would be compiled without its flags, or run where it must not")
    endif()
  endforeach()
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  skive_check_levels(${ROOT})
  return()
endif()

include(CheckSymbolExists)
check_symbol_exists(__x86_64__ stddef.h SKIVE_IS_X86_64)
check_symbol_exists(__aarch64__ stddef.h SKIVE_IS_AARCH64)
set(SKIVE_PROCESSOR other)
if(SKIVE_IS_X86_64)
  set(SKIVE_PROCESSOR x86_64)
elseif(SKIVE_IS_AARCH64)
  set(SKIVE_PROCESSOR aarch64)
endif()
skive_check_levels(${PROJECT_SOURCE_DIR})

# A level that the compiler does not know is left out.
include(CheckCCompilerFlag)
set(SKIVE_WITH_AMX 0)
if(SKIVE_IS_X86_64)
  check_c_compiler_flag("-mamx-tile -mamx-int8" SKIVE_COMPILES_AMX)
  if(SKIVE_COMPILES_AMX)
    set(SKIVE_WITH_AMX 1)
  else()
    message(STATUS "integer kernels with AMX tiles: left out, the compiler does not know -mamx-tile and -mamx-int8")
    set(SKIVE_PROCESSOR_amx "none, this compiler does not know it")
  endif()
endif()

# What sanitizer builds leave out of files whose loops are written out for every number of rows: clang's checks of undefined
# behaviour take minutes there, and those of addresses too unless they are calls. Fuzzing learns nothing from their branches.
set(SKIVE_LIGHT_CHECKS)
if(SKIVE_SANITIZE MATCHES "undefined")
  list(APPEND SKIVE_LIGHT_CHECKS -fno-sanitize=undefined)
endif()
if(SKIVE_SANITIZE MATCHES "address" AND CMAKE_C_COMPILER_ID MATCHES "Clang")
  list(APPEND SKIVE_LIGHT_CHECKS -mllvm -asan-instrumentation-with-call-threshold=0)
endif()
if(SKIVE_FUZZ)
  list(APPEND SKIVE_LIGHT_CHECKS -fno-sanitize=fuzzer-no-link)
endif()
set(SKIVE_LIGHT_SCALAR kernels/packed_scalar.c kernels/pool_window_scalar.c kernels/sgemm_scalar.c kernels/sparse/loops_scalar.c)

# Removes what other processors' levels list from the variable `sources` (absolute paths) and gives the rest its flags;
# `own` becomes the levels of this processor.
function(skive_apply_levels sources own)
  set(left ${${sources}})
  set(here)
  foreach(level ${SKIVE_LEVELS})
    list(TRANSFORM SKIVE_FILES_${level} PREPEND ${PROJECT_SOURCE_DIR}/src/ OUTPUT_VARIABLE files)
    if(NOT SKIVE_PROCESSOR_${level} STREQUAL SKIVE_PROCESSOR)
      if(files)
        list(REMOVE_ITEM left ${files})
      endif()
      continue()
    endif()
    list(APPEND here ${level})
    foreach(file ${files})
      set(flags ${SKIVE_FLAGS_${level}})
      # Polynomials of one element: a product and a sum in one instruction, which rounds once.
      if(file MATCHES "/(unary|rows)_")
        list(APPEND flags -ffp-contract=fast)
      endif()
      if(file MATCHES "/(winograd_|packed_|sgemm_|sparse/loops_|pool_window_|attention_|elements_|int8/(few|gemm|loops|shift|winograd|xnor|sparse|depthwise)_)")
        list(APPEND flags ${SKIVE_LIGHT_CHECKS})
      endif()
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${flags}")
    endforeach()
  endforeach()
  foreach(file ${SKIVE_LIGHT_SCALAR})
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/${file} PROPERTIES COMPILE_OPTIONS "${SKIVE_LIGHT_CHECKS}")
  endforeach()
  set(${sources} ${left} PARENT_SCOPE)
  set(${own} ${here} PARENT_SCOPE)
endfunction()
