// SPDX-License-Identifier: Apache-2.0
// AMX: TDPBSSD adds the product of a 16 x 64 and a 64 x 16 int8 tile to a 16 x 16 int32 tile. Packed LHS: 16 tokens
// share [k_padded / 64][16][64]; a panel is decode_rhs_panel's own.
#include <cstring>

#include "arch/x86/avx512_gemv.h"
#include "arch/x86/simd_avx512.h"
#include "arch/x86/vbmi_decode.h"
#include "float_ops/backend.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"

namespace hqdit {
namespace {

// Many: each call configures the tiles, which takes as long as ten products.
constexpr int kMr = 4096;
constexpr int kNr = 32;
constexpr int64_t kTileBytes = 1024;
// A chunk's weights, 2 KiB a step, stay in the first-level cache (48 KiB) while so many strips pass by.
constexpr int kStrips = 4;
constexpr int64_t kChunkSteps = 18;

struct PlaceInTile {
  template <class Byte>
  static Byte* place(Byte* lhs, int64_t stride, int64_t row, int64_t k) {
    return lhs + (row >> 4) * stride + (k >> 6) * kTileBytes + (row & 15) * 64 + (k & 63);
  }
};

struct Tokens : Avx512<PlaceInTile> {
  /// Tiles hold signed operands; only gemv needs the offset.
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t k_padded) {
    if (row < kGemvRows) Avx512<PlaceInTile>::finish_row(lhs, row, k_padded);
  }
};

struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// Rows and channels that do not exist are computed, too, from whatever the memory holds, and not stored.
constexpr TileConfig kWholeTiles = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/// A strip whose products are done and whose step 4 is not. It is done a few rows at a time between the products of the
/// next strip, which leave the vector units idle.
struct Pending {
  const int32_t* acc;  // [rows][16 * Blocks]
  int row;
  int end;
};

template <int Blocks>
void finish_rows(const Finish& low, const Finish& high, int rows, Pending& pending) {
  for (const int stop = least(pending.row + rows, pending.end); pending.row < stop; ++pending.row) {
    low(pending.row, _mm512_load_si512(pending.acc));
    if constexpr (Blocks > 1) high(pending.row, _mm512_load_si512(pending.acc + 16));
    pending.acc += 16 * Blocks;
  }
}

/// Products of 16 * RowTiles tokens with `steps` times 64 inputs.
struct Strip {
  const uint8_t* tokens;
  int64_t stride;
  const uint8_t* weights;
  int64_t steps;
  bool first;
  int32_t* acc;
};

/// Tiles: 0 to 3 accumulate, 4 and 5 are tokens, 6 and 7 weights. The weights of a chunk stay in the first-level cache,
/// so the tokens are loaded as a stream that does not.
template <int RowTiles, int Blocks>
[[gnu::noinline]] void multiply_strip(const Strip& strip, const Tile& t, Pending pending) {
  constexpr int64_t kAccStride = 64 * Blocks;
  const Finish low(t, 0);
  const Finish high(t, Blocks - 1);
  const int64_t stride = strip.stride;
  const int64_t steps = strip.steps;
  const uint8_t* a = strip.tokens;
  const uint8_t* w = strip.weights;
  int32_t* const acc = strip.acc;
  if (strip.first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, acc, kAccStride);
    if constexpr (Blocks > 1) _tile_loadd(1, acc + 16, kAccStride);
    if constexpr (RowTiles > 1) {
      _tile_loadd(2, acc + 256 * Blocks, kAccStride);
      if constexpr (Blocks > 1) _tile_loadd(3, acc + 256 * Blocks + 16, kAccStride);
    }
  }
  const int rows_per_step = static_cast<int>((pending.end - pending.row + steps - 1) / steps);
  for (int64_t step = 0; step < steps; ++step, a += kTileBytes, w += Blocks * kTileBytes) {
    _tile_stream_loadd(4, a, 64);
    _tile_loadd(6, w, 64);
    _tile_dpbssd(0, 4, 6);
    if constexpr (Blocks > 1) {
      _tile_loadd(7, w + kTileBytes, 64);
      _tile_dpbssd(1, 4, 7);
    }
    if constexpr (RowTiles > 1) {
      _tile_stream_loadd(5, a + stride, 64);
      _tile_dpbssd(2, 5, 6);
      if constexpr (Blocks > 1) _tile_dpbssd(3, 5, 7);
    }
    finish_rows<Blocks>(low, high, rows_per_step, pending);
  }
  _tile_stored(0, acc, kAccStride);
  if constexpr (Blocks > 1) _tile_stored(1, acc + 16, kAccStride);
  if constexpr (RowTiles > 1) {
    _tile_stored(2, acc + 256 * Blocks, kAccStride);
    if constexpr (Blocks > 1) _tile_stored(3, acc + 256 * Blocks + 16, kAccStride);
  }
}

