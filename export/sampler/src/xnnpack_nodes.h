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

/// A node: what it reads and makes. Absent inputs are not in the list.
struct XnnNode {
  bool packs_constants = false;  ///< it keeps its weights in a form of its own
  std::vector<uint32_t> inputs;
  uint32_t output = 0;
};

/// What a node takes beside the values that it reads and makes, in bytes; weights no more than XNNPACK packs them into.
struct XnnNodeMemory {
  uint64_t workspace = 0;  ///< while it runs
  uint64_t kept = 0;
};

constexpr uint32_t kNoXnnValue = UINT32_MAX;

/// The values that a node of XNodeUnion names; BadProgram if the exporter writes no such node.
XnnNode xnn_node(uint8_t kind, FlatTable node);

/// Checks the node's numbers, the types and the shapes of its inputs and its output (in the order of xnn_node()).
/// Of a quantized picture the exporter leaves the axes in the order of before: the output gets the right one. Throws
/// BadProgram.
XnnNodeMemory check_xnn_node(uint8_t kind, FlatTable node, const std::vector<const XnnValue*>& inputs,
                             XnnValue* output);

}  // namespace hqdit
