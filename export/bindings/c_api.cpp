// SPDX-License-Identifier: Apache-2.0
#include "c_api.h"

#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include "executorch_threads.h"
#include "hqdit/fp4_linear.h"

const char* hqdit_isa(void) { return hqdit::isa(); }

const char* const* hqdit_available_isas(void) { return hqdit::available_isas(); }

const char* hqdit_use_isa(const char* name) { return hqdit::use_isa(name); }

double hqdit_int8_peak_gops(int32_t threads) { return hqdit::int8_peak_gops(hqdit::thread_pool(threads)); }

int32_t hqdit_thread_count(void) { return static_cast<int32_t>(executorch::extension::get_thread_count()); }
