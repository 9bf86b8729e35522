// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "method_check.h"
#include "program_file.h"

namespace hqdit {

/// Refuses what XNNPACK is given unless it is a graph as the exporter writes them: XNNPACK believes the sizes that it
/// is told. Only the nodes of xnnpack_nodes.cpp; each value of a shape that follows from those before it, and made
/// once; constants with all of their data; as many external values, of the same shapes, as tensors in the call.
/// `payload` is where it lies in the file. Returns the bytes that it works in beside its arguments and packed weights.
/// Throws BadProgram or BadFlatbuffer.
uint64_t check_xnnpack_graph(const ProgramFile& file, Bytes payload, const std::vector<const TensorValue*>& arguments);

}  // namespace hqdit
