// SPDX-License-Identifier: Apache-2.0
// AVX-512 VNNI: VPDPBUSD multiplies unsigned by signed bytes, so the panel holds w + 128 and each row's accumulators
// start at -128 sum(a). Panel: uint8 [k_padded / 4][blocks][16][4].
#include "arch/x86/avx512vnni.h"

#include "arch/x86/avx512_gemv.h"
#include "arch/x86/decode.h"
#include "arch/x86/simd_avx512.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

using Tokens = Avx512<PlaceInRow>;

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b) {
    decode_channels<GemvAvx512<PlaceInRow>>(weight, block + b, [&](int64_t k, const __m512i(&w)[4]) {
      __m512i quads[4];
      transpose_in_lanes(w, quads);
      unroll<4>(
          [&](int j) { _mm512_storeu_si512(panel + ((k / 4 + j) * blocks + b) * 64, channels_in_order(quads[j])); });
    });
  }
}

template <int Rows, int Blocks>
[[gnu::flatten]] void gemm_tile(const Tile& t) {
  __m512i acc[Rows][Blocks];
  unroll<Rows>([&](int r) { unroll<Blocks>([&](int b) { acc[r][b] = _mm512_set1_epi32(t.offset[r]); }); });
  const uint8_t* a = t.lhs;
  const uint8_t* w = t.panel;
  const auto multiply_to = [&](const uint8_t* end) {
    for (; a != end; a += 4, w += 64 * Blocks) {
      __m512i weights[Blocks];
      unroll<Blocks>([&](int b) { weights[b] = _mm512_loadu_si512(w + 64 * b); });
      unroll<Rows>([&](int r) {
        int32_t quad;
        std::memcpy(&quad, a + r * t.lhs_stride, sizeof quad);
        const __m512i token = _mm512_set1_epi32(quad);
        unroll<Blocks>([&](int b) { acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], weights[b], token); });
      });
    }
  };
  // Asks for a few lines of the output at a time: all at once would be in the way of the panel's. Were they missing at
  // the end, the next tile's loads would wait for the stores, since addresses are first compared modulo 4 KiB.
  // Attention's short products end in memory that is at hand.
  constexpr int64_t kShort = 256;
  const int parts = t.k_padded > kShort ? Rows : 1;
  const int64_t part = t.k_padded / (4 * Rows) * 4;
  for (int r = 0; r < parts; ++r) {
    if (parts > 1) unroll<Blocks>([&](int b) { __builtin_prefetch(t.out + r * t.out_stride + 16 * b, 1); });
    multiply_to(r + 1 == parts ? t.lhs + t.k_padded : a + part);
  }
  unroll<Blocks>([&](int b) {
    const Finish finish(t, b);
    unroll<Rows>([&](int r) { finish(r, acc[r][b]); });
  });
}

}  // namespace

void vnni_pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < k_padded / 4; ++k, quads += 64) {
      const __m512i row = _mm512_xor_si512(_mm512_loadu_si512(quads), _mm512_set1_epi8(-128));
      _mm512_storeu_si512(panel + (k * blocks + b) * 64, row);
    }
  }
}

void vnni_quantize_pack_lhs(const TokenStep& step, const TokenRows& x, int64_t row, const PackedLhs& lhs,
                            float* scratch) {
  quantize_pack_lhs<Tokens>(step, x, row, lhs, scratch);
}

void vnni_pack_lhs_row(const float* values, int64_t k_padded, int64_t row, const PackedLhs& lhs) {
  pack_lhs_row<Tokens>(values, k_padded, row, lhs);
}

void vnni_gemm(const Tile& t) {
  with_count<kVnniNr / 16>(
      t.blocks, [&](auto blocks) { with_count<kVnniMr>(t.rows, [&](auto rows) { gemm_tile<rows, blocks>(t); }); });
}

int64_t vnni_dot_loop(int64_t rounds) {
  return run_chains<24, __m512i>(rounds, 64, [](__m512i acc, __m512i a) { return _mm512_dpbusd_epi32(acc, a, a); });
}

namespace {

constexpr Backend make_backend() {
  Backend b = vnni_backend();
  b.name = "avx512vnni";
  b.supported = has_avx512vnni;
  b.decode_rhs_panel = decode_rhs_panel;
  b.gemv = gemv<GemvAvx512<PlaceInRow>>;
  return b;
}

}  // namespace

constexpr Backend kAvx512Vnni = make_backend();
static_assert(is_complete(kAvx512Vnni));

}  // namespace hqdit
