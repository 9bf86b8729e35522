// SPDX-License-Identifier: Apache-2.0
#include "float_ops/vector_scalar.h"
// The vectors come first: all else is written over them.
#include "float_ops/quad.h"
// Then their quads.
#include "float_ops/functions.h"

namespace hqdit {
constexpr FloatBackend kFloatScalar = float_functions();
}
