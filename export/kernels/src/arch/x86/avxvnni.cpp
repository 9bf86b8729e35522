// SPDX-License-Identifier: Apache-2.0
// AVX-VNNI, the 256-bit VPDPBUSD of processors without AVX-512: unsigned by signed bytes, so the panel holds w + 128
// and each row's accumulators start at -128 sum(a). Panel: uint8 [k_padded / 4][16][4], one 16-channel block.
#include "arch/x86/avx2_channels.h"
#include "arch/x86/decode.h"
#include "arch/x86/gemv256.h"
#include "arch/x86/memory.h"
#include "arch/x86/pairs_by_ids.h"
#include "arch/x86/simd_avx2.h"
#include "float_ops/backend.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

constexpr int kMr = 6;

struct AvxVnni : Avx2 {
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(lhs.data + row * lhs.stride + k), bytes);
  }
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t k_padded) {
    const uint8_t* a = lhs.data + row * lhs.stride;
    __m256i sum = _mm256_setzero_si256();
    for (int64_t k = 0; k < k_padded; k += 32) {
      sum = _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi8(1), load256(a + k));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    lhs.offset[row] = -128 * _mm_cvtsi128_si32(half);
  }
};

struct Gemv : Gemv256 {
  using Pairs = PairsByIds<Operand::kRaisedBy128>;

  template <int Rows>
  struct Inputs {
    Vector halves[Rows][2];

    Inputs(const Tile& t, int64_t k) {
      unroll<Rows>([&](int r) {
        unroll<2>([&](int half) { halves[r][half] = both_lanes(t.lhs + r * t.lhs_stride + k + 16 * half); });
      });
    }

    static Vector codes(const uint8_t* p) { return load(p); }
    Vector add_products(Vector sums, Vector w, int row, int half) const {
      return _mm256_dpbusd_avx_epi32(sums, w, halves[row][half]);
    }
  };
};

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  decode_channels<Gemv>(weight, block, [&](int64_t k, const __m256i(&w)[8]) {
    for (int i = 0; i < 2; ++i) {
      __m256i quads[4];
      transpose_in_lanes(w + 4 * i, quads);
      unroll<4>([&](int j) { store256(panel + 16 * k + 64 * j + 32 * i, channels_in_order(quads[j])); });
    }
  });
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  for (int64_t i = 0; i < 16 * k_padded; i += 32) {
    store256(panel + i, _mm256_xor_si256(load256(quads + i), _mm256_set1_epi8(-128)));
  }
}

template <int Rows>
[[gnu::flatten]] void gemm_tile(const Tile& t) {
  __m256i acc[Rows][2];
  unroll<Rows>([&](int r) { acc[r][0] = acc[r][1] = _mm256_set1_epi32(t.offset[r]); });
  const uint8_t* a = t.lhs;
  const uint8_t* w = t.panel;
  for (int64_t k = 0; k < t.k_padded; k += 4, a += 4, w += 64) {
    const __m256i first = load256(w);
    const __m256i second = load256(w + 32);
    unroll<Rows>([&](int r) {
      int32_t quad;
      std::memcpy(&quad, a + r * t.lhs_stride, sizeof quad);
      const __m256i token = _mm256_set1_epi32(quad);
      acc[r][0] = _mm256_dpbusd_avx_epi32(acc[r][0], first, token);
      acc[r][1] = _mm256_dpbusd_avx_epi32(acc[r][1], second, token);
    });
  }
  unroll<Rows>([&](int r) {
    finish(acc[r][0], t, r, 0);
    finish(acc[r][1], t, r, 8);
  });
}

void gemm(const Tile& t) {
  with_count<kMr>(t.rows, [&](auto rows) { gemm_tile<rows>(t); });
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<12, __m256i>(rounds, 32, [](__m256i acc, __m256i a) { return _mm256_dpbusd_avx_epi32(acc, a, a); });
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "avxvnni";
  b.supported = has_avxvnni;
  b.float_ops = &kFloatAvx2;
  b.mr = kMr;
  b.gemv_rows = kGemvRows;
  b.quantize_pack_lhs = quantize_pack_lhs<AvxVnni>;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.pack_lhs_row = pack_lhs_row<AvxVnni>;
  b.gemm = gemm;
  b.gemv = gemv<Gemv>;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kAvxVnni = make_backend();
static_assert(is_complete(kAvxVnni));

}  // namespace hqdit
