// SPDX-License-Identifier: Apache-2.0
// AVX2: VPMADDUBSW multiplies unsigned by signed bytes and adds pairs at 16 bits. Tokens are a + 128, weights in two
// levels (two_level.h), so that sums of 8 or 16 inputs fit; VPMADDWD by the multipliers brings them to 32 bits.
#include "arch/x86/avx2_channels.h"
#include "arch/x86/avx2_gemv.h"
#include "arch/x86/avx2_panel.h"
#include "arch/x86/simd_avx2.h"
#include "float_ops/backend.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

// Tokens of a tile and one block's weights stay in the first-level cache while they meet, kLoopRows at a time: so many
// leave no register of the inner loop free.
constexpr int kLoopRows = 3;
constexpr int kMr = 4 * kLoopRows;
constexpr int kNr = 48;

struct Tokens : Avx2 {
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t k_padded) {
    interleave_halves(lhs.data + row * lhs.stride, k_padded);
    lhs.offset[row] = 0;
  }
  static __m256i inputs(const uint8_t* a) { return in_order(_mm256_xor_si256(load256(a), _mm256_set1_epi8(-128))); }
};

/// a + b at 16 bits, in this place: compilers would add four products in pairs and have no registers for them.
__m256i added(__m256i a, __m256i b) {
  __m256i sum = _mm256_add_epi16(a, b);
  asm("" : "+x"(sum));
  return sum;
}

/// The outputs of `Rows` tokens and 16 channels. A call would take the sums through memory.
template <int Rows>
[[gnu::always_inline]] inline void finish_rows(const __m256i (&acc)[Rows][2], const Tile& t) {
  if (t.channels < 16) {
    unroll<Rows>([&](int r) {
      finish(acc[r][0], t, r, 0);
      if (t.channels > 8) finish(acc[r][1], t, r, 8);
    });
    return;
  }
  const __m256 scale[2] = {_mm256_loadu_ps(t.scale), _mm256_loadu_ps(t.scale + 8)};
  const __m256 bias[2] = {_mm256_loadu_ps(t.bias), _mm256_loadu_ps(t.bias + 8)};
  const Tile to = t;  // which no output can overwrite, for all that a compiler knows
  unroll<Rows>([&](int r) {
    const __m256 token = _mm256_set1_ps(to.token_scale[r]);
    unroll<2>([&](int i) {
      const __m256 y = _mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[r][i]), scale[i]), token);
      _mm256_storeu_ps(to.out + r * to.out_stride + 8 * i, _mm256_add_ps(y, bias[i]));
    });
  });
}

/// Two products before either is added: a processor that deals its instructions out to two halves in turn, each with a
/// multiplier, then keeps both busy.
void both_first(__m256i& a, __m256i& b) { asm("" : "+x"(a), "+x"(b)); }

/// Products that may be added at 16 bits, a divisor of a Step's 8.
constexpr int quads_together(Kind kind) { return kind == Kind::kLarge ? 1 : kind == Kind::kSmall ? 4 : 8; }

template <int Rows, Kind kKind>
[[gnu::flatten]] void gemm_tile(const Tile& t) {
  constexpr int kQuads = quads_together(kKind);
  const Header* header = reinterpret_cast<const Header*>(t.panel);
  __m256i acc[Rows][2];
  unroll<Rows>([&](int r) { unroll<2>([&](int i) { acc[r][i] = load256(header->start + 8 * i); }); });
  const Step* step = reinterpret_cast<const Step*>(header + 1);
  const uint8_t* a = t.lhs;
  const auto add_quads = [&](int first) {
    __m256i pairs[Rows][2];
    unroll<kQuads>([&](auto j) {
      const __m256i grid[2] = {load256(step->grid[first + j][0]), load256(step->grid[first + j][8])};
      unroll<Rows>([&](int r) {
        int32_t quad;
        std::memcpy(&quad, a + r * t.lhs_stride + 4 * (first + j), sizeof quad);
        const __m256i token = _mm256_set1_epi32(quad);
        __m256i low = _mm256_maddubs_epi16(token, grid[0]);
        __m256i high = _mm256_maddubs_epi16(token, grid[1]);
        both_first(low, high);
        pairs[r][0] = j == 0 ? low : added(pairs[r][0], low);
        pairs[r][1] = j == 0 ? high : added(pairs[r][1], high);
      });
    });
    unroll<Rows>([&](int r) {
      __m256i low = _mm256_madd_epi16(pairs[r][0], load256(step->multiplier[0]));
      __m256i high = _mm256_madd_epi16(pairs[r][1], load256(step->multiplier[8]));
      both_first(low, high);
      acc[r][0] = _mm256_add_epi32(acc[r][0], low);
      acc[r][1] = _mm256_add_epi32(acc[r][1], high);
    });
  };
  // One turn after the other: compilers load the weights of two together, and have no registers for them.
  for (int64_t left = t.k_padded / 32 * (kKind == Kind::kSplit ? 2 : 1); left > 0; --left, ++step) {
#pragma GCC unroll 1
    for (int first = 0; first < 8; first += kQuads) add_quads(first);
    // Both parts of a weight meet the same inputs.
    a += kKind == Kind::kSplit ? left % 2 * 32 : 32;
  }
  finish_rows(acc, t);
}

template <Kind kKind>
void multiply_block(Tile t) {
  for (; t.rows >= kLoopRows; t.rows -= kLoopRows) {
    gemm_tile<kLoopRows, kKind>(t);
    t.lhs += kLoopRows * t.lhs_stride;
    t.token_scale += kLoopRows;
    t.out += kLoopRows * t.out_stride;
  }
  if (t.rows > 0) with_count<kLoopRows - 1>(t.rows, [&](auto rows) { gemm_tile<rows, kKind>(t); });
}

void gemm(const Tile& t) {
  for (int b = 0; b < t.blocks; ++b) {
    Tile part = t;
    part.panel += b * block_bytes(t.k_padded);
    part.scale += 16 * b;
    part.bias += 16 * b;
    part.out += 16 * b;
    part.channels -= 16 * b;
    switch (reinterpret_cast<const Header*>(part.panel)->kind) {
      case Kind::kWide:
        multiply_block<Kind::kWide>(part);
        break;
      case Kind::kSmall:
        multiply_block<Kind::kSmall>(part);
        break;
      case Kind::kLarge:
        multiply_block<Kind::kLarge>(part);
        break;
      case Kind::kSplit:
        multiply_block<Kind::kSplit>(part);
        break;
    }
  }
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<12, __m256i>(
      rounds, 32, [](__m256i acc, __m256i a) { return _mm256_add_epi16(acc, _mm256_maddubs_epi16(acc, a)); });
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "avx2";
  b.supported = has_avx2;
  b.float_ops = &kFloatAvx2;
  b.mr = kMr;
  b.nr = kNr;
  b.gemv_rows = kGemvRows;
  b.panel_header_bytes = sizeof(Header);
  b.panel_input_bytes = 2 * sizeof(Step) / 32;
  b.quantize_pack_lhs = quantize_pack_lhs<Tokens>;
  b.prepare_gemv_lhs = prepare_gemv_lhs<Tokens>;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.pack_lhs_row = pack_lhs_row<Tokens>;
  b.gemm = gemm;
  b.gemv = gemv<GemvAvx2>;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kAvx2 = make_backend();
static_assert(is_complete(kAvx2));

}  // namespace hqdit
