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
// To take one is an atomic operation, which no load overtakes: a tenth of what a block of 384 inputs takes.
constexpr int64_t kBlocksTogether = 8;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr size_t aligned(int64_t bytes) { return static_cast<size_t>(ceil_div(bytes, 64) * 64); }

bool by_gemv(const Backend& isa, int64_t rows) { return rows <= isa.gemv_rows; }

int64_t slots_for(const Fp4Weight& weight, int64_t rows, const ParallelFor& parallel) {
  const double weights = static_cast<double>(weight.n) * static_cast<double>(weight.k);
  const double useful =
      by_gemv(backend(), rows) ? weights / kWeightsPerThread : static_cast<double>(rows) * weights / kWorkPerThread;
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

/// A packed LHS in memory.
struct LhsLayout {
  int64_t k_padded;
  int64_t stride;
  size_t scale, offset, gemv, total;

  LhsLayout(const Backend& isa, int64_t k, int64_t rows)
      : k_padded(packed_inputs(isa, k)),
        stride(lhs_stride(isa, k_padded)),
        scale(aligned(ceil_div(rows, isa.mr_packed) * stride)),
        offset(scale + aligned(rows * static_cast<int64_t>(sizeof(float)))),
        gemv(offset + aligned(rows * static_cast<int64_t>(sizeof(int32_t)))),
        total(gemv + aligned(by_gemv(isa, rows) && isa.prepare_gemv_lhs ? rows * k_padded : 0)) {}

  PackedLhs at(uint8_t* memory) const {
    return {memory, stride, reinterpret_cast<float*>(memory + scale), reinterpret_cast<int32_t*>(memory + offset),
            memory + gemv};
  }
};

/// First a packed LHS that all threads share, but for gemv, then memory of their own: in steps 1 and 2 a thread's
/// scratch, in 3 and 4 its panel or, for gemv, its packed LHS and then its scratch.
struct Layout {
  LhsLayout lhs;
  SlotMemory own;
  size_t slots;

  size_t total() const { return slots + own.total(); }
};

Layout layout(const Fp4Weight& weight, int64_t rows, int64_t slots) {
  const Backend& isa = backend();
  const LhsLayout lhs(isa, weight.k, rows);
  const size_t scratch = quantize_pack_scratch(lhs.k_padded);
  if (by_gemv(isa, rows)) return {lhs, SlotMemory(slots, lhs.total + scratch), 0};
  const size_t channels = aligned(2 * isa.nr * static_cast<int64_t>(sizeof(float)));
  const size_t panel = channels + static_cast<size_t>(isa.nr / 16 * panel_bytes(isa, lhs.k_padded));
  return {lhs, SlotMemory(slots, std::max(scratch, panel)), lhs.total};
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
  const TokenStep& step;
  const float* x;
  int64_t rows;
  void (*map)(float* values, int64_t stride, int64_t rows, int64_t columns);  // nullptr for Epilogue::kNone
  float* out;
  uint8_t* memory;

  template <class T = uint8_t>
  T* own(int64_t slot) const {
    return l.own.at<T>(memory + l.slots, slot);
  }

  void quantize_pack(int64_t unit, const PackedLhs& lhs, float* scratch) const {
    const int64_t row = unit * kTokensPerUnit;
    const int64_t count = std::min(kTokensPerUnit, rows - row);
    isa.quantize_pack_lhs(step, {x + row * weight.k, weight.k, count}, row, lhs, scratch);
  }

  Tile tile_at(const PackedLhs& lhs, int64_t row, int64_t channel, int64_t channels, const float* scale,
               const float* bias) const {
    Tile tile{};
    tile.lhs = lhs.data + row / isa.mr_packed * lhs.stride;
    tile.lhs_stride = lhs.stride;
    tile.token_scale = lhs.scale + row;
    tile.offset = lhs.offset + row;
    tile.k_padded = l.lhs.k_padded;
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

  void panel(const PackedLhs& lhs, int64_t index, int64_t first_row, int64_t last_row, int64_t slot) const {
    if (first_row >= last_row) return;
    const int64_t channel = index * isa.nr;
    const int64_t channels = std::min<int64_t>(isa.nr, weight.n - channel);
    float* scale = own<float>(slot);
    float* bias = scale + isa.nr;
    copy_channels(weight, channel, channels, isa.nr, scale, bias);
    uint8_t* decoded = own(slot) + aligned(2 * isa.nr * static_cast<int64_t>(sizeof(float)));
    isa.decode_rhs_panel(weight, channel / 16, static_cast<int>(ceil_div(channels, 16)), decoded);
    ComingCodes coming(weight, channel + isa.nr, isa.nr, ceil_div(last_row - first_row, isa.mr));
    Tile tile = tile_at(lhs, first_row, channel, channels, scale, bias);
    tile.panel = decoded;
    for (int64_t row = first_row; row < last_row; row += isa.mr) {
      coming();
      tile.rows = static_cast<int>(std::min<int64_t>(isa.mr, last_row - row));
      isa.gemm(tile);
      finish(tile);
      tile.lhs += isa.mr / isa.mr_packed * lhs.stride;
      tile.token_scale += isa.mr;
      tile.offset += isa.mr;
      tile.out += isa.mr * weight.n;
    }
  }

  void gemv(const PackedLhs& lhs, const Units& blocks) const {
    const int64_t channel = 16 * blocks.first;
    const int64_t padded = 16 * blocks.count();
    const int64_t channels = std::min(padded, weight.n - channel);
    float scale[16 * kBlocksTogether];
    float bias[16 * kBlocksTogether];
    const bool as_they_lie = channels == padded && weight.bias;
    if (!as_they_lie) copy_channels(weight, channel, channels, padded, scale, bias);
    Tile tile = tile_at(lhs, 0, channel, channels, as_they_lie ? weight.scale + channel : scale,
                        as_they_lie ? weight.bias + channel : bias);
    tile.gemv = lhs.gemv;
    tile.rows = static_cast<int>(rows);
    isa.gemv(weight, blocks.first, tile);
    finish(tile);
  }
};

/// Few tokens. Each thread quantizes them for itself: to wait for another thread, and for what it wrote, takes longer.
void few_tokens(const Call& call, const ParallelFor& parallel) {
  take_units(parallel, call.l.own.slots, channel_blocks(call.weight.n), [&](int64_t slot, const auto& next) {
    Units blocks = next(kBlocksTogether);
    if (blocks.count() < 1) return;
    uint8_t* own = call.own(slot);
    const PackedLhs lhs = call.l.lhs.at(own);
    float* scratch = reinterpret_cast<float*>(own + call.l.lhs.total);
    call.isa.quantize_pack_lhs(call.step, {call.x, call.weight.k, call.rows}, 0, lhs, scratch);
    if (call.isa.prepare_gemv_lhs) call.isa.prepare_gemv_lhs(lhs, call.rows, call.l.lhs.k_padded);
    for (; blocks.count() > 0; blocks = next(kBlocksTogether)) call.gemv(lhs, blocks);
  });
}

void many_tokens(const Call& call, const ParallelFor& parallel) {
  const int64_t rows = call.rows, slots = call.l.own.slots;
  const int64_t panels = ceil_div(call.weight.n, call.isa.nr);
  const int64_t splits = row_splits(rows, call.weight.n, panels, slots);
  const int64_t row_step = std::min<int64_t>(call.isa.mr, kTokensPerSplit);
  const int64_t rows_per_split = ceil_div(ceil_div(rows, splits), row_step) * row_step;
  const PackedLhs lhs = call.l.lhs.at(call.memory);
  const auto quantize_pack = [&](int64_t unit, int64_t slot) { call.quantize_pack(unit, lhs, call.own<float>(slot)); };
  const auto panel = [&](int64_t unit, int64_t slot) {
    const int64_t first = unit / panels * rows_per_split;
    call.panel(lhs, unit % panels, first, std::min(rows, first + rows_per_split), slot);
  };
  take_units_in_order(parallel, slots, ceil_div(rows, kTokensPerUnit), quantize_pack, panels * splits, panel);
}

}  // namespace

size_t fp4_linear_workspace(const Fp4Weight& weight, int64_t rows, const ParallelFor& parallel) {
  return layout(weight, rows, slots_for(weight, rows, parallel)).total();
}

void fp4_linear(const Fp4Weight& weight, const float* x, int64_t rows, Activation activation, int64_t activation_group,
                Epilogue epilogue, float* out, void* workspace, const ParallelFor& parallel) {
  if (rows < 1) return;
  const Layout l = layout(weight, rows, slots_for(weight, rows, parallel));
  const TokenStep step{weight.pre,     weight.k,
                       l.lhs.k_padded, factor_rotation(weight.rotation),
                       activation,     std::min(activation_group, l.lhs.k_padded)};
  const auto map = epilogue == Epilogue::kGelu ? float_backend().gelu_tile : nullptr;
  const Call call{weight, backend(), l, step, x, rows, map, out, static_cast<uint8_t*>(workspace)};
  (by_gemv(call.isa, rows) ? few_tokens : many_tokens)(call, parallel);
}

}  // namespace hqdit
