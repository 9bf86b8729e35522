// SPDX-License-Identifier: Apache-2.0
#include "ort_fp4_linear.h"

#include "operators.h"

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
  for (size_t i = kCodes; i < kInputs; ++i) counts_[i] = node.constant_count(info, i, kInputNames[i]);
  if (activation_ < 0 || activation_ > 2) node.fail("attribute 'activation' must be 0, 1 or 2");
}

void Fp4LinearBase::check_weight(const Fp4Weight& weight) {
  require(fp4_linear_check(weight, static_cast<Activation>(activation_), activation_group_));
  const StoredSize stored = fp4_stored_size(weight);
  const int64_t wanted[] = {0, stored.codes, stored.tables, weight.n, weight.n, weight.k};
  for (size_t i = kCodes; i < kInputs; ++i) {
    if (counts_[i] == wanted[i]) continue;
    node.fail(std::string("input '") + kInputNames[i] + "' has " + std::to_string(counts_[i]) + " elements, but " +
              std::to_string(weight.k) + " inputs and " + std::to_string(weight.n) + " outputs need " +
              std::to_string(wanted[i]));
  }
  if (tables_checked_.load(std::memory_order_relaxed)) return;
  require(fp4_tables_check(weight));
  tables_checked_.store(true, std::memory_order_relaxed);
}

void Fp4LinearBase::compute(OrtKernelContext* context) {
  Call call(node, context);
  View inputs[kInputs];
  for (size_t i = 0; i < kInputs; ++i) {
    inputs[i] = call.input(i);
    const bool bytes = is_bytes(i);
    if (inputs[i].element != (bytes ? Element::kByte : Element::kFloat)) {
      node.fail(std::string("input '") + kInputNames[i] + "' must be of type " + (bytes ? "uint8" : "float32"));
    }
    if (!readable(inputs[i].data, inputs[i].count(), bytes ? 1 : sizeof(float))) {
      node.fail(std::string("input '") + kInputNames[i] + "' has no data, or none that is aligned");
    }
  }
  if (inputs[kX].rank == 0) node.fail("input 'x' must have at least 1 size");
  const Fp4Weight weight{inputs[kCodes].bytes(),
                         inputs[kTables].bytes(),
                         inputs[kScale].floats(),
                         inputs[kBias].floats(),
                         inputs[kPre].floats(),
                         counts_[kScale],
                         inputs[kX].last(),
                         group_,
                         rotation_};
  check_weight(weight);
  ops::run_fp4_linear(call, weight, inputs[kX], static_cast<Activation>(activation_), activation_group_, epilogue_);
}

}  // namespace hqdit::ort
