// SPDX-License-Identifier: Apache-2.0
// Splits one attention call into heads and, when there are few, row ranges of a head.
#include <algorithm>

#include "hqdit/step_ops.h"
#include "step_backend.h"
#include "step_parallel.h"

namespace hqdit {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;

struct Layout {
  HeadScratch sizes;
  int64_t k, v, q, scores, product, factor, total;  // floats
};

Layout layout(const AttentionShape& shape) {
  Layout l{};
  HeadScratch& s = l.sizes;
  s.depth = round_up(shape.head_dim, 4);
  s.keys = round_up(shape.tokens, 4);
  s.score_stride = round_up(shape.tokens, 16);
  s.width = round_up(shape.head_dim, 16);
  l.v = l.k + s.score_stride * s.depth;
  l.q = l.v + s.width * s.keys;
  l.scores = l.q + round_up(HeadScratch::kRows * s.depth, 16);
  l.product = l.scores + HeadScratch::kRows * s.score_stride;
  l.factor = l.product + HeadScratch::kRows * s.width;
  l.total = l.factor + round_up(HeadScratch::kRows, 16);
  return l;
}

HeadScratch scratch_at(const Layout& l, float* memory) {
  HeadScratch s = l.sizes;
  s.k = memory + l.k;
  s.v = memory + l.v;
  s.q = memory + l.q;
  s.scores = memory + l.scores;
  s.product = memory + l.product;
  s.factor = memory + l.factor;
  return s;
}

struct Split {
  int64_t slots;
  int64_t ranges;  ///< per head
};

Split split_for(const AttentionShape& shape, const ParallelFor& parallel) {
  const int64_t heads = shape.batch * shape.heads;
  const int64_t ranges = ranges_per_unit(parallel, heads, shape.tokens);
  return {std::min<int64_t>(parallel.threads, heads * ranges), ranges};
}

}  // namespace

const char* attention_check(const AttentionShape& shape) {
  if (shape.batch < 0 || shape.batch > kMaxSize) return "the batch must be 0 to 2^24";
  if (shape.tokens < 1 || shape.tokens > kMaxSize) return "the tokens must be 1 to 2^24";
  if (shape.heads < 1 || shape.heads > kMaxSize) return "heads must be 1 to 2^24";
  if (shape.head_dim < 8 || shape.head_dim > 128) return "the size of a head must be 8 to 128";
  return nullptr;
}

size_t attention_workspace(const AttentionShape& shape, const ParallelFor& parallel) {
  return static_cast<size_t>(split_for(shape, parallel).slots * layout(shape).total) * sizeof(float);
}

void attention(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
               const ParallelFor& parallel) {
  const StepBackend& isa = step_backend();
  const Layout l = layout(shape);
  const Split split = split_for(shape, parallel);
  const int64_t dim = shape.heads * shape.head_dim;
  const int64_t rows = (shape.tokens + split.ranges - 1) / split.ranges;
  const auto head_at = [&](int64_t index) {
    const int64_t image = index / shape.heads * shape.tokens;
    const int64_t column = index % shape.heads * shape.head_dim;
    const float* q = qkv + image * 3 * dim + column;
    return Head{q, q + dim, q + 2 * dim, out + image * dim + column, 3 * dim, dim, shape.tokens, shape.head_dim};
  };
  const int64_t units = shape.batch * shape.heads * split.ranges;
  take_units(parallel, split.slots, units, [&](int64_t slot, const auto& next) {
    const HeadScratch scratch = scratch_at(l, static_cast<float*>(workspace) + slot * l.total);
    int64_t packed = -1;
    for (int64_t unit = next(); unit >= 0; unit = next()) {
      const int64_t index = unit / split.ranges;
      const Head head = head_at(index);
      if (index != packed) isa.pack_head(head, scratch);
      packed = index;
      const int64_t begin = unit % split.ranges * rows;
      isa.attend(head, scratch, begin, std::min(shape.tokens, begin + rows));
    }
  });
}

}  // namespace hqdit
