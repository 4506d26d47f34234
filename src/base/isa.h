/* Instruction-set levels of all processors. Code for the levels of all processors is in the same lists; SKV_ON and
 * SKV_AT omit what this build's processor does not have. */
#ifndef SKV_ISA_H
#define SKV_ISA_H

#include <stdbool.h>

typedef enum skv_isa {
    SKV_ISA_SCALAR, /* plain C, on every processor */
#define X(processor, id, name) SKV_ISA_##id,
#include "base/isa.inc"
#undef X
    SKV_ISA_COUNT
} skv_isa;

#if defined(__x86_64__)
#define SKV_ON_X86(...) __VA_ARGS__
#else
#define SKV_ON_X86(...)
#endif
#if defined(__aarch64__)
#define SKV_ON_ARM(...) __VA_ARGS__
#else
#define SKV_ON_ARM(...)
#endif
#define SKV_ON_AVX2        SKV_ON_X86
#define SKV_ON_AVX512      SKV_ON_X86
#define SKV_ON_AVX512_VNNI SKV_ON_X86
#if SKIVE_WITH_AMX
#define SKV_ON_AMX SKV_ON_X86
#else
#define SKV_ON_AMX(...) /* the compiler does not know the instructions */
#endif
#define SKV_ON_NEON    SKV_ON_ARM
#define SKV_ON_DOTPROD SKV_ON_ARM
#define SKV_ON_I8MM    SKV_ON_ARM

/* Expands to the rest of the arguments if the processor has the level, else to nothing. */
#define SKV_ON(level, ...) SKV_ON_##level(__VA_ARGS__)
/* A choice by level, the highest first:
 *     SKV_AT(isa, AVX2, &loops_avx2) SKV_AT(isa, NEON, &loops_neon) SKV_ELSE(isa, &loops_scalar) */
#define SKV_AT(isa, level, item) SKV_ON_##level((isa) >= SKV_ISA_##level ? (item) :)
#define SKV_ELSE(isa, item)      ((void)(isa), (item))

/* Does a CPU of this level include `level`? */
bool skv_isa_has(skv_isa isa, skv_isa level);
bool skv_isa_here(skv_isa level); /* is it a level of the processor of this build? */
const char *skv_isa_name(skv_isa isa);
bool skv_isa_parse(const char *name, skv_isa *out);

skv_isa skv_cpu_isa(void); /* the level of the CPU, capped by SKIVE_ISA (read once) */
skv_isa skv_cpu_isa_hardware(void);

#endif
