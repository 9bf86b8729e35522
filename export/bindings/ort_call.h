// SPDX-License-Identifier: Apache-2.0
// What our ONNX Runtime operators share: errors that name the node, tensors, the session's threads and memory.
#pragma once

#if defined(HQDIT_ORT_HEADER)
#include <onnxruntime_c_api.h>
#else
#include "ort_abi.h"
#endif

#include <cstddef>
#include <cstdint>
#include <string>

#include "operator.h"

namespace hqdit::ort {

constexpr uint32_t kApiVersion = 17;  // the first with KernelContext_ParallelFor

/// Thrown inside the library only; guarded() turns it into what ONNX Runtime expects.
struct Failure {
  OrtStatus* status;
};

inline void check(OrtStatus* status) {
  if (status) throw Failure{status};
}

/// A node of the graph as its kernel is made.
class Node {
 public:
  Node(const OrtApi& api, const OrtKernelInfo* info, const char* op_name);

  const OrtApi& api() const { return api_; }
  int64_t integer(const OrtKernelInfo* info, const char* attribute) const;
  float real(const OrtKernelInfo* info, const char* attribute) const;

  /// How many elements an input has, which must be an initializer.
  int64_t constant_count(const OrtKernelInfo* info, size_t index, const char* input) const;

  /// Throws Failure with the operator, this node, `what` and the repair.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  const OrtApi& api_;
  std::string op_, name_;
};

/// One run of a node.
class Call final : public Host {
 public:
  Call(const Node& node, OrtKernelContext* context) : node_(node), api_(node.api()), context_(context) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Throws Failure if the input is missing.
  View input(size_t index) const;

  bool output(const int64_t* dims, size_t rank, float** data) override;
  /// Not from the session's arena, which has no huge pages. Throws if memory ran out.
  void* scratch(size_t bytes) override;
  /// On the session's own threads; valid while this call lives.
  ParallelFor parallel() override;
  /// Throws Failure.
  bool refuse(const char* problem) override { node_.fail(problem); }

 private:
  static void run_units(void* call, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg);

  const Node& node_;
  const OrtApi& api_;
  OrtKernelContext* context_;
};

/// Runs work; what it throws becomes a status, because nothing may be thrown through C.
OrtStatus* guarded_call(const OrtApi& api, void (*work)(void*), void* data);

template <class Work>
OrtStatus* guarded(const OrtApi& api, Work work) {
  return guarded_call(api, [](void* data) { (*static_cast<Work*>(data))(); }, &work);
}

/// The table that ONNX Runtime wants of an operator. Op has kName, kInputs, is_bytes(input), Op(api, info) and
/// compute(context).
template <class Op>
OrtCustomOp custom_op() {
  using Table = const OrtCustomOp*;
  OrtCustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](Table) -> const char* { return Op::kName; };
  op.GetExecutionProviderType = [](Table) -> const char* { return nullptr; };  // CPU
  op.GetInputTypeCount = [](Table) -> size_t { return Op::kInputs; };
  op.GetInputType = [](Table, size_t index) {
    return Op::is_bytes(index) ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  };
  op.GetOutputTypeCount = [](Table) -> size_t { return 1; };
  op.GetOutputType = [](Table, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  op.GetInputCharacteristic = [](Table, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = [](Table, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetInputMemoryType = [](Table, size_t) { return OrtMemTypeDefault; };
  op.GetVariadicInputMinArity = op.GetVariadicOutputMinArity = [](Table) { return 1; };
  op.GetVariadicInputHomogeneity = op.GetVariadicOutputHomogeneity = [](Table) { return 1; };
  op.CreateKernelV2 = [](Table, const OrtApi* api, const OrtKernelInfo* info, void** out) {
    return guarded(*api, [&] { *out = new Op(*api, info); });
  };
  op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
    Op& self = *static_cast<Op*>(kernel);
    return guarded(self.node.api(), [&] { self.compute(context); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Op*>(kernel); };
  op.GetStartVersion = op.GetEndVersion = [](Table) { return 1; };
  return op;
}

}  // namespace hqdit::ort
