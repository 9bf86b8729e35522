// SPDX-License-Identifier: Apache-2.0
// Attention in float32: the memory of each thread.
#include "float_ops/backend.h"
#include "float_ops/heads.h"
#include "gemm/slot_memory.h"
#include "hqdit/float_ops.h"

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

SlotMemory own_memory(const AttentionShape& shape, const Layout& l, const ParallelFor& parallel) {
  return {split_heads(shape, parallel).slots, static_cast<size_t>(l.total) * sizeof(float)};
}

struct Worker {
  const FloatBackend& isa;
  HeadScratch scratch;

  void pack(const Head& head) const { isa.pack_head(head, scratch); }
  void attend(const Head& head, int64_t begin, int64_t end) const { isa.attend(head, scratch, begin, end); }
};

}  // namespace

const char* attention_check(const AttentionShape& shape) {
  if (shape.batch < 0 || shape.batch > kMaxSize) return "the batch must be 0 to 2^24";
  if (shape.tokens < 1 || shape.tokens > kMaxSize) return "the tokens must be 1 to 2^24";
  if (shape.heads < 1 || shape.heads > kMaxSize) return "heads must be 1 to 2^24";
  if (shape.head_dim < 8 || shape.head_dim > 128) return "the size of a head must be 8 to 128";
  return nullptr;
}

size_t attention_workspace(const AttentionShape& shape, const ParallelFor& parallel) {
  return own_memory(shape, layout(shape), parallel).total();
}

void attention(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
               const ParallelFor& parallel) {
  const Layout l = layout(shape);
  const SlotMemory own = own_memory(shape, l, parallel);
  each_head(shape, qkv, out, parallel,
            [&](int64_t slot) { return Worker{float_backend(), scratch_at(l, own.at<float>(workspace, slot))}; });
}

}  // namespace hqdit
