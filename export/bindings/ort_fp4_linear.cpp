// SPDX-License-Identifier: Apache-2.0
#include "ort_fp4_linear.h"

namespace hqdit::ort {
namespace {

constexpr const char* kInputNames[] = {"x", "codes", "tables", "scale", "bias", "pre"};

}  // namespace

Fp4LinearBase::Fp4LinearBase(const OrtApi& api, const OrtKernelInfo* info, const char* op_name, Epilogue epilogue)
    : node(api, info, op_name),
      epilogue_(epilogue),
      group_(node.integer(info, "group")),
      rotation_(node.integer(info, "rotation")),
      activation_(node.integer(info, "activation")),
      activation_group_(node.integer(info, "activation_group")) {
  for (size_t i = kCodes; i < kInputs; ++i) counts_[i] = node.constant_shape(info, i, kInputNames[i]).count();
  if (activation_ < 0 || activation_ > 2) node.fail("attribute 'activation' must be 0, 1 or 2");
}

void Fp4LinearBase::check_weight(const Fp4Weight& weight) {
  node.require(fp4_linear_check(weight, static_cast<Activation>(activation_), activation_group_));
  const StoredSize stored = fp4_stored_size(weight);
  const int64_t wanted[] = {0, stored.codes, stored.tables, weight.n, weight.n, weight.k};
  for (size_t i = kCodes; i < kInputs; ++i) {
    if (counts_[i] == wanted[i]) continue;
    node.fail(std::string("input '") + kInputNames[i] + "' has " + std::to_string(counts_[i]) + " elements, but " +
              std::to_string(weight.k) + " inputs and " + std::to_string(weight.n) + " outputs need " +
              std::to_string(wanted[i]));
  }
  if (tables_checked_.load(std::memory_order_relaxed)) return;
  node.require(fp4_tables_check(weight));
  tables_checked_.store(true, std::memory_order_relaxed);
}

void Fp4LinearBase::compute(OrtKernelContext* context) {
  Call call(node, context);
  const Input x = call.input(kX);
  const Fp4Weight weight{call.input(kCodes, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8).bytes(),
                         call.input(kTables, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8).bytes(),
                         call.input(kScale).floats(),
                         call.input(kBias).floats(),
                         call.input(kPre).floats(),
                         counts_[kScale],
                         x.shape.back(),
                         group_,
                         rotation_};
  check_weight(weight);
  Shape shape = x.shape;
  shape.dims[shape.rank - 1] = weight.n;
  float* out = call.output(shape);
  const int64_t rows = x.shape.count() / weight.k;
  const ParallelFor parallel = call.parallel();
  fp4_linear(weight, x.floats(), rows, static_cast<Activation>(activation_), activation_group_, epilogue_, out,
             call.scratch(fp4_linear_workspace(weight, rows, parallel)), parallel);
}

}  // namespace hqdit::ort
