// SPDX-License-Identifier: Apache-2.0
#include "ort_float_ops.h"

#include "hqdit/float_ops.h"

namespace hqdit::ort {
namespace {

ModulatedShape modulated_shape(const Node& node, const Input& x, const Input& modulation) {
  const int64_t batch = x.shape.dims[0], dim = x.shape.dims[2], columns = modulation.shape.dims[1];
  if (modulation.shape.dims[0] != batch || dim < 1 || columns % dim != 0) {
    node.fail("modulation must be [batch, a multiple of the last size of x]");
  }
  return {batch, x.shape.dims[1], dim, columns / dim};
}

}  // namespace

ModulatedNormOp::ModulatedNormOp(const OrtApi& api, const OrtKernelInfo* info)
    : node(api, info, kName),
      shift_index(node.integer(info, "shift_index")),
      scale_index(node.integer(info, "scale_index")),
      epsilon(node.real(info, "epsilon")) {}

void ModulatedNormOp::compute(OrtKernelContext* context) {
  Call call(node, context);
  const Input x = call.input(kX, 3), modulation = call.input(kModulation, 2);
  const ModulatedShape shape = modulated_shape(node, x, modulation);
  node.require(modulated_check(shape, shift_index));
  node.require(modulated_check(shape, scale_index));
  modulated_norm(shape, x.floats(), modulation.floats(), shift_index, scale_index, epsilon, call.output(x.shape),
                 call.parallel());
}

GatedAddOp::GatedAddOp(const OrtApi& api, const OrtKernelInfo* info)
    : node(api, info, kName), gate_index(node.integer(info, "gate_index")) {}

void GatedAddOp::compute(OrtKernelContext* context) {
  Call call(node, context);
  const Input x = call.input(kX, 3), modulation = call.input(kModulation, 2), y = call.input(kY, 3);
  const ModulatedShape shape = modulated_shape(node, x, modulation);
  node.require(modulated_check(shape, gate_index));
  for (size_t i = 0; i < 3; ++i) {
    if (x.shape.dims[i] != y.shape.dims[i]) node.fail("x and y must have the same sizes");
  }
  gated_add(shape, x.floats(), modulation.floats(), gate_index, y.floats(), call.output(x.shape), call.parallel());
}

void GeluTanh::run(const float* x, int64_t count, float* out, const ParallelFor& parallel) {
  gelu_tanh(x, count, out, parallel);
}

void Silu::run(const float* x, int64_t count, float* out, const ParallelFor& parallel) {
  silu_f32(x, count, out, parallel);
}

void LinearOp::compute(OrtKernelContext* context) {
  Call call(node, context);
  const Input x = call.input(kX), weight = call.input(kWeight, 2), bias = call.input(kBias, 1);
  const int64_t outputs = weight.shape.dims[0], inputs = weight.shape.dims[1];
  if (inputs < 1 || x.shape.back() != inputs || bias.shape.dims[0] != outputs) {
    node.fail("x must be [..., K], weight [N, K] and bias [N]");
  }
  const LinearShape shape{x.shape.count() / inputs, inputs, outputs};
  node.require(linear_check(shape));
  Shape sizes = x.shape;
  sizes.dims[sizes.rank - 1] = outputs;
  float* out = call.output(sizes);
  const ParallelFor parallel = call.parallel();
  linear_f32(shape, x.floats(), weight.floats(), bias.floats(), out, call.scratch(linear_workspace(shape, parallel)),
             parallel);
}

void TimestepEmbeddingOp::compute(OrtKernelContext* context) {
  Call call(node, context);
  const Input timestep = call.input(kTimestep, 1), frequencies = call.input(kFrequencies, 1);
  const int64_t batch = timestep.shape.dims[0], count = frequencies.shape.dims[0];
  timestep_embedding(timestep.floats(), batch, frequencies.floats(), count, call.output({batch, 2 * count}));
}

}  // namespace hqdit::ort
