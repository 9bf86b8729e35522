// SPDX-License-Identifier: Apache-2.0
// AVX-512 VNNI: VPDPBUSD multiplies unsigned by signed bytes, so the panel holds w + 128 and each row's accumulators
// start at -128 sum(a). Panel: uint8 [k_padded / 4][blocks][16][4].
#include "simd_avx512.h"
#include "tokens.h"
#include "unroll.h"

namespace hqdit {
namespace {

constexpr int kTileRows = 8;
constexpr int kPanelBlocks = 3;

__m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

/// The tables of channels first, first + step, ... in the four lanes, plus 128.
__m512i four_tables(const uint8_t* ids, int first, int step) {
  __m512i luts = _mm512_castsi128_si512(load128(kDecode.value[ids[first]]));
  luts = _mm512_inserti32x4(luts, load128(kDecode.value[ids[first + step]]), 1);
  luts = _mm512_inserti32x4(luts, load128(kDecode.value[ids[first + 2 * step]]), 2);
  luts = _mm512_inserti32x4(luts, load128(kDecode.value[ids[first + 3 * step]]), 3);
  return _mm512_xor_si512(luts, _mm512_set1_epi8(-128));
}

/// The tables of all 16 channels: lane l of out[i] is channel i * stride + l * step.
void sixteen_tables(const uint8_t* ids, int stride, int step, __m512i out[4]) {
  for (int i = 0; i < 4; ++i) out[i] = four_tables(ids, i * stride, step);
}

/// Sixteen 4-lane rows as columns: out[i] lane l = in[l] lane i.
void transpose_lanes(const __m512i in[4], __m512i out[4]) {
  const __m512i ab_low = _mm512_shuffle_i32x4(in[0], in[1], 0x44);
  const __m512i ab_high = _mm512_shuffle_i32x4(in[0], in[1], 0xEE);
  const __m512i cd_low = _mm512_shuffle_i32x4(in[2], in[3], 0x44);
  const __m512i cd_high = _mm512_shuffle_i32x4(in[2], in[3], 0xEE);
  out[0] = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  out[1] = _mm512_shuffle_i32x4(ab_low, cd_low, 0xDD);
  out[2] = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  out[3] = _mm512_shuffle_i32x4(ab_high, cd_high, 0xDD);
}

/// In each lane, the 4 x 4 matrix of 32-bit elements transposed: out[j] element i = in[i] element j.
void transpose_in_lanes(const __m512i in[4], __m512i out[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi32(in[0], in[1]);
  const __m512i ab_high = _mm512_unpackhi_epi32(in[0], in[1]);
  const __m512i cd_low = _mm512_unpacklo_epi32(in[2], in[3]);
  const __m512i cd_high = _mm512_unpackhi_epi32(in[2], in[3]);
  out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

__m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
__m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

void unpack(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  const int64_t k_blocks = padded_inputs(weight.k) / 32;
  const int64_t groups = groups_per_row(weight.k, weight.group);
  for (int b = 0; b < blocks; ++b) {
    const uint8_t* codes = weight.codes + (block + b) * k_blocks * 256;
    const uint8_t* ids = weight.tables + (block + b) * groups * 16;
    int64_t next_group = weight.group;
    __m512i luts[4];
    sixteen_tables(ids, 1, 4, luts);
    for (int64_t kb = 0; kb < k_blocks; ++kb, codes += 256) {
      __m512i rows[4];
      __m512i mixed[4];
      for (int i = 0; i < 4; ++i) rows[i] = _mm512_loadu_si512(codes + 64 * i);
      transpose_lanes(rows, mixed);  // mixed[i] lane l = channel 4 l + i
      for (int half = 0; half < 2; ++half) {
        const int64_t k = 32 * kb + 16 * half;
        if (k == next_group && k < weight.k) {
          sixteen_tables(ids += 16, 1, 4, luts);
          next_group += weight.group;
        }
        __m512i w[4];
        for (int i = 0; i < 4; ++i) {
          w[i] = _mm512_shuffle_epi8(luts[i], half ? high_nibbles(mixed[i]) : low_nibbles(mixed[i]));
        }
        __m512i quads[4];
        transpose_in_lanes(w, quads);
        for (int j = 0; j < 4; ++j) _mm512_storeu_si512(panel + ((8 * kb + 4 * half + j) * blocks + b) * 64, quads[j]);
      }
    }
  }
}

void pack(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < k_padded / 4; ++k, quads += 64) {
      const __m512i row = _mm512_xor_si512(_mm512_loadu_si512(quads), _mm512_set1_epi8(-128));
      _mm512_storeu_si512(panel + (k * blocks + b) * 64, row);
    }
  }
}

/// Step 4 for the 16 channels of one block: everything but the row is loaded once.
struct Finish {
  __m512 scale;
  __m512 bias;
  __mmask16 exists;
  float* out;
  int64_t stride;
  const float* token_scale;

  Finish(const Tile& t, int block)
      : scale(_mm512_loadu_ps(t.scale + 16 * block)),
        bias(_mm512_loadu_ps(t.bias + 16 * block)),
        out(t.out + 16 * block),
        stride(t.out_stride),
        token_scale(t.token_scale) {
    const int64_t left = t.channels - 16 * block;
    exists = left >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << left) - 1);
  }

