// SPDX-License-Identifier: Apache-2.0
// Logarithm, sine and cosine from IEEE +, -, *, / alone: libm's differ between platforms in the last bit, and the same
// seed has to give the same picture everywhere. Compile with -ffp-contract=off.
#pragma once

#include <cstdint>

#include "hqdit/sincos.h"

namespace hqdit {

/// Natural logarithm of a normal positive number, to about 1 ulp.
double portable_log(double x);

/// Sine and cosine of turn / 2^32 of a full circle, to about 1 ulp of 1.
SinCos portable_sincos(uint32_t turn);

}  // namespace hqdit
