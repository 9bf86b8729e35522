// SPDX-License-Identifier: Apache-2.0
#include "xnnpack_nodes.h"

#include <algorithm>

namespace hqdit {
namespace {

/// Places in the union XNodeUnion of XNNPACK's schema.fbs.
enum Kind : uint8_t {
  kAdd = 1,
  kFullyConnected = 2,
  kSoftmax = 3,
  kSigmoid = 4,
  kStaticTranspose = 5,
  kClamp = 6,
  kConvolution = 7,
  kDivide = 8,
  kMultiply = 15,
  kSubtract = 16,
  kConvert = 18,
  kStaticReshape = 20,
  kConcatenate2 = 32,
  kConcatenate3 = 33,
  kConcatenate4 = 34,
  kStaticSlice = 35,
  kBatchMatrixMultiply = 37,
  kTransposedConvolution = 39,
  kGelu = 42,
  kTanh = 43,
};

using Inputs = std::vector<const XnnValue*>;

uint64_t count(const Sizes& sizes) {
  uint64_t product = 1;
  for (const uint64_t size : sizes) product = saturating_product(product, size);
  return product;
}

std::string describe(const Sizes& sizes) {
  std::string text;
  for (const uint64_t size : sizes) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

void expect_shape(const XnnValue& value, const Sizes& sizes) {
  expect(value.sizes == sizes, "an XNNPACK value of the shape " + describe(value.sizes) +
                                   " where its node makes or needs " + describe(sizes));
}

/// NumPy's rule.
Sizes broadcast(const Sizes& a, const Sizes& b) {
  Sizes sizes(std::max(a.size(), b.size()));
  for (size_t i = 1; i <= sizes.size(); ++i) {
    const uint64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    expect(x == y || x == 1 || y == 1, "XNNPACK values whose shapes do not go together");
    sizes[sizes.size() - i] = std::max(x, y);
  }
  return sizes;
}

/// Input, filter and bias of a product with weights; the last `axes` axes of a quantized input share a scale.
void check_weights(const Inputs& in, uint64_t outputs, uint64_t axes) {
  const bool quantized = in[0]->type == XnnValue::kRowInt8;
  expect(quantized ? in[0]->scaled_axes == axes : in[0]->type == XnnValue::kFloat, "an XNNPACK input of another type");
  expect(in[1]->constant && in[1]->type == (quantized ? XnnValue::kChannelInt8 : XnnValue::kFloat),
         "XNNPACK weights of another type");
  if (in.size() < 3) return;
  expect(in[2]->constant && in[2]->type == XnnValue::kFloat, "an XNNPACK bias of another type");
  expect_shape(*in[2], {outputs});
}

uint64_t rounded_up(uint64_t number, uint64_t multiple) { return (number + multiple - 1) / multiple * multiple; }

/// At most: XNNPACK rounds outputs and inputs up to its kernel's tile, and puts bias, scale and a sum beside them.
uint64_t packed_bytes(const XnnValue& weights, uint64_t groups, uint64_t outputs, uint64_t window, uint64_t inputs) {
  constexpr uint64_t kBeside = 3 * sizeof(float), kMostOutputs = 64;
  const bool is_float = weights.type == XnnValue::kFloat;
  const uint64_t rows = saturating_product(groups, rounded_up(outputs, kMostOutputs));
  const uint64_t columns = saturating_product(window, rounded_up(inputs, is_float ? 4 : 16));
  const uint64_t element = is_float ? sizeof(float) : 1;
  return saturating_product(rows, saturating_sum(saturating_product(columns, element), kBeside));
}

XnnNodeMemory check_fully_connected(const Inputs& in, const XnnValue& out) {
  expect(in[1]->sizes.size() == 2 && !in[0]->sizes.empty(), "XNNPACK weights of another rank");
  const uint64_t outputs = in[1]->sizes[0];
  check_weights(in, outputs, 1);
  Sizes sizes = in[0]->sizes;
  expect(sizes.back() == in[1]->sizes[1], "XNNPACK weights of another shape");
  sizes.back() = outputs;
  expect_shape(out, sizes);
  return {0, packed_bytes(*in[1], 1, outputs, 1, in[1]->sizes[1])};
}

/// Fields of _XNNNodeConv.
struct Convolution {
  explicit Convolution(FlatTable node) {
    uint32_t* const fields[] = {&padding[0], &padding[1], &padding[2], &padding[3],    &kernel[0],
                                &kernel[1],  &stride[0],  &stride[1],  &dilation[0],   &dilation[1],
                                &inputs,     &outputs,    &groups,     &adjustment[0], &adjustment[1]};
    for (size_t i = 0; i < std::size(fields); ++i) {
      *fields[i] = node.number<uint32_t>(i);
      expect(*fields[i] <= kMost, "an XNNPACK convolution with numbers that cannot be");
    }
    expect(kernel[0] > 0 && kernel[1] > 0 && stride[0] > 0 && stride[1] > 0 && dilation[0] > 0 && dilation[1] > 0 &&
               inputs > 0 && outputs > 0 && groups > 0,
           "an XNNPACK convolution with numbers that cannot be");
  }

  static constexpr uint32_t kMost = 1u << 20;

  uint64_t padded(size_t axis) const { return uint64_t{padding[axis]} + padding[axis + 2]; }
  uint64_t window(size_t axis) const { return uint64_t{dilation[axis]} * (kernel[axis] - 1) + 1; }

  uint32_t padding[4], kernel[2], stride[2], dilation[2], inputs, outputs, groups, adjustment[2];
};

/// Channels last. Beside its weights a convolution keeps a table of the addresses that it reads through.
XnnNodeMemory check_convolution(FlatTable node, bool transposed, const Inputs& in, const XnnValue& out) {
  const Convolution c(node);
  const Sizes& from = in[0]->sizes;
  const uint64_t outputs = uint64_t{c.groups} * c.outputs;
  check_weights(in, outputs, 3);
  expect(from.size() == 4 && from[3] == uint64_t{c.groups} * c.inputs, "an XNNPACK convolution of another input");
  expect_shape(*in[1], {outputs, c.kernel[0], c.kernel[1], c.inputs});
  Sizes sizes{from[0], 0, 0, outputs};
  for (size_t axis = 0; axis < 2; ++axis) {
    const uint64_t side = from[1 + axis], stride = c.stride[axis], window = c.window(axis), padded = c.padded(axis);
    if (transposed) {
      const uint64_t all = saturating_product(stride, side - 1) + c.adjustment[axis] + window;
      expect(all > padded && c.adjustment[axis] < stride, "an XNNPACK convolution with numbers that cannot be");
      sizes[1 + axis] = all - padded;
    } else {
      expect(side + padded >= window && c.adjustment[axis] == 0, "an XNNPACK convolution with numbers that cannot be");
      sizes[1 + axis] = (side + padded - window) / stride + 1;
    }
  }
  expect_shape(out, sizes);
  const uint64_t window = uint64_t{c.kernel[0]} * c.kernel[1];
  const uint64_t table = saturating_product(count({sizes[1], sizes[2], window}), sizeof(void*));
  return {0, saturating_sum(table, packed_bytes(*in[1], c.groups, c.outputs, window, c.inputs))};
}

void check_transpose(FlatTable node, const XnnValue& in, const XnnValue& out) {
  const FlatVector<uint32_t> order = node.numbers<uint32_t>(1);
  expect(order.size() == in.sizes.size() && node.number<uint32_t>(0) == order.size(), "an XNNPACK transposition");
  Sizes sizes;
  std::vector<bool> seen(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    expect(order[i] < order.size() && !seen[order[i]], "an XNNPACK transposition that is none");
    seen[order[i]] = true;
    sizes.push_back(in.sizes[order[i]]);
  }
  expect_shape(out, sizes);
}

void check_reshape(FlatTable node, const XnnValue& in, const XnnValue& out) {
  const FlatVector<uint32_t> shape = node.numbers<uint32_t>(1);
  expect(shape.size() == out.sizes.size() && node.number<uint32_t>(0) == shape.size() &&
             count(in.sizes) == count(out.sizes),
         "an XNNPACK value that has not the shape which its node makes");
  size_t open = 0;  // 0 stands for a size that follows from the others
  for (size_t i = 0; i < shape.size(); ++i) {
    open += shape[i] == 0 ? 1 : 0;
    expect(shape[i] == 0 || shape[i] == out.sizes[i], "an XNNPACK value that has not the shape which its node makes");
  }
  expect(open < 2, "an XNNPACK shape that is not fixed");
}

void check_matrix_product(const Sizes& a, const Sizes& b, const XnnValue& out) {
  expect(a.size() >= 2 && a.size() == b.size() && std::equal(a.begin(), a.end() - 2, b.begin()) &&
             a.back() == b[b.size() - 2],
         "XNNPACK values whose shapes do not go together");
  Sizes sizes = a;
  sizes.back() = b.back();
  expect_shape(out, sizes);
}

void check_slice(FlatTable node, const XnnValue& in, const XnnValue& out) {
  const FlatVector<uint32_t> offsets = node.numbers<uint32_t>(1), sizes = node.numbers<uint32_t>(2);
  const size_t rank = in.sizes.size();
  expect(node.number<uint32_t>(0) == rank && offsets.size() == rank && sizes.size() == rank,
         "an XNNPACK slice of another rank");
  Sizes made;
  for (size_t i = 0; i < rank; ++i) {
    expect(offsets[i] <= in.sizes[i] && sizes[i] <= in.sizes[i] - offsets[i], "an XNNPACK slice beyond its input");
    made.push_back(sizes[i]);
  }
  expect_shape(out, made);
}

void check_concatenation(FlatTable node, const Inputs& in, const XnnValue& out) {
  const auto axis = node.number<uint32_t>(0);
  Sizes sizes = in[0]->sizes;
  expect(axis < sizes.size(), "an XNNPACK concatenation along an axis that does not exist");
  sizes[axis] = 0;
  for (const XnnValue* value : in) {
    expect(value->sizes.size() == sizes.size(), "XNNPACK values whose shapes do not go together");
    for (size_t i = 0; i < sizes.size(); ++i) {
      expect(i == axis || value->sizes[i] == sizes[i], "XNNPACK values whose shapes do not go together");
    }
    sizes[axis] += value->sizes[axis];
  }
  expect_shape(out, sizes);
}

/// Only a picture's axes, all in one scale, may be in another order.
void check_conversion(const Sizes& in, XnnValue* out) {
  const bool picture = in.size() == 4 && out->scaled_axes == 3 && out->sizes.size() == 4 && out->sizes[0] == in[0];
  if (!picture || count(out->sizes) != count(in)) expect_shape(*out, in);
  out->sizes = in;
}

bool has_weights(uint8_t kind) {
  return kind == kFullyConnected || kind == kConvolution || kind == kTransposedConvolution;
}

/// The fields of a node that name its inputs, then its output, then its flags.
std::vector<size_t> id_fields(uint8_t kind) {
  switch (kind) {
    case kAdd:
    case kDivide:
    case kMultiply:
    case kSubtract:
    case kBatchMatrixMultiply:
      return {0, 1, 2, 3};
    case kFullyConnected:
      return {0, 1, 2, 3, 4};
    case kSoftmax:
    case kSigmoid:
    case kClamp:
    case kGelu:
    case kConvert:
    case kTanh:
      return {0, 1, 2};
    case kStaticTranspose:
    case kStaticReshape:
      return {2, 3, 4};
    case kStaticSlice:
      return {3, 4, 5};
    case kConcatenate2:
      return {1, 2, 5, 6};
    case kConcatenate3:
      return {1, 2, 3, 5, 6};
    case kConcatenate4:
      return {1, 2, 3, 4, 5, 6};
    case kConvolution:
    case kTransposedConvolution:
      return {15, 16, 17, 18, 19};
    default:
      throw BadProgram("XNNPACK's node of kind " + std::to_string(kind) + " is none that the exporter writes");
  }
}

}  // namespace

XnnNode xnn_node(uint8_t kind, FlatTable node) {
  const std::vector<size_t> fields = id_fields(kind);
  XnnNode found;
  found.packs_constants = has_weights(kind);
  for (size_t i = 0; i + 2 < fields.size(); ++i) {
    const auto id = node.number<uint32_t>(fields[i]);
    // A bias may be absent, as no other value.
    if (!has_weights(kind) || i != 2 || id != kNoXnnValue) found.inputs.push_back(id);
  }
  found.output = node.number<uint32_t>(fields[fields.size() - 2]);
  expect(node.number<uint32_t>(fields.back()) == 0, "an XNNPACK node with flags");
  return found;
}

XnnNodeMemory check_xnn_node(uint8_t kind, FlatTable node, const Inputs& in, XnnValue* out) {
  expect(!out->constant && out->type == (kind == kConvert ? XnnValue::kRowInt8 : XnnValue::kFloat),
         "an XNNPACK result of another type");
  for (const XnnValue* value : in) {
    expect(has_weights(kind) || value->type == XnnValue::kFloat, "an XNNPACK input of another type");
  }
  switch (kind) {
    case kAdd:
    case kDivide:
    case kMultiply:
    case kSubtract:
      expect_shape(*out, broadcast(in[0]->sizes, in[1]->sizes));
      return {};
    case kBatchMatrixMultiply:
      check_matrix_product(in[0]->sizes, in[1]->sizes, *out);
      // The second is packed at each run.
      return {saturating_product(count(in[1]->sizes), 2 * sizeof(float)), 0};
    case kFullyConnected:
      return check_fully_connected(in, *out);
    case kConvolution:
    case kTransposedConvolution:
      return check_convolution(node, kind == kTransposedConvolution, in, *out);
    case kConcatenate2:
    case kConcatenate3:
    case kConcatenate4:
      check_concatenation(node, in, *out);
      return {};
    case kStaticSlice:
      check_slice(node, *in[0], *out);
      return {};
    case kStaticTranspose:
      check_transpose(node, *in[0], *out);
      return {};
    case kStaticReshape:
      check_reshape(node, *in[0], *out);
      return {};
    case kConvert:
      check_conversion(in[0]->sizes, out);
      return {};
    default:
      expect_shape(*out, in[0]->sizes);
      return {};
  }
}

}  // namespace hqdit
