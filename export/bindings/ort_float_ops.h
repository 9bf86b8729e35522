// SPDX-License-Identifier: Apache-2.0
// The step operators (docs/float-ops.md) for ONNX Runtime.
#pragma once

#include "hqdit/float_ops.h"
#include "ort_op.h"

namespace hqdit::ort {

struct FloatOp {
  static bool is_bytes(size_t) { return false; }
};

/// One of the two attentions.
template <class Kind>
struct AttentionOp : FloatOp {
  static constexpr const char* kName = Kind::kName;
  enum : size_t { kQkv, kInputs };
  AttentionOp(const OrtApi& api, const OrtKernelInfo* info)
      : node(api, info, kName), heads(node.integer(info, "heads")) {
    if (heads < 1) node.fail("attribute 'heads' must be positive");
  }
  void compute(OrtKernelContext* context) {
    Call call(node, context);
    const Input qkv = call.input(kQkv, 3);
    const int64_t* dims = qkv.shape.dims;
    if (heads > dims[2] || dims[2] % (3 * heads) != 0)
      node.fail("the last size of qkv must be a multiple of 3 * heads");
    const AttentionShape shape{dims[0], dims[1], heads, dims[2] / (3 * heads)};
    node.require(attention_check(shape));
    float* out = call.output({dims[0], dims[1], dims[2] / 3});
    const ParallelFor parallel = call.parallel();
    Kind::run(shape, qkv.floats(), out, call.scratch(Kind::workspace(shape, parallel)), parallel);
  }

  Node node;
  int64_t heads;
};

struct QkvAttention {
  static constexpr const char* kName = "QkvAttention";
  static constexpr auto workspace = attention_workspace;
  static constexpr auto run = attention;
};

struct QkvAttentionInt8 {
  static constexpr const char* kName = "QkvAttentionInt8";
  static constexpr auto workspace = attention_int8_workspace;
  static constexpr auto run = attention_int8;
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