template <int Blocks>
void multiply_panel(const Tile& t) {
  alignas(64) int32_t accumulators[kStrips][32 * 16 * Blocks];
  Pending pending{};
  const int64_t steps = t.k_padded / 64;
  const int64_t chunks = (steps + kChunkSteps - 1) / kChunkSteps;
  const int64_t chunk = (steps + chunks - 1) / chunks;
  const int group = chunks == 1 ? 32 : 32 * kStrips;
  for (int start = 0; start < t.rows; start += group) {
    for (int64_t step = 0; step < steps; step += chunk) {
      const int64_t count = step + chunk < steps ? chunk : steps - step;
      for (int row = start; row < t.rows && row < start + group; row += 32) {
        const int end = least(row + 32, t.rows);
        int32_t* acc = accumulators[(row - start) / 32];
        const Strip strip{t.lhs + row / 16 * t.lhs_stride + step * kTileBytes,
                          t.lhs_stride,
                          t.panel + step * Blocks * kTileBytes,
                          count,
                          step == 0,
                          acc};
        end - row > 16 ? multiply_strip<2, Blocks>(strip, t, pending) : multiply_strip<1, Blocks>(strip, t, pending);
        pending.row = pending.end;
        if (step + count == steps) pending = {acc, row, end};
      }
    }
  }
  finish_rows<Blocks>(Finish(t, 0), Finish(t, Blocks - 1), 32, pending);
}

/// Panel: int8 [ceil(k / 64)][blocks][16][16][4], a tile for each 64 inputs of a block; zero past the codes.
void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  const int64_t stride = blocks * kTileBytes;
  for (int b = 0; b < blocks; ++b) {
    uint8_t* const first = panel + b * kTileBytes;
    decode_block<Operand::kSigned>(weight, block + b, [&](int64_t quad, int, __m512i w) {
      _mm512_storeu_si512(first + quad / 16 * stride + quad % 16 * 64, w);
    });
    const int64_t k_blocks = stored_inputs(weight.k) / 32;
    if (k_blocks % 2) std::memset(first + k_blocks / 2 * stride + kTileBytes / 2, 0, kTileBytes / 2);
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < k_padded / 64; ++k, quads += kTileBytes) {
      std::memcpy(panel + (k * blocks + b) * kTileBytes, quads, kTileBytes);
    }
  }
}

void gemm(const Tile& t) {
  _tile_loadconfig(&kWholeTiles);
  t.blocks == 1 ? multiply_panel<1>(t) : multiply_panel<2>(t);
  // The thread may belong to somebody else, whose context switches should not carry 8 KiB of tiles.
  _tile_release();
}

int64_t dot_loop(int64_t rounds) {
  _tile_loadconfig(&kWholeTiles);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  // One product of tiles takes 16 cycles, one of vectors half a cycle.
  const int64_t fewer = rounds / 16 + 1;
  for (int64_t round = 0; round < fewer; ++round) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return fewer * 4 * 16 * 16 * 64;
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "amx";
  b.supported = has_amx;
  b.float_ops = &kFloatAvx512;
  b.mr = kMr;
  b.nr = kNr;
  b.gemv_rows = kGemvRows;
  b.mr_packed = 16;
  b.k_multiple = 64;
  b.quantize_pack_lhs = quantize_pack_lhs<Tokens>;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.pack_lhs_row = pack_lhs_row<Tokens>;
  b.gemm = gemm;
  b.gemv = gemv<GemvAvx512<PlaceInTile>>;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kAmx = make_backend();
static_assert(is_complete(kAmx));

}  // namespace hqdit
