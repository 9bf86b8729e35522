// SPDX-License-Identifier: Apache-2.0
#include "step_c_api.h"

#include "hqdit/step_ops.h"
#include "scratch.h"

const char* hqdit_attention(const float* qkv, int64_t batch, int64_t tokens, int64_t heads, int64_t head_dim,
                            int32_t threads, float* out) {
  const hqdit::AttentionShape shape{batch, tokens, heads, head_dim};
  if (const char* problem = hqdit::attention_check(shape)) return problem;
  const hqdit::ParallelFor parallel = hqdit::thread_pool(threads);
  void* workspace = hqdit::thread_scratch(hqdit::attention_workspace(shape, parallel));
  if (!workspace) return "out of memory for the workspace";
  hqdit::attention(shape, qkv, out, workspace, parallel);
  return nullptr;
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

const char* hqdit_gelu_tanh(const float* x, int64_t count, int32_t threads, float* out) {
  if (count < 0) return "count must not be negative";
  hqdit::gelu_tanh(x, count, out, hqdit::thread_pool(threads));
  return nullptr;
}
