/* The instruction set level of the CPU, capped by the environment variable SKIVE_ISA.
 *
 * A level counts only if the operating system saves its registers too (XGETBV); for AMX the process must ask the kernel
 * for permission first. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

typedef enum processor { ANY, X86, ARM } processor;

typedef struct level_text {
    const char *name;
    processor processor;
    bool here;
    const char *absent; /* message if SKIVE_ISA requests a level that is not available */
} level_text;

static const level_text levels[SKV_ISA_COUNT] = {
    {"scalar", ANY, true, ""},
#define X(of, id, name) {name, of, SKV_ON_##of(true ||) false, "SKIVE_ISA asks for " name ", which this CPU lacks"},
#include "base/isa.inc"
#undef X
};

const char *skv_isa_name(skv_isa isa) { return (int)isa >= 0 && isa < SKV_ISA_COUNT ? levels[isa].name : "unknown"; }

bool skv_isa_parse(const char *name, skv_isa *out) {
    for (int i = 0; i < SKV_ISA_COUNT; i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *out = (skv_isa)i;
            return true;
        }
    }
    return false;
}

bool skv_isa_here(skv_isa level) { return (int)level >= 0 && level < SKV_ISA_COUNT && levels[level].here; }

bool skv_isa_has(skv_isa isa, skv_isa level) {
    return level == SKV_ISA_SCALAR || (level <= isa && levels[level].processor == levels[isa].processor);
}

#if defined(__x86_64__)

typedef struct cpuid_leaf {
    unsigned eax, ebx, ecx, edx;
} cpuid_leaf;

static cpuid_leaf leaf(unsigned number, unsigned sub) {
    cpuid_leaf r = {0, 0, 0, 0};
    (void)__get_cpuid_count(number, sub, &r.eax, &r.ebx, &r.ecx, &r.edx); /* zero if there is no such leaf */
    return r;
}

static bool all(unsigned word, unsigned bits) { return (word & bits) == bits; }

static uint64_t xcr0(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool amx_permission(void) {
    enum { REQUEST_XCOMP = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, REQUEST_XCOMP, TILE_DATA) == 0;
}

skv_isa skv_cpu_isa_hardware(void) {
    cpuid_leaf one = leaf(1, 0), seven = leaf(7, 0), seven1 = leaf(7, 1);
    if (!all(one.ecx, 1u << 27 | 1u << 28 | 1u << 12)) return SKV_ISA_SCALAR; /* OSXSAVE, AVX, FMA */
    uint64_t saved = xcr0();
    if ((saved & 0x6) != 0x6 || !all(seven.ebx, 1u << 5)) return SKV_ISA_SCALAR;
    /* F, DQ, BW, VL; opmask and ZMM state */
    if ((saved & 0xe0) != 0xe0 || !all(seven.ebx, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)) return SKV_ISA_AVX2;
    if (!all(seven.ecx, 1u << 11)) return SKV_ISA_AVX512;
    if (!all(seven1.eax, 1u << 5)) return SKV_ISA_AVX512_VNNI;
    /* AMX-BF16, AMX-TILE, AMX-INT8; tile configuration and data state */
    if (!all(seven.edx, 1u << 22 | 1u << 24 | 1u << 25) || (saved & 0x60000) != 0x60000 || !amx_permission()) {
        return SKV_ISA_AVX512_BF16;
    }
    return SKV_ISA_AMX;
}

#elif defined(__aarch64__)

skv_isa skv_cpu_isa_hardware(void) {
#if defined(__linux__)
    enum { ASIMDDP = 20, I8MM = 13 }; /* bits of AT_HWCAP and AT_HWCAP2 */
    if (!(getauxval(AT_HWCAP) >> ASIMDDP & 1)) return SKV_ISA_NEON;
    return getauxval(AT_HWCAP2) >> I8MM & 1 ? SKV_ISA_I8MM : SKV_ISA_DOTPROD;
#else
    return SKV_ISA_NEON; /* what every AArch64 CPU has */
#endif
}

#else

skv_isa skv_cpu_isa_hardware(void) { return SKV_ISA_SCALAR; }

#endif

const char *skive_cpu_isa_problem(void) {
    const char *text = getenv("SKIVE_ISA");
    skv_isa isa;
    if (!text || !*text) return NULL;
#define X(of, id, name) SKV_ON_##of(", " name)
    if (!skv_isa_parse(text, &isa))
        return "SKIVE_ISA must be one of scalar"
#include "base/isa.inc"
            ;
#undef X
    return skv_isa_has(skv_cpu_isa_hardware(), isa) ? NULL : levels[isa].absent;
}

skv_isa skv_cpu_isa(void) {
    /* Written once with a value that is the same for every thread; CPUID is too slow for each call. */
    static atomic_int known = -1;
    int level = atomic_load_explicit(&known, memory_order_relaxed);
    if (level >= 0) return (skv_isa)level;
    skv_isa isa = skv_cpu_isa_hardware(), cap;
    const char *text = getenv("SKIVE_ISA");
    if (text && skv_isa_parse(text, &cap) && skv_isa_has(isa, cap)) isa = cap;
    int none = -1;
    if (!atomic_compare_exchange_strong(&known, &none, (int)isa)) isa = (skv_isa)none;
    return isa;
}

const char *skive_cpu_isa_name(void) { return skv_isa_name(skv_cpu_isa()); }
