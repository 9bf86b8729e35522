// SPDX-License-Identifier: Apache-2.0
// Splits one call into units of work: tokens for steps 1 and 2, panels of output channels for steps 3 and 4.
#include "hqdit/fp4_linear.h"

#include <algorithm>
#include <cstring>

#include "float_ops/backend.h"
#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/slot_memory.h"
#include "gemm/units.h"

namespace hqdit {
namespace {

constexpr int64_t kTokensPerUnit = 8;
// Fewer tokens than this per panel would not pay for decoding the panel once more.
constexpr int64_t kTokensPerSplit = 128;
constexpr int64_t kTokensPerOwnSplit = 256;
constexpr int64_t kChannelsPerToken = 6;
// Multiply-adds below which waking a thread costs more than it saves; weights, where each is decoded for one use.
constexpr double kWorkPerThread = 1 << 19;
constexpr double kWeightsPerThread = 1 << 17;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr size_t aligned(int64_t bytes) { return static_cast<size_t>(ceil_div(bytes, 64) * 64); }

int64_t slots_for(const Fp4Weight& weight, int64_t rows, const ParallelFor& parallel) {
  const double weights = static_cast<double>(weight.n) * static_cast<double>(weight.k);
  const double useful =
      rows <= backend().gemv_rows ? weights / kWeightsPerThread : static_cast<double>(rows) * weights / kWorkPerThread;
  return useful < 2 ? 1 : static_cast<int64_t>(std::min<double>(parallel.threads, useful));
}

/// Into how many runs of rows the panels' work is cut. With a run for each thread, tokens and outputs stay in the
/// caches of the core that works on the same rows before and after; with fewer panels than threads, it feeds them all.
int64_t row_splits(int64_t rows, int64_t n, int64_t panels, int64_t slots) {
  int64_t splits = 1;
  const auto pays = [&](int64_t tokens) { return rows / (2 * splits) >= tokens; };
  // To decode the weights of kChannelsPerToken channels takes about as long as to fetch a token from another core.
  const bool narrow = n <= kChannelsPerToken * rows;
  while (2 * splits <= slots && pays(narrow ? kTokensPerSplit : kTokensPerOwnSplit)) splits *= 2;
  while (slots > 1 && panels * splits < 2 * slots && pays(kTokensPerSplit)) splits *= 2;
  return splits;
}

struct Layout {
  SlotMemory own;  ///< of each thread: in steps 1 and 2 its scratch, in 3 and 4 its panel
  int64_t k_padded = 0;
  int64_t lhs_stride = 0;
  int64_t nr = 0;
  size_t lhs = 0, scale = 0, offset = 0, gemv = 0, slots = 0, total = 0;
};

bool prepares_gemv(const Backend& isa, int64_t rows) { return isa.prepare_gemv_lhs && rows <= isa.gemv_rows; }

Layout layout(const Fp4Weight& weight, int64_t rows, int64_t slots) {
  const Backend& isa = backend();
  const int64_t k_padded = packed_inputs(isa, weight.k);
  const size_t channels = aligned(2 * isa.nr * static_cast<int64_t>(sizeof(float)));
  const size_t panel = channels + static_cast<size_t>(isa.nr / 16 * panel_bytes(isa, k_padded));
  Layout l{SlotMemory(slots, std::max(quantize_pack_scratch(k_padded), panel))};
  l.k_padded = k_padded;
  l.lhs_stride = lhs_stride(isa, l.k_padded);
  l.nr = isa.nr;
  l.scale = l.lhs + aligned(ceil_div(rows, isa.mr_packed) * l.lhs_stride);
  l.offset = l.scale + aligned(rows * static_cast<int64_t>(sizeof(float)));
  l.gemv = l.offset + aligned(rows * static_cast<int64_t>(sizeof(int32_t)));
  l.slots = l.gemv + aligned(prepares_gemv(isa, rows) ? rows * l.k_padded : 0);
  l.total = l.slots + l.own.total();
  return l;
}

/// scale and bias of channels [first, first + count) with the padding that whole tiles need.
void copy_channels(const Fp4Weight& weight, int64_t first, int64_t count, int64_t padded, float* scale, float* bias) {
  for (int64_t i = 0; i < padded; ++i) {
    scale[i] = i < count ? weight.scale[first + i] : 0.0f;
    bias[i] = i < count && weight.bias ? weight.bias[first + i] : -0.0f;
  }
}

/// Asks for the codes of a panel a part at a time while the one before is multiplied: most come from memory.
struct ComingCodes {
  const uint8_t* next;
  const uint8_t* end;
  int64_t part;

  ComingCodes(const Fp4Weight& weight, int64_t channel, int64_t channels, int64_t parts) {
    const int64_t bytes_per_channel = stored_inputs(weight.k) / 2;
    const int64_t last = std::min(channel + channels, 16 * channel_blocks(weight.n));
    next = weight.codes + std::min(channel, last) * bytes_per_channel;
    end = weight.codes + last * bytes_per_channel;
    part = ceil_div(end - next, parts);
  }

  void operator()() {
    constexpr int64_t kLine = 64;
    for (int64_t i = 0; i < part && next < end; i += kLine, next += kLine) __builtin_prefetch(next, 0, 2);
  }
};

struct Call {
  const Fp4Weight& weight;
  const Backend& isa;
  const Layout& l;
  PackedLhs lhs;
  int64_t rows;
  void (*map)(float* values, int64_t stride, int64_t rows, int64_t columns);  // nullptr for Epilogue::kNone
  float* out;
  uint8_t* slots;

