// SPDX-License-Identifier: Apache-2.0
// SME2 (Arm C1, Apple A18 and M4): products on the matrix unit by sme2_gemm.cpp; all else is NEON. Streaming mode is
// entered once for up to kMr tokens of a panel. The unit is one for all cores of a cluster, as a rule.
#include "arch/arm/neon_weights.h"
#include "arch/arm/simd_neon.h"
#include "arch/arm/sme2_gemm.h"
#include "float_ops/backend.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"

namespace hqdit {
namespace {

constexpr int kMr = 256;

using Sme2 = NeonQuads<kSmePack>;

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  const int64_t k_padded = stored_inputs(weight.k);
  for (int64_t b = block; b < block + blocks; ++b) {
    CodeReader reader(weight, b);
    for (int64_t k = 0; k < k_padded; k += 16, panel += 256) {
      reader.at(k);
      for (int first = 0; first < 16; first += 4) reader.four_channels(first, panel + 4 * first, 64);
    }
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  std::memcpy(panel, quads, static_cast<size_t>(16 * blocks * k_padded));
}

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  gemv_with(weight, block, t, Sme2::lhs16,
            [](int32x4_t acc, int8x16_t w, int8x16_t token) { return vdotq_s32(acc, w, token); });
}

bool supported() { return has_sme2() && sme2_vector_bytes() <= 4 * kSmePack; }

constexpr Backend make_backend() {
  Backend b;
  b.name = "sme2";
  b.supported = supported;
  b.float_ops = &kFloatNeon;
  b.mr = kMr;
  b.nr = 32;
  b.gemv_rows = 2;
  b.mr_packed = kSmePack;
  b.quantize_pack_lhs = quantize_pack_lhs<Sme2>;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.pack_lhs_row = pack_lhs_row<Sme2>;
  b.gemm = sme2_gemm;
  b.gemv = gemv;
  b.dot_loop = sme2_dot_loop;
  return b;
}

}  // namespace

constexpr Backend kSme2 = make_backend();
static_assert(is_complete(kSme2));

}  // namespace hqdit
