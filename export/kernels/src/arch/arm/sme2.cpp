// SPDX-License-Identifier: Apache-2.0
// SME2 (Arm C1, Apple A18 and M4): products on the matrix unit by sme2_gemm.cpp; all else is NEON. Streaming mode is
// entered once for up to kMr tokens of a panel. The unit is one for all cores of a cluster, as a rule.
#include "arch/arm/neon_backend.h"
#include "arch/arm/sdot.h"
#include "arch/arm/sme2_gemm.h"

namespace hqdit {
namespace {

constexpr int kMr = 256;

struct Sme2 : NeonQuads<kSmePack>, Sdot {};

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  const int64_t k_padded = stored_inputs(weight.k);
  for (int64_t b = block; b < block + blocks; ++b) {
    CodeReader reader(weight, b);
    for (int64_t k = 0; k < k_padded; k += 32, panel += 512) {
      reader.at(k);
      for (int first = 0; first < 16; first += 4) reader.four_channels(first, panel + 4 * first, 64);
    }
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  std::memcpy(panel, quads, static_cast<size_t>(16 * blocks * k_padded));
}

bool supported() { return has_sme2() && sme2_vector_bytes() <= 4 * kSmePack; }

constexpr Backend make_backend() {
  Backend b = neon_backend<Sme2>();
  b.name = "sme2";
  b.supported = supported;
  b.mr = kMr;
  b.nr = 32;
  b.mr_packed = kSmePack;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.gemm = sme2_gemm;
  b.dot_loop = sme2_dot_loop;
  return b;
}

}  // namespace

constexpr Backend kSme2 = make_backend();
static_assert(is_complete(kSme2));

}  // namespace hqdit
