// SPDX-License-Identifier: Apache-2.0
// Sine and cosine from IEEE +, -, *, / alone: libm's differ between platforms in the last bit. Compile with
// -ffp-contract=off.
#pragma once

#include <cstdint>

namespace hqdit {

struct SinCos {
  double sin, cos;
};

/// Of `quadrant` quarter turns and x, |x| <= pi / 4. Relative error about 2^-52, next to the zeros too.
inline SinCos sincos_from_quadrant(uint32_t quadrant, double x) {
  constexpr int kTerms = 10;  // what is left out is below 2^-53 of the leading term, so plain Taylor coefficients do
  const double z = x * x;
  double s = 1.0, c = 1.0;
  for (int k = kTerms; k >= 1; --k) {
    s = 1.0 - z * s / (2.0 * k * (2.0 * k + 1.0));
    c = 1.0 - z * c / ((2.0 * k - 1.0) * (2.0 * k));
  }
  s = s * x;
  switch (quadrant & 3u) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace hqdit
