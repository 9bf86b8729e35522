// SPDX-License-Identifier: Apache-2.0
// Which backend runs: the best that this processor has, unless use_isa says otherwise.
#include <atomic>
#include <cstdio>
#include <cstring>

#include "float_ops/backend.h"
#include "gemm/backend.h"

namespace hqdit {
namespace {

// Best first.
const Backend* const kCompiled[] = {
#ifdef HQDIT_AMX
    &kAmx,
#endif
#ifdef HQDIT_X86
    &kAvx512Vbmi, &kAvx512Vnni, &kAvxVnni, &kAvx2,
#endif
#ifdef HQDIT_SME2
    &kSme2,
#endif
#ifdef HQDIT_ARM64
    &kI8mm,       &kDotprod,    &kNeon,
#endif
    &kScalar,
};
constexpr int kCount = sizeof(kCompiled) / sizeof(kCompiled[0]);

struct Available {
  const Backend* backends[kCount + 1] = {};
  const char* names[kCount + 1] = {};
  char refusal[64 + 16 * kCount] = "this processor has no such instruction set; it has";

  Available() {
    int count = 0;
    for (const Backend* candidate : kCompiled) {
      if (!candidate->supported()) continue;
      backends[count] = candidate;
      names[count++] = candidate->name;
      const size_t length = std::strlen(refusal);
      std::snprintf(refusal + length, sizeof refusal - length, "%s %s", count > 1 ? "," : "", candidate->name);
    }
  }
};

const Available& available() {
  static const Available instance;
  return instance;
}

std::atomic<const Backend*>& current() {
  static std::atomic<const Backend*> instance{available().backends[0]};
  return instance;
}

}  // namespace

const Backend& backend() { return *current().load(std::memory_order_acquire); }

const Backend* const* available_backends() { return available().backends; }

const FloatBackend& float_backend() { return *backend().float_ops; }

const char* isa() { return backend().name; }

const char* const* available_isas() { return available().names; }

const char* use_isa(const char* name) {
  for (const Backend* const* candidate = available_backends(); *candidate; ++candidate) {
    if (std::strcmp((*candidate)->name, name) != 0) continue;
    current().store(*candidate, std::memory_order_release);
    return nullptr;
  }
  return available().refusal;
}

ParallelFor serial() {
  const auto run = [](void*, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) { fn(arg, 0, count); };
  return {run, nullptr, 1};
}

}  // namespace hqdit
