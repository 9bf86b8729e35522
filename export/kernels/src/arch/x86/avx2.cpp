// SPDX-License-Identifier: Apache-2.0
// AVX2: VPMADDUBSW would saturate at int16, so both sides are int16 and VPMADDWD adds pairs into int32.
// Panel: int16 [k_padded / 2][16][2], one 16-channel block.
#include "arch/x86/avx2_channels.h"
#include "arch/x86/simd_avx2.h"
#include "float_ops/backend.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

constexpr int kTileRows = 6;

/// In each 128-bit lane, the 8 x 8 matrix of 16-bit elements transposed: out[j] element i = in[i] element j.
void transpose_in_lanes(const __m256i in[8], __m256i out[8]) {
  __m256i pairs[8];
  __m256i quads[8];
  for (int i = 0; i < 4; ++i) {
    pairs[i] = _mm256_unpacklo_epi16(in[2 * i], in[2 * i + 1]);
    pairs[i + 4] = _mm256_unpackhi_epi16(in[2 * i], in[2 * i + 1]);
  }
  for (int i = 0; i < 8; i += 2) {
    quads[i] = _mm256_unpacklo_epi32(pairs[i], pairs[i + 1]);
    quads[i + 1] = _mm256_unpackhi_epi32(pairs[i], pairs[i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      out[4 * i + 2 * j] = _mm256_unpacklo_epi64(quads[4 * i + j], quads[4 * i + 2 + j]);
      out[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(quads[4 * i + j], quads[4 * i + 2 + j]);
    }
  }
}

void unpack(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  const int64_t k_padded = padded_inputs(weight.k);
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  const uint8_t* ids = weight.tables + block * groups * 16;
  const __m256i low_bits = _mm256_set1_epi8(15);
  int64_t next_group = weight.group;
  __m256i luts[8];
  sixteen_tables(ids, luts);
  for (int64_t k = 0; k < k_padded; k += 16) {
    if (k == next_group && k < weight.k) {
      sixteen_tables(ids += 16, luts);
      next_group += weight.group;
    }
    __m256i w[8];
    for (int i = 0; i < 8; ++i) {
      const uint8_t* row = codes + k / 32 * 256 + 16 * i;
      __m256i pair = _mm256_set_m128i(load128(row + 128), load128(row));
      if (k % 32 == 16) pair = _mm256_srli_epi16(pair, 4);
      w[i] = _mm256_shuffle_epi8(luts[i], _mm256_and_si256(pair, low_bits));
    }
    __m256i two_inputs[8];
    transpose_in_lanes(w, two_inputs);
    for (int j = 0; j < 8; ++j, panel += 64) {
      const __m256i first = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(two_inputs[j]));
      const __m256i second = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(two_inputs[j], 1));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel), first);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + 32), second);
    }
  }
}

void pack(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  const __m256i pairs_apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9,
                                               12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  for (int64_t k = 0; k < k_padded; k += 4, quads += 64, panel += 128) {
    for (int half = 0; half < 2; ++half) {
      const __m256i eight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(quads + 32 * half));
      const __m256i apart = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(eight, pairs_apart), 0xD8);
      __m256i* to = reinterpret_cast<__m256i*>(panel + 32 * half);
      _mm256_storeu_si256(to, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(apart)));
      _mm256_storeu_si256(to + 2, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(apart, 1)));
    }
  }
}

template <int Rows>
void tile_of(const Tile& t) {
  __m256i acc[Rows][2];
  unroll<Rows>([&](int r) { acc[r][0] = acc[r][1] = _mm256_setzero_si256(); });
  const uint8_t* a = t.left;
  const uint8_t* w = t.panel;
  for (int64_t k = 0; k < t.k_padded; k += 2, a += 4, w += 64) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32));
    unroll<Rows>([&](int r) {
      int32_t pair;
      std::memcpy(&pair, a + r * t.left_stride, sizeof pair);
      const __m256i token = _mm256_set1_epi32(pair);
      acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(first, token));
      acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(second, token));
    });
  }
  unroll<Rows>([&](int r) {
    finish(acc[r][0], t, r, 0);
    finish(acc[r][1], t, r, 8);
  });
}

void tile(const Tile& t) {
  with_count<kTileRows>(t.rows, [&](auto rows) { tile_of<rows>(t); });
}

/// Sums of the 8 lanes of each of 8 registers.
__m256i sums_of(const __m256i v[8]) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/// One token, eight channels from `first` on: so many accumulators fit the registers.
void gemv_of(const Fp4Weight& weight, int64_t block, const Tile& t, int first) {
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * t.k_padded * 8 + 16 * first;
  const uint8_t* ids = weight.tables + block * groups * 16 + first;
  __m256i acc[8];
  unroll<8>([&](int i) { acc[i] = _mm256_setzero_si256(); });
  const __m128i low_bits = _mm_set1_epi8(15);
  int64_t next_group = weight.group;
  for (int64_t k = 0; k < t.k_padded; k += 16) {
    if (k == next_group && k < weight.k) {
      ids += 16;
      next_group += weight.group;
    }
    const __m256i token = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t.left + 2 * k));
    unroll<8>([&](int i) {
      __m128i pair = load128(codes + k / 32 * 256 + 16 * i);
      if (k % 32 == 16) pair = _mm_srli_epi16(pair, 4);
      const __m128i lut = load128(kDecode.value[ids[i]]);
      const __m256i w = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(lut, _mm_and_si128(pair, low_bits)));
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(w, token));
    });
  }
  finish(sums_of(acc), t, 0, first);
}

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  gemv_of(weight, block, t, 0);
  if (t.channels > 8) gemv_of(weight, block, t, 8);
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<6, __m256i>(rounds, 16,
                                [](__m256i acc, __m256i a) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, a)); });
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "avx2";
  b.supported = has_avx2;
  b.float_ops = &kFloatAvx2;
  b.tile_rows = kTileRows;
  b.gemv_rows = 1;
  b.operand_bytes = 2;
  b.prepare = prepare_tokens<Avx2>;
  b.unpack = unpack;
  b.pack = pack;
  b.put = put_values<Avx2>;
  b.tile = tile;
  b.gemv = gemv;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kAvx2 = make_backend();
static_assert(is_complete(kAvx2));

}  // namespace hqdit
