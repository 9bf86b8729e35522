// SPDX-License-Identifier: Apache-2.0
// Splits a float32 linear layer into blocks of outputs and, when there are few, ranges of rows.
#include <algorithm>

#include "float_ops/backend.h"
#include "float_ops/parallel.h"
#include "gemm/slot_memory.h"
#include "hqdit/float_ops.h"

namespace hqdit {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;

struct Split {
  int64_t depth;
  int64_t blocks;
  int64_t ranges;  ///< per block
  SlotMemory own;  ///< of each thread
};

Split split_for(const LinearShape& shape, const ParallelFor& parallel) {
  const int64_t depth = round_up(shape.inputs, 4);
  const int64_t blocks = round_up(shape.outputs, LinearBlock::kColumns) / LinearBlock::kColumns;
  const int64_t ranges = ranges_per_unit(parallel, blocks, shape.rows);
  const int64_t slots = shape.rows > 0 ? std::min<int64_t>(parallel.threads, blocks * ranges) : 0;
  const int64_t floats =
      (LinearBlock::kColumns + LinearBlock::kRows) * depth + LinearBlock::kRows * LinearBlock::kColumns;
  return {depth, blocks, ranges, SlotMemory(slots, static_cast<size_t>(floats) * sizeof(float))};
}

}  // namespace

const char* linear_check(const LinearShape& shape) {
  if (shape.rows < 0) return "the rows must not be negative";
  if (shape.inputs < 1 || shape.inputs > kMaxSize) return "the inputs must be 1 to 2^24";
  if (shape.outputs < 1 || shape.outputs > kMaxSize) return "the outputs must be 1 to 2^24";
  return nullptr;
}

size_t linear_workspace(const LinearShape& shape, const ParallelFor& parallel) {
  return split_for(shape, parallel).own.total();
}

void linear_f32(const LinearShape& shape, const float* x, const float* weight, const float* bias, float* out,
                void* workspace, const ParallelFor& parallel) {
  const FloatBackend& isa = float_backend();
  const Split split = split_for(shape, parallel);
  const int64_t rows = (shape.rows + split.ranges - 1) / split.ranges;
  const auto block_at = [&](int64_t column, float* memory) {
    LinearBlock b{};
    b.weight = weight + column * shape.inputs;
    b.bias = bias ? bias + column : nullptr;
    b.columns = std::min(LinearBlock::kColumns, shape.outputs - column);
    b.inputs = shape.inputs;
    b.depth = split.depth;
    b.packed = memory;
    b.x = b.packed + LinearBlock::kColumns * split.depth;
    b.sums = b.x + LinearBlock::kRows * split.depth;
    return b;
  };
  take_units(parallel, split.own.slots, split.blocks * split.ranges, [&](int64_t slot, const auto& next) {
    float* memory = split.own.at<float>(workspace, slot);
    int64_t packed = -1;
    for (int64_t unit = next(); unit >= 0; unit = next()) {
      const int64_t column = unit / split.ranges * LinearBlock::kColumns;
      const LinearBlock block = block_at(column, memory);
      if (column != packed) isa.pack_weight(block);
      packed = column;
      const int64_t begin = unit % split.ranges * rows;
      const int64_t count = std::min(rows, shape.rows - begin);
      isa.linear(block, x + begin * shape.inputs, count, out + begin * shape.outputs + column, shape.outputs);
    }
  });
}

}  // namespace hqdit
