// SPDX-License-Identifier: Apache-2.0
#include "gemm/processor.h"

#ifdef HQDIT_X86
#include <cpuid.h>
#endif
#ifdef HQDIT_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif
#ifdef HQDIT_ARM64
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace hqdit {

bool always() { return true; }

#ifdef HQDIT_X86
namespace {

struct Leaf {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

/// CPUID leaf 7, all zeros where the processor has no such subleaf.
Leaf features(unsigned subleaf) {
  Leaf leaf;
  if (!__get_cpuid_count(7, subleaf, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx)) return {};
  return leaf;
}

}  // namespace

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avxvnni() {
  // Compilers of our age do not know the name "avxvnni".
  constexpr unsigned kAvxVnni = 1u << 4;
  return has_avx2() && __builtin_cpu_supports("bmi2") && (features(1).eax & kAvxVnni) != 0;
}

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

bool has_avx512vbmi() {
  return has_avx512vnni() && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni");
}
#endif

#ifdef HQDIT_AMX
namespace {

/// The operating system saves tiles (XCR0), and lets this process use them: Linux asks each to request it.
bool tiles_permitted() {
  constexpr uint32_t kTileState = 3u << 17;
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  uint32_t low;
  uint32_t high;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool has_amx() {
  constexpr unsigned kTilesAndInt8 = 3u << 24;
  return has_avx512vbmi() && (features(0).edx & kTilesAndInt8) == kTilesAndInt8 && tiles_permitted();
}
#endif

#ifdef HQDIT_ARM64
#if defined(__linux__)
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#ifdef HWCAP2_I8MM
bool has_i8mm() { return has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
#else
bool has_i8mm() { return false; }
#endif
#elif defined(__APPLE__)
namespace {

bool feature(const char* name) {
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname(name, &has, &size, nullptr, 0) == 0 && has != 0;
}

}  // namespace

bool has_dotprod() { return feature("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return has_dotprod() && feature("hw.optional.arm.FEAT_I8MM"); }
#else
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }
#endif
#endif

#ifdef HQDIT_SME2
namespace {

bool system_says_sme2() {
#if defined(__linux__)
  // Numbers of asm/hwcap.h, which is older than SME2 in some toolchains.
  constexpr unsigned long kHwcapSve = 1ul << 22;
  constexpr unsigned long kHwcap2Sme2 = 1ul << 37;
#ifdef HQDIT_SME2_NEEDS_SVE
  if ((getauxval(AT_HWCAP) & kHwcapSve) == 0) return false;
#else
  static_cast<void>(kHwcapSve);
#endif
  return (getauxval(AT_HWCAP2) & kHwcap2Sme2) != 0;
#elif defined(__APPLE__)
  return feature("hw.optional.arm.FEAT_SME2");
#else
  return false;
#endif
}

}  // namespace

bool has_sme2() {
  const char* denied = std::getenv("HQDIT_NO_SME");
  if (denied && *denied && std::strcmp(denied, "0") != 0) return false;
  return has_dotprod() && system_says_sme2();
}
#endif

}  // namespace hqdit
