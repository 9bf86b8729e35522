// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "method_check.h"
#include "program_file.h"

namespace hqdit {

/// What a graph takes beside the tensors of its calls, in bytes.
struct XnnMemory {
  uint64_t workspace = 0;  ///< values between its nodes: all graphs of a process share one, as large as the largest
  uint64_t kept = 0;       ///< packed weights and tables of addresses, from its loading on
  // Where a file is read and not mapped:
  uint64_t constants = 0;       ///< all constants, while the graph is loaded
  uint64_t kept_constants = 0;  ///< those that are not packed
};

/// Refuses what XNNPACK is given unless it is a graph as the exporter writes them: XNNPACK believes the sizes that it
/// is told. Only the nodes of xnnpack_nodes.cpp; each value of a shape that follows from those before it, and made
/// once; constants with all of their data; as many external values, of the same shapes, as tensors in the call.
/// `payload` is where it lies in the file. Throws BadProgram or BadFlatbuffer.
XnnMemory check_xnnpack_graph(const ProgramFile& file, Bytes payload, const std::vector<const TensorValue*>& arguments);

}  // namespace hqdit
