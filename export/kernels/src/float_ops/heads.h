// SPDX-License-Identifier: Apache-2.0
// Splits one attention call into heads and, when there are few, row ranges of a head.
#pragma once

#include <algorithm>
#include <cstdint>

#include "float_ops/backend.h"
#include "float_ops/parallel.h"
#include "hqdit/float_ops.h"

namespace hqdit {

struct HeadSplit {
  int64_t slots;
  int64_t ranges;  ///< per head
};

inline HeadSplit split_heads(const AttentionShape& shape, const ParallelFor& parallel) {
  const int64_t heads = shape.batch * shape.heads;
  const int64_t ranges = ranges_per_unit(parallel, heads, shape.tokens);
  return {std::min<int64_t>(parallel.threads, heads * ranges), ranges};
}

/// worker_at(slot) gives what one thread works with: pack(head) before the first of a head's row ranges and
/// attend(head, begin, end) for each of them.
template <class WorkerAt>
void each_head(const AttentionShape& shape, const float* qkv, float* out, const ParallelFor& parallel,
               const WorkerAt& worker_at) {
  const HeadSplit split = split_heads(shape, parallel);
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
    const auto worker = worker_at(slot);
    int64_t packed = -1;
    for (int64_t unit = next(); unit >= 0; unit = next()) {
      const int64_t index = unit / split.ranges;
      const Head head = head_at(index);
      if (index != packed) worker.pack(head);
      packed = index;
      const int64_t begin = unit % split.ranges * rows;
      worker.attend(head, begin, std::min(shape.tokens, begin + rows));
    }
  });
}

}  // namespace hqdit
