// SPDX-License-Identifier: Apache-2.0
#include "hqdit/float_ops.h"

#include "float_ops/backend.h"
#include "float_ops/parallel.h"

namespace hqdit {
namespace {

constexpr int64_t kFloat = sizeof(float);

/// Calls work(first row, rows, the row's image) for parts of [batch][tokens] that stay inside one image.
template <typename Work>
void split_tokens(const ModulatedShape& shape, int64_t bytes, const ParallelFor& parallel, const Work& work) {
  split_rows(parallel, shape.batch * shape.tokens, bytes, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t image = begin / shape.tokens;
      const int64_t stop = std::min(end, (image + 1) * shape.tokens);
      work(begin, stop - begin, image);
      begin = stop;
    }
  });
}

const float* vector_at(const ModulatedShape& shape, const float* modulation, int64_t image, int64_t index) {
  return modulation + (image * shape.vectors + index) * shape.dim;
}

}  // namespace

const char* modulated_check(const ModulatedShape& shape, int64_t index) {
  if (shape.batch < 0 || shape.tokens < 0) return "the batch and the tokens must not be negative";
  if (shape.dim < 1) return "the last size of x must be at least 1";
  if (index < 0 || index >= shape.vectors) return "an index of a modulation vector is out of range";
  return nullptr;
}

const char* group_norm_check(const GroupNormShape& shape) {
  if (shape.batch < 0) return "the batch must not be negative";
  if (shape.channels < 1 || shape.pixels < 1) return "the channels and pixels must be at least 1";
  if (shape.groups < 1 || shape.channels % shape.groups != 0) return "the groups must divide the channels";
  return nullptr;
}

void modulated_norm(const ModulatedShape& shape, const float* x, const float* modulation, int64_t shift_index,
                    int64_t scale_index, float eps, float* out, const ParallelFor& parallel) {
  const FloatBackend& isa = float_backend();
  split_tokens(shape, 2 * kFloat * shape.dim, parallel, [&](int64_t row, int64_t rows, int64_t image) {
    const float* shift = vector_at(shape, modulation, image, shift_index);
    const float* scale = vector_at(shape, modulation, image, scale_index);
    isa.norm({x + row * shape.dim, shift, scale, out + row * shape.dim, rows, shape.dim, eps});
  });
}

void gated_add(const ModulatedShape& shape, const float* x, const float* modulation, int64_t gate_index, const float* y,
               float* out, const ParallelFor& parallel) {
  const FloatBackend& isa = float_backend();
  split_tokens(shape, 3 * kFloat * shape.dim, parallel, [&](int64_t row, int64_t rows, int64_t image) {
    const int64_t offset = row * shape.dim;
    const float* gate = vector_at(shape, modulation, image, gate_index);
    isa.gated({x + offset, gate, y + offset, out + offset, rows, shape.dim});
  });
}

void group_norm_f32(const GroupNormShape& shape, const float* x, const float* weight, const float* bias, float eps,
                    bool silu, float* out, const ParallelFor& parallel, const float* statistics) {
  const FloatBackend& isa = float_backend();
  const int64_t channels = shape.channels / shape.groups, size = channels * shape.pixels;
  split_rows(parallel, shape.batch * shape.groups, 2 * kFloat * size, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      const int64_t index = group % shape.groups, first = index * channels;
      const float* known = statistics != nullptr ? statistics + 2 * index : nullptr;
      isa.group_norm({x + group * size, weight + first, bias + first, out + group * size, channels, shape.pixels, eps,
                      silu, known});
    }
  });
}

void gelu_tanh(const float* x, int64_t count, float* out, const ParallelFor& parallel) {
  const FloatBackend& isa = float_backend();
  split_rows(parallel, count, 2 * kFloat,
             [&](int64_t begin, int64_t end) { isa.gelu(x + begin, end - begin, out + begin); });
}

void silu_f32(const float* x, int64_t count, float* out, const ParallelFor& parallel) {
  const FloatBackend& isa = float_backend();
  split_rows(parallel, count, 2 * kFloat,
             [&](int64_t begin, int64_t end) { isa.silu(x + begin, end - begin, out + begin); });
}

}  // namespace hqdit
