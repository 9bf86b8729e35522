// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "program_file.h"

namespace hqdit {

using Sizes = std::vector<uint64_t>;

/// A value of XNNPACK's graph.
struct XnnValue {
  enum Type : int16_t { kFloat = 1, kChannelInt8 = 6, kRowInt8 = 9 };  // XNNDatatype of its schema.fbs

  int16_t type = kFloat;
  Sizes sizes;
  bool constant = false;
  uint64_t scaled_axes = 0;  ///< kRowInt8: the axes at the end that share a scale
};

/// A node: what it reads, makes, and works in. Absent inputs are not in the list.
struct XnnNode {
  std::vector<uint32_t> inputs;
  uint32_t output = 0;
};

constexpr uint32_t kNoXnnValue = UINT32_MAX;

/// The values that a node of XNodeUnion names; BadProgram if the exporter writes no such node.
XnnNode xnn_node(uint8_t kind, FlatTable node);

/// Checks the node's numbers, the types and the shapes of its inputs and its output (in the order of xnn_node()).
/// Returns the bytes that it works in beside them. Of a quantized picture the exporter leaves the axes in the order of
/// before: the output gets the right one. Throws BadProgram.
uint64_t check_xnn_node(uint8_t kind, FlatTable node, const std::vector<const XnnValue*>& inputs, XnnValue* output);

}  // namespace hqdit
