// SPDX-License-Identifier: Apache-2.0
// hqdit.FP4Linear for ONNX Runtime.
#pragma once

#include <atomic>

#include "ort_op.h"

namespace hqdit::ort {

struct Fp4LinearOp {
  static constexpr const char* kName = "FP4Linear";
  enum : size_t { kX, kCodes, kTables, kScale, kBias, kPre, kInputs };
  static bool is_bytes(size_t input) { return input == kCodes || input == kTables; }

  Fp4LinearOp(const OrtApi& api, const OrtKernelInfo* info);
  void compute(OrtKernelContext* context);

  Node node;

 private:
  void check_weight(const Fp4Weight& weight);

  int64_t group_, rotation_, activation_, activation_group_;
  int64_t counts_[kInputs] = {};  // elements of the initializers
  std::atomic<bool> tables_checked_{false};
};

}  // namespace hqdit::ort
