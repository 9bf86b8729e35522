// SPDX-License-Identifier: Apache-2.0
#include "c_api.h"

#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include "executorch_threads.h"
#include "hqdit/fp4_linear.h"
#include "thread_scratch.h"

const char* hqdit_fp4_linear(const float* x, int64_t rows, const uint8_t* codes, const uint8_t* tables,
                             const float* scale, const float* bias, const float* pre, int64_t n, int64_t k,
                             int64_t group, int64_t rotation, int32_t activation, int64_t activation_group,
                             int32_t epilogue, int32_t threads, float* out) {
  const hqdit::Fp4Weight weight{codes, tables, scale, bias, pre, n, k, group, rotation};
  const auto kind = static_cast<hqdit::Activation>(activation);
  if (const char* problem = hqdit::fp4_linear_check(weight, kind, activation_group)) return problem;
  if (const char* problem = hqdit::fp4_tables_check(weight)) return problem;
  if (epilogue < 0 || epilogue > 1) return "epilogue must be 0 or 1";
  if (rows < 0) return "rows must not be negative";
  if (rows > 0 && (!x || !out)) return "x or out is a null pointer";
  const hqdit::ParallelFor parallel = hqdit::thread_pool(threads);
  void* workspace = hqdit::thread_scratch(hqdit::fp4_linear_workspace(weight, rows, parallel));
  if (!workspace) return "out of memory for the workspace";
  hqdit::fp4_linear(weight, x, rows, kind, activation_group, static_cast<hqdit::Epilogue>(epilogue), out, workspace,
                    parallel);
  return nullptr;
}

const char* hqdit_isa(void) { return hqdit::isa(); }

const char* const* hqdit_available_isas(void) { return hqdit::available_isas(); }

const char* hqdit_use_isa(const char* name) { return hqdit::use_isa(name); }

double hqdit_int8_peak_gops(int32_t threads) { return hqdit::int8_peak_gops(hqdit::thread_pool(threads)); }

int32_t hqdit_thread_count(void) { return static_cast<int32_t>(executorch::extension::get_thread_count()); }