  void quantize_pack(const TokenStep& step, const float* x, int64_t unit, int64_t slot) const {
    float* scratch = l.own.at<float>(slots, slot);
    const int64_t row = unit * kTokensPerUnit;
    const int64_t count = std::min(kTokensPerUnit, rows - row);
    isa.quantize_pack_lhs(step, {x + row * weight.k, weight.k, count}, row, lhs, scratch);
    if (prepares_gemv(isa, rows)) isa.prepare_gemv_lhs(lhs, rows, l.k_padded);
  }

  Tile tile_at(int64_t row, int64_t channel, int64_t channels, const float* scale, const float* bias) const {
    Tile tile{};
    tile.lhs = lhs.data + row / isa.mr_packed * l.lhs_stride;
    tile.lhs_stride = l.lhs_stride;
    tile.token_scale = lhs.scale + row;
    tile.offset = lhs.offset + row;
    tile.k_padded = l.k_padded;
    tile.scale = scale;
    tile.bias = bias;
    tile.out = out + row * weight.n + channel;
    tile.out_stride = weight.n;
    tile.channels = channels;
    tile.blocks = static_cast<int>(ceil_div(channels, 16));
    return tile;
  }

  /// Epilogue on a finished tile, which is still in the first-level cache.
  void finish(const Tile& tile) const {
    if (map) map(tile.out, tile.out_stride, tile.rows, tile.channels);
  }

  void panel(int64_t index, int64_t first_row, int64_t last_row, int64_t slot) const {
    if (first_row >= last_row) return;
    const int64_t channel = index * l.nr;
    const int64_t channels = std::min(l.nr, weight.n - channel);
    float* scale = l.own.at<float>(slots, slot);
    float* bias = scale + l.nr;
    copy_channels(weight, channel, channels, l.nr, scale, bias);
    uint8_t* decoded = l.own.at<uint8_t>(slots, slot) + aligned(2 * l.nr * static_cast<int64_t>(sizeof(float)));
    isa.decode_rhs_panel(weight, channel / 16, static_cast<int>(ceil_div(channels, 16)), decoded);
    ComingCodes coming(weight, channel + l.nr, l.nr, ceil_div(last_row - first_row, isa.mr));
    Tile tile = tile_at(first_row, channel, channels, scale, bias);
    tile.panel = decoded;
    for (int64_t row = first_row; row < last_row; row += isa.mr) {
      coming();
      tile.rows = static_cast<int>(std::min<int64_t>(isa.mr, last_row - row));
      isa.gemm(tile);
      finish(tile);
      tile.lhs += isa.mr / isa.mr_packed * l.lhs_stride;
      tile.token_scale += isa.mr;
      tile.offset += isa.mr;
      tile.out += isa.mr * weight.n;
    }
  }

  void gemv(int64_t block) const {
    const int64_t channels = std::min<int64_t>(16, weight.n - 16 * block);
    const bool whole = channels == 16 && weight.bias;
    float scale[16];
    float bias[16];
    if (!whole) copy_channels(weight, 16 * block, channels, 16, scale, bias);
    Tile tile = tile_at(0, 16 * block, channels, whole ? weight.scale + 16 * block : scale,
                        whole ? weight.bias + 16 * block : bias);
    tile.gemv = lhs.gemv;
    tile.rows = static_cast<int>(rows);
    isa.gemv(weight, block, tile);
    finish(tile);
  }
};

}  // namespace

size_t fp4_linear_workspace(const Fp4Weight& weight, int64_t rows, const ParallelFor& parallel) {
  return layout(weight, rows, slots_for(weight, rows, parallel)).total;
}

void fp4_linear(const Fp4Weight& weight, const float* x, int64_t rows, Activation activation, int64_t activation_group,
                Epilogue epilogue, float* out, void* workspace, const ParallelFor& parallel) {
  if (rows < 1) return;
  const Backend& isa = backend();
  const int64_t slots = slots_for(weight, rows, parallel);
  const Layout l = layout(weight, rows, slots);
  uint8_t* memory = static_cast<uint8_t*>(workspace);
  PackedLhs lhs{memory + l.lhs, l.lhs_stride, reinterpret_cast<float*>(memory + l.scale),
                reinterpret_cast<int32_t*>(memory + l.offset)};
  if (prepares_gemv(isa, rows)) lhs.gemv = memory + l.gemv;
  const auto map = epilogue == Epilogue::kGelu ? float_backend().gelu_tile : nullptr;
  const Call call{weight, isa, l, lhs, rows, map, out, memory + l.slots};

  const TokenStep step{weight.pre, weight.k,
                       l.k_padded, factor_rotation(weight.rotation),
                       activation, std::min(activation_group, l.k_padded)};
  const int64_t token_units = ceil_div(rows, kTokensPerUnit);
  const auto quantize_pack = [&](int64_t unit, int64_t slot) { call.quantize_pack(step, x, unit, slot); };

  if (rows <= isa.gemv_rows) {
    take_units_in_order(parallel, slots, token_units, quantize_pack, channel_blocks(weight.n),
                        [&](int64_t block, int64_t) { call.gemv(block); });
    return;
  }
  const int64_t panels = ceil_div(weight.n, l.nr);
  const int64_t splits = row_splits(rows, weight.n, panels, slots);
  const int64_t row_step = std::min<int64_t>(isa.mr, kTokensPerSplit);
  const int64_t rows_per_split = ceil_div(ceil_div(rows, splits), row_step) * row_step;
  take_units_in_order(parallel, slots, token_units, quantize_pack, panels * splits, [&](int64_t unit, int64_t slot) {
    const int64_t first = unit / panels * rows_per_split;
    call.panel(unit % panels, first, std::min(rows, first + rows_per_split), slot);
  });
}

}  // namespace hqdit
