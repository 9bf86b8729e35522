// SPDX-License-Identifier: Apache-2.0
// hqdit.FP4Linear and hqdit.FP4LinearGelu for ONNX Runtime.
#pragma once

#include <atomic>

#include "ort_call.h"

namespace hqdit::ort {

class Fp4LinearBase {
 public:
  enum : size_t { kX, kCodes, kTables, kScale, kBias, kPre, kInputs };
  static bool is_bytes(size_t input) { return input == kCodes || input == kTables; }

  Fp4LinearBase(const OrtApi& api, const OrtKernelInfo* info, const char* op_name, Epilogue epilogue);
  void compute(OrtKernelContext* context);

  Node node;

 private:
  void check_weight(const Fp4Weight& weight);
  void require(const char* problem) const {
    if (problem) node.fail(problem);
  }

  Epilogue epilogue_;
  int64_t group_, rotation_, activation_, activation_group_;
  int64_t counts_[kInputs] = {};  // elements of the initializers
  std::atomic<bool> tables_checked_{false};
};

struct Fp4LinearOp : Fp4LinearBase {
  static constexpr const char* kName = "FP4Linear";
  Fp4LinearOp(const OrtApi& api, const OrtKernelInfo* info) : Fp4LinearBase(api, info, kName, Epilogue::kNone) {}
};

struct Fp4LinearGeluOp : Fp4LinearBase {
  static constexpr const char* kName = "FP4LinearGelu";
  Fp4LinearGeluOp(const OrtApi& api, const OrtKernelInfo* info) : Fp4LinearBase(api, info, kName, Epilogue::kGelu) {}
};

}  // namespace hqdit::ort
