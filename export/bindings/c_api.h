/* SPDX-License-Identifier: Apache-2.0
 * The kernels behind a plain C ABI, for ctypes and for hosts that load no runtime. docs/fp4-linear.md has the meaning
 * of every argument. */
#pragma once

#include <stdint.h>

#ifdef _WIN32
#define HQDIT_API __declspec(dllexport)
#else
#define HQDIT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* out [rows][n] = fp4_linear(x [rows][k]), all contiguous. bias and pre may be null. activation: 0 int8, 1 fp4, 2 e2m1.
 * epilogue: 0 none, 1 gelu_tanh of the outputs. Uses at most `threads` threads of the runtime's pool. Returns null, or
 * a static text that says what is wrong. */
HQDIT_API const char* hqdit_fp4_linear(const float* x, int64_t rows, const uint8_t* codes, const uint8_t* tables,
                                       const float* scale, const float* bias, const float* pre, int64_t n, int64_t k,
                                       int64_t group, int64_t rotation, int32_t activation, int64_t activation_group,
                                       int32_t epilogue, int32_t threads, float* out);

/* "scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "amx", "neon", "dotprod", "i8mm" or "sme2". */
HQDIT_API const char* hqdit_isa(void);

/* Best first; a null pointer ends the list. */
HQDIT_API const char* const* hqdit_available_isas(void);

/* Uses `name` from now on. Returns null, or a static text that lists what this processor has if `name` is not among it.
 * Not while another thread computes. */
HQDIT_API const char* hqdit_use_isa(const char* name);

/* Measures for about 0.2 s how many billion int8 operations (two per multiply-add) the instruction set in use can
 * start per second on `threads` threads, from registers alone; the sum of each thread's best moment. */
HQDIT_API double hqdit_int8_peak_gops(int32_t threads);

/* Threads of the runtime's pool. */
HQDIT_API int32_t hqdit_thread_count(void);

/* Registers our operators with ExecuTorch, once: a second call, or a second copy of the library, changes nothing. A
 * desktop build calls it when the library is loaded; an app that links us statically calls it before it loads a
 * program. */
HQDIT_API void hqdit_register_ops(void);

#ifdef __cplusplus
}
#endif
