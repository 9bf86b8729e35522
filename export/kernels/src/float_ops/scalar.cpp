// SPDX-License-Identifier: Apache-2.0
#include "float_ops/vector_scalar.h"
// The vectors come first: the functions are written over them.
#include "float_ops/functions.h"

namespace hqdit {
constexpr FloatBackend kFloatScalar = float_functions();
}
