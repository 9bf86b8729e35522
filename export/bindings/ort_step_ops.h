// SPDX-License-Identifier: Apache-2.0
// The step operators (docs/step-ops.md) for ONNX Runtime.
#pragma once

#include "ort_op.h"

namespace hqdit::ort {

struct FloatOp {
  static bool is_bytes(size_t) { return false; }
};

struct AttentionOp : FloatOp {
  static constexpr const char* kName = "QkvAttention";
  enum : size_t { kQkv, kInputs };
  AttentionOp(const OrtApi& api, const OrtKernelInfo* info);
  void compute(OrtKernelContext* context);

  Node node;
  int64_t heads;
};

struct ModulatedNormOp : FloatOp {
  static constexpr const char* kName = "ModulatedNorm";
  enum : size_t { kX, kModulation, kInputs };
  ModulatedNormOp(const OrtApi& api, const OrtKernelInfo* info);
  void compute(OrtKernelContext* context);

  Node node;
  int64_t shift_index, scale_index;
  float epsilon;
};

struct GatedAddOp : FloatOp {
  static constexpr const char* kName = "GatedAdd";
  enum : size_t { kX, kModulation, kY, kInputs };
  GatedAddOp(const OrtApi& api, const OrtKernelInfo* info);
  void compute(OrtKernelContext* context);

  Node node;
  int64_t gate_index;
};

/// y[i] = Function(x[i]).
template <class Function>
struct ElementwiseOp : FloatOp {
  static constexpr const char* kName = Function::kName;
  enum : size_t { kX, kInputs };
  ElementwiseOp(const OrtApi& api, const OrtKernelInfo* info) : node(api, info, kName) {}
  void compute(OrtKernelContext* context) {
    Call call(node, context);
    const Input x = call.input(kX);
    Function::run(x.floats(), x.shape.count(), call.output(x.shape), call.parallel());
  }

  Node node;
};

struct GeluTanh {
  static constexpr const char* kName = "GeluTanh";
  static void run(const float* x, int64_t count, float* out, const ParallelFor& parallel);
};

struct Silu {
  static constexpr const char* kName = "Silu";
  static void run(const float* x, int64_t count, float* out, const ParallelFor& parallel);
};

struct LinearOp : FloatOp {
  static constexpr const char* kName = "Linear";
  enum : size_t { kX, kWeight, kBias, kInputs };
  LinearOp(const OrtApi& api, const OrtKernelInfo* info) : node(api, info, kName) {}
  void compute(OrtKernelContext* context);

  Node node;
};

struct TimestepEmbeddingOp : FloatOp {
  static constexpr const char* kName = "TimestepEmbedding";
  enum : size_t { kTimestep, kFrequencies, kInputs };
  TimestepEmbeddingOp(const OrtApi& api, const OrtKernelInfo* info) : node(api, info, kName) {}
  void compute(OrtKernelContext* context);

  Node node;
};

}  // namespace hqdit::ort
