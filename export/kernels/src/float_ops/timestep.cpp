// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "hqdit/float_ops.h"
#include "hqdit/sincos.h"

namespace hqdit {
namespace {

/// In float64 and rounded once, so within 1 ulp of float32.
SinCos sincos_of(float angle) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kTwoOverPi = 0.6366197723675813430755350534900574;
  // pi / 2 in two parts: the first has 33 bits, so that its product with up to 20 is exact (Cody and Waite).
  constexpr double kHalfPi = 0x1.921fb544p0;
  constexpr double kHalfPiRest = 0x1.0b4611a626331p-34;
  const auto x = static_cast<double>(angle);
  if (!(std::fabs(x) <= 0x1p20)) return {kNaN, kNaN};
  const double quarters = std::floor(x * kTwoOverPi + 0.5);
  const double offset = (x - quarters * kHalfPi) - quarters * kHalfPiRest;
  return sincos_from_quadrant(static_cast<uint32_t>(static_cast<int64_t>(quarters)), offset);
}

}  // namespace

void timestep_embedding(const float* timesteps, int64_t batch, const float* frequencies, int64_t count, float* out) {
  for (int64_t b = 0; b < batch; ++b, out += 2 * count) {
    for (int64_t i = 0; i < count; ++i) {
      const SinCos value = sincos_of(timesteps[b] * frequencies[i]);
      out[i] = static_cast<float>(value.cos);
      out[count + i] = static_cast<float>(value.sin);
    }
  }
}

}  // namespace hqdit