  void operator()(int row, __m512i acc) const {
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
    const __m512 shifted = _mm512_add_ps(_mm512_mul_ps(y, _mm512_set1_ps(token_scale[row])), bias);
    _mm512_mask_storeu_ps(out + row * stride, exists, shifted);
  }
};

template <int Rows, int Blocks>
void tile_of(const Tile& t) {
  __m512i acc[Rows][Blocks];
  unroll<Rows>([&](int r) { unroll<Blocks>([&](int b) { acc[r][b] = _mm512_set1_epi32(t.offset[r]); }); });
  const uint8_t* a = t.left;
  const uint8_t* w = t.panel;
  for (int64_t k = 0; k < t.k_padded; k += 4, a += 4, w += 64 * Blocks) {
    __m512i weights[Blocks];
    unroll<Blocks>([&](int b) { weights[b] = _mm512_loadu_si512(w + 64 * b); });
    unroll<Rows>([&](int r) {
      int32_t quad;
      std::memcpy(&quad, a + r * t.left_stride, sizeof quad);
      const __m512i token = _mm512_set1_epi32(quad);
      unroll<Blocks>([&](int b) { acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], weights[b], token); });
    });
  }
  unroll<Blocks>([&](int b) {
    const Finish finish(t, b);
    unroll<Rows>([&](int r) { finish(r, acc[r][b]); });
  });
}

template <int Blocks>
void tile_rows(const Tile& t) {
  static constexpr void (*kKernels[kTileRows])(const Tile&) = {
      tile_of<1, Blocks>, tile_of<2, Blocks>, tile_of<3, Blocks>, tile_of<4, Blocks>,
      tile_of<5, Blocks>, tile_of<6, Blocks>, tile_of<7, Blocks>, tile_of<8, Blocks>};
  kKernels[t.rows - 1](t);
}

void tile(const Tile& t) {
  static constexpr void (*kKernels[kPanelBlocks])(const Tile&) = {tile_rows<1>, tile_rows<2>, tile_rows<3>};
  kKernels[t.blocks - 1](t);
}

template <int Rows>
void gemv_of(const Fp4Weight& weight, int64_t block, const Tile& t) {
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * t.k_padded * 8;
  const uint8_t* ids = weight.tables + block * groups * 16;
  __m512i acc[Rows][4];
  for (int r = 0; r < Rows; ++r) {
    for (int i = 0; i < 4; ++i) acc[r][i] = _mm512_setzero_si512();
  }
  int64_t next_group = weight.group;
  __m512i luts[4];
  sixteen_tables(ids, 4, 1, luts);
  for (int64_t k = 0; k < t.k_padded; codes += 256) {
    __m512i rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = _mm512_loadu_si512(codes + 64 * i);
    for (int half = 0; half < 2; ++half, k += 16) {
      if (k == next_group && k < weight.k) {
        sixteen_tables(ids += 16, 4, 1, luts);
        next_group += weight.group;
      }
      for (int i = 0; i < 4; ++i) {
        const __m512i w = _mm512_shuffle_epi8(luts[i], half ? high_nibbles(rows[i]) : low_nibbles(rows[i]));
        for (int r = 0; r < Rows; ++r) {
          const __m512i a = _mm512_broadcast_i32x4(load128(t.left + r * t.left_stride + k));
          acc[r][i] = _mm512_dpbusd_epi32(acc[r][i], w, a);
        }
      }
    }
  }
  const __m512i channel_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const Finish finish(t, 0);
  for (int r = 0; r < Rows; ++r) {
    __m512i parts[4];
    transpose_in_lanes(acc[r], parts);
    const __m512i sums = _mm512_add_epi32(_mm512_add_epi32(parts[0], parts[1]), _mm512_add_epi32(parts[2], parts[3]));
    const __m512i ordered = _mm512_permutexvar_epi32(channel_order, sums);
    finish(r, _mm512_add_epi32(ordered, _mm512_set1_epi32(t.offset[r])));
  }
}

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  static constexpr void (*kKernels[2])(const Fp4Weight&, int64_t, const Tile&) = {gemv_of<1>, gemv_of<2>};
  kKernels[t.rows - 1](weight, block, t);
}

int64_t dot_loop(int64_t rounds) {
  constexpr int kChains = 24;
  __m512i acc[kChains];
  unroll<kChains>([&](int i) { acc[i] = _mm512_set1_epi32(i); });
  const __m512i a = _mm512_set1_epi8(3);
  for (int64_t round = 0; round < rounds; ++round) {
    unroll<kChains>([&](int i) { acc[i] = _mm512_dpbusd_epi32(acc[i], a, a); });
  }
  unroll<kChains - 1>([&](int i) { acc[0] = _mm512_xor_si512(acc[0], acc[i + 1]); });
  volatile int32_t kept = _mm512_reduce_add_epi32(acc[0]);
  static_cast<void>(kept);
  return rounds * kChains * 64;
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

}  // namespace

const Backend kAvx512Vnni = {"avx512vnni",          supported, kTileRows, kPanelBlocks,       2,    1,    1,
                             prepare_token<Avx512>, unpack,    pack,      put_values<Avx512>, tile, gemv, dot_loop};

}  // namespace hqdit
