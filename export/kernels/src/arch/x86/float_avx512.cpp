// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/float_vector_avx512.h"
// The vectors come first: all else is written over them.
#include "float_ops/quad.h"
// Then their quads.
#include "float_ops/functions.h"

namespace hqdit {
constexpr FloatBackend kFloatAvx512 = float_functions();
}
