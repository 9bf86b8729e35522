// SPDX-License-Identifier: Apache-2.0
#include "float_ops_c_api.h"

#include "executorch_threads.h"
#include "hqdit/float_ops.h"
#include "thread_scratch.h"

namespace {

using Workspace = size_t (*)(const hqdit::AttentionShape& shape, const hqdit::ParallelFor& parallel);
using Attention = void (*)(const hqdit::AttentionShape& shape, const float* qkv, float* out, void* workspace,
                           const hqdit::ParallelFor& parallel);

const char* attend(Workspace workspace_bytes, Attention attention, const hqdit::AttentionShape& shape, const float* qkv,
                   int32_t threads, float* out) {
  if (const char* problem = hqdit::attention_check(shape)) return problem;
  const hqdit::ParallelFor parallel = hqdit::thread_pool(threads);
  void* workspace = hqdit::thread_scratch(workspace_bytes(shape, parallel));
  if (!workspace) return "out of memory for the workspace";
  attention(shape, qkv, out, workspace, parallel);
  return nullptr;
}

}  // namespace

const char* hqdit_attention(const float* qkv, int64_t batch, int64_t tokens, int64_t heads, int64_t head_dim,
                            int32_t threads, float* out) {
  return attend(hqdit::attention_workspace, hqdit::attention, {batch, tokens, heads, head_dim}, qkv, threads, out);
}

const char* hqdit_attention_int8(const float* qkv, int64_t batch, int64_t tokens, int64_t heads, int64_t head_dim,
                                 int32_t threads, float* out) {
  return attend(hqdit::attention_int8_workspace, hqdit::attention_int8, {batch, tokens, heads, head_dim}, qkv, threads,
                out);
}

const char* hqdit_modulated_norm(const float* x, const float* modulation, int64_t batch, int64_t tokens, int64_t dim,
                                 int64_t vectors, int64_t shift_index, int64_t scale_index, float eps, int32_t threads,
                                 float* out) {
  const hqdit::ModulatedShape shape{batch, tokens, dim, vectors};
  if (const char* problem = hqdit::modulated_check(shape, shift_index)) return problem;
  if (const char* problem = hqdit::modulated_check(shape, scale_index)) return problem;
  hqdit::modulated_norm(shape, x, modulation, shift_index, scale_index, eps, out, hqdit::thread_pool(threads));
  return nullptr;
}

const char* hqdit_gated_add(const float* x, const float* modulation, const float* y, int64_t batch, int64_t tokens,
                            int64_t dim, int64_t vectors, int64_t gate_index, int32_t threads, float* out) {
  const hqdit::ModulatedShape shape{batch, tokens, dim, vectors};
  if (const char* problem = hqdit::modulated_check(shape, gate_index)) return problem;
  hqdit::gated_add(shape, x, modulation, gate_index, y, out, hqdit::thread_pool(threads));
  return nullptr;
}

const char* hqdit_group_norm_f32(const float* x, const float* weight, const float* bias, int64_t batch,
                                 int64_t channels, int64_t pixels, int64_t groups, float eps, int32_t silu,
                                 int32_t threads, float* out) {
  const hqdit::GroupNormShape shape{batch, channels, pixels, groups};
  if (const char* problem = hqdit::group_norm_check(shape)) return problem;
  hqdit::group_norm_f32(shape, x, weight, bias, eps, silu != 0, out, hqdit::thread_pool(threads));
  return nullptr;
}

const char* hqdit_group_norm_given_f32(const float* x, const float* weight, const float* bias, const float* statistics,
                                       int64_t batch, int64_t channels, int64_t pixels, int64_t groups, float eps,
                                       int32_t silu, int32_t threads, float* out) {
  const hqdit::GroupNormShape shape{batch, channels, pixels, groups};
  if (const char* problem = hqdit::group_norm_check(shape)) return problem;
  hqdit::group_norm_f32(shape, x, weight, bias, eps, silu != 0, out, hqdit::thread_pool(threads), statistics);
  return nullptr;
}

const char* hqdit_gelu_tanh(const float* x, int64_t count, int32_t threads, float* out) {
  if (count < 0) return "count must not be negative";
  hqdit::gelu_tanh(x, count, out, hqdit::thread_pool(threads));
  return nullptr;
}

const char* hqdit_silu_f32(const float* x, int64_t count, int32_t threads, float* out) {
  if (count < 0) return "count must not be negative";
  hqdit::silu_f32(x, count, out, hqdit::thread_pool(threads));
  return nullptr;
}

const char* hqdit_linear_f32(const float* x, const float* weight, const float* bias, int64_t rows, int64_t inputs,
                             int64_t outputs, int32_t threads, float* out) {
  const hqdit::LinearShape shape{rows, inputs, outputs};
  if (const char* problem = hqdit::linear_check(shape)) return problem;
  const hqdit::ParallelFor parallel = hqdit::thread_pool(threads);
  void* workspace = hqdit::thread_scratch(hqdit::linear_workspace(shape, parallel));
  if (!workspace) return "out of memory for the workspace";
  hqdit::linear_f32(shape, x, weight, bias, out, workspace, parallel);
  return nullptr;
}

const char* hqdit_timestep_embedding(const float* timesteps, const float* frequencies, int64_t batch, int64_t count,
                                     int32_t, float* out) {
  if (batch < 0 || count < 0) return "the sizes must not be negative";
  hqdit::timestep_embedding(timesteps, batch, frequencies, count, out);
  return nullptr;
}
