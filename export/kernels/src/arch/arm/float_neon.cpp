// SPDX-License-Identifier: Apache-2.0
#include "arch/arm/float_vector_neon.h"
// The vectors come first: the functions are written over them.
#include "float_ops/functions.h"

namespace hqdit {
constexpr FloatBackend kFloatNeon = float_functions();
}
