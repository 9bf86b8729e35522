// SPDX-License-Identifier: Apache-2.0
// The float operators around fp4_linear in a DiT; docs/float-ops.md is their definition. Raw pointers to
// contiguous float32, no allocation, no exceptions, the same bits on every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hqdit/fp4_linear.h"

namespace hqdit {

struct AttentionShape {
  int64_t batch;
  int64_t tokens;
  int64_t heads;
  int64_t head_dim;  ///< 8 to 128
};

/// nullptr if the attention can be computed, else a static text that says what is wrong.
const char* attention_check(const AttentionShape& shape);

/// Bytes of scratch attention needs.
size_t attention_workspace(const AttentionShape& shape, const ParallelFor& parallel);

/// out [batch][tokens][heads * head_dim] = softmax(q k^T / sqrt(head_dim)) v, from qkv
/// [batch][tokens][3][heads][head_dim]. `workspace` must have 64-byte alignment. qkv and out must not overlap.
void attention(const AttentionShape& shape, const float* qkv, float* out, void* workspace, const ParallelFor& parallel);

/// Bytes of scratch attention_int8 needs.
size_t attention_int8_workspace(const AttentionShape& shape, const ParallelFor& parallel);

/// attention with both products in int8, from and to the same arrays. `workspace` must have 64-byte alignment. qkv and
/// out must not overlap.
void attention_int8(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
                    const ParallelFor& parallel);

/// x [batch][tokens][dim] with vectors of one adaLN output, modulation [batch][vectors][dim].
struct ModulatedShape {
  int64_t batch;
  int64_t tokens;
  int64_t dim;
  int64_t vectors;
};

/// nullptr if vector `index` exists and the sizes are good, else a static text that says what is wrong.
const char* modulated_check(const ModulatedShape& shape, int64_t index);

/// out = layer_norm(x) * (1 + modulation[:, scale_index]) + modulation[:, shift_index]. out may be x.
void modulated_norm(const ModulatedShape& shape, const float* x, const float* modulation, int64_t shift_index,
                    int64_t scale_index, float eps, float* out, const ParallelFor& parallel);

/// out = x + modulation[:, gate_index] * y. out may be x or y.
void gated_add(const ModulatedShape& shape, const float* x, const float* modulation, int64_t gate_index, const float* y,
               float* out, const ParallelFor& parallel);

/// out [count] = gelu_tanh(x [count]), the tanh approximation. out may be x.
void gelu_tanh(const float* x, int64_t count, float* out, const ParallelFor& parallel);

/// out [count] = x [count] / (1 + exp(-x)). out may be x.
void silu_f32(const float* x, int64_t count, float* out, const ParallelFor& parallel);

/// x [batch][channels][pixels]; the channels are normalized in `groups` runs of equal length.
struct GroupNormShape {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int64_t groups;
};

/// nullptr if the sizes are good, else a static text that says what is wrong.
const char* group_norm_check(const GroupNormShape& shape);

/// out = group_norm(x) * weight [channels] + bias [channels], then SiLU if `silu`. out may be x. `statistics`
/// [groups][2]: mean and variance of every group to take in place of x's own.
void group_norm_f32(const GroupNormShape& shape, const float* x, const float* weight, const float* bias, float eps,
                    bool silu, float* out, const ParallelFor& parallel, const float* statistics = nullptr);

struct LinearShape {
  int64_t rows;
  int64_t inputs;
  int64_t outputs;
};

/// nullptr if the product can be computed, else a static text that says what is wrong.
const char* linear_check(const LinearShape& shape);

/// Bytes of scratch linear_f32 needs.
size_t linear_workspace(const LinearShape& shape, const ParallelFor& parallel);

/// out [rows][outputs] = x [rows][inputs] times the rows of weight [outputs][inputs], plus bias [outputs] unless it is
/// nullptr. For weights that stay in float32 because they are small: each call packs them again. `workspace` must have
/// 64-byte alignment. x and out must not overlap.
void linear_f32(const LinearShape& shape, const float* x, const float* weight, const float* bias, float* out,
                void* workspace, const ParallelFor& parallel);

/// out [batch][2 * count] = the cosines, then the sines, of timesteps [batch] times frequencies [count], each angle
/// rounded to float32; NaN if an angle exceeds 2^20.
void timestep_embedding(const float* timesteps, int64_t batch, const float* frequencies, int64_t count, float* out);

}  // namespace hqdit
