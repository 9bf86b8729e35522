/* SPDX-License-Identifier: Apache-2.0
 * Our operators behind a plain C ABI, for ctypes and for hosts that load no runtime. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define HQDIT_API __declspec(dllexport)
#else
#define HQDIT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* An argument of an operator. */
typedef struct hqdit_value {
  int32_t kind;        /* 0 nothing, 1 tensor, 2 integer, 3 float, 4 bool (in `integer`), 5 text (in `data`) */
  int32_t element;     /* of a tensor: 0 float32, 1 uint8 */
  const void* data;    /* a tensor's elements, contiguous; a text that ends with a zero */
  const int64_t* dims; /* a tensor's sizes */
  int64_t rank;        /* how many sizes: at most 8 */
  int64_t integer;
  double real;
} hqdit_value;

/* Runs the operator `op` ("fp4_linear", "attention", ...: operators.h) on its arguments in torch's order
 * (docs/fp4-linear.md, docs/float-ops.md) and writes the tensor `out`, which must have the result's sizes and not
 * overlap an argument. Uses at most `threads` threads of the runtime's pool. Returns 0, or 1 and what is wrong in
 * `problem`. */
HQDIT_API int32_t hqdit_call(const char* op, const hqdit_value* arguments, int32_t count, const hqdit_value* out,
                             int32_t threads, char* problem, size_t problem_size);

/* "scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "amx", "neon", "dotprod", "i8mm" or "sme2". */
HQDIT_API const char* hqdit_isa(void);

/* Best first; a null pointer ends the list. */
HQDIT_API const char* const* hqdit_available_isas(void);

/* Uses `name` from now on. Returns null, or a static text that lists what this processor has if `name` is not among it.
 * Not while another thread computes. */
HQDIT_API const char* hqdit_use_isa(const char* name);

/* Measures how many billion int8 operations (two per multiply-add) this processor can start per second on `threads`
 * threads, from registers alone: of the best of its instruction sets, whichever is in use, the sum of each thread's
 * best moment. Takes about 0.1 s for each instruction set. */
HQDIT_API double hqdit_int8_peak_gops(int32_t threads);

/* Threads of the runtime's pool. */
HQDIT_API int32_t hqdit_thread_count(void);

/* From now on an operator that this thread calls may take at most `most` bytes of workspace, beyond which it fails for
 * want of memory; UINT64_MAX, as at first: any. Returns the bytes that one was refused since the call before, 0 if none
 * was. */
HQDIT_API uint64_t hqdit_limit_workspace(uint64_t most);

/* Registers our operators with ExecuTorch, once: a second call, or a second copy of the library, changes nothing. A
 * desktop build calls it when the library is loaded; an app that links us statically calls it before it loads a
 * program. */
HQDIT_API void hqdit_register_ops(void);

#ifdef __cplusplus
}
#endif
