/* SPDX-License-Identifier: Apache-2.0
 * The step operators behind a plain C ABI. docs/float-ops.md has the meaning of every argument; all arrays are
 * contiguous float32. Each uses at most `threads` threads of the runtime's pool and returns null, or a static text that
 * says what is wrong. */
#pragma once

#include "c_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qkv [batch][tokens][3][heads][head_dim] -> out [batch][tokens][heads][head_dim]. */
HQDIT_API const char* hqdit_attention(const float* qkv, int64_t batch, int64_t tokens, int64_t heads, int64_t head_dim,
                                      int32_t threads, float* out);
HQDIT_API const char* hqdit_attention_int8(const float* qkv, int64_t batch, int64_t tokens, int64_t heads,
                                           int64_t head_dim, int32_t threads, float* out);

/* x [batch][tokens][dim], modulation [batch][vectors][dim] -> out, as x. */
HQDIT_API const char* hqdit_modulated_norm(const float* x, const float* modulation, int64_t batch, int64_t tokens,
                                           int64_t dim, int64_t vectors, int64_t shift_index, int64_t scale_index,
                                           float eps, int32_t threads, float* out);

/* x and y [batch][tokens][dim], modulation [batch][vectors][dim] -> out, as x. */
HQDIT_API const char* hqdit_gated_add(const float* x, const float* modulation, const float* y, int64_t batch,
                                      int64_t tokens, int64_t dim, int64_t vectors, int64_t gate_index, int32_t threads,
                                      float* out);

/* x [batch][channels][pixels], weight and bias [channels], normalized in `groups` groups, then SiLU if `silu` is not 0
 * -> out, as x. */
HQDIT_API const char* hqdit_group_norm_f32(const float* x, const float* weight, const float* bias, int64_t batch,
                                           int64_t channels, int64_t pixels, int64_t groups, float eps, int32_t silu,
                                           int32_t threads, float* out);

/* The same with statistics [groups][2], mean and variance, in place of x's own. */
HQDIT_API const char* hqdit_group_norm_given_f32(const float* x, const float* weight, const float* bias,
                                                 const float* statistics, int64_t batch, int64_t channels,
                                                 int64_t pixels, int64_t groups, float eps, int32_t silu,
                                                 int32_t threads, float* out);

/* x [count] -> out [count]. */
HQDIT_API const char* hqdit_gelu_tanh(const float* x, int64_t count, int32_t threads, float* out);
HQDIT_API const char* hqdit_silu_f32(const float* x, int64_t count, int32_t threads, float* out);

/* x [rows][inputs], weight [outputs][inputs], bias [outputs] or null -> out [rows][outputs]. */
HQDIT_API const char* hqdit_linear_f32(const float* x, const float* weight, const float* bias, int64_t rows,
                                       int64_t inputs, int64_t outputs, int32_t threads, float* out);

/* timesteps [batch], frequencies [count] -> out [batch][2][count]. Uses one thread whatever `threads` is. */
HQDIT_API const char* hqdit_timestep_embedding(const float* timesteps, const float* frequencies, int64_t batch,
                                               int64_t count, int32_t threads, float* out);

#ifdef __cplusplus
}
#endif
