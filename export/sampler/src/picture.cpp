// SPDX-License-Identifier: Apache-2.0
#include "picture.h"

#include <cmath>

namespace hqdit {
namespace {

uint8_t to_byte(float x) {
  const float unit = x / 2.0f + 0.5f;
  if (!(unit > 0.0f)) return 0;
  return static_cast<uint8_t>(std::nearbyint((unit < 1.0f ? unit : 1.0f) * 255.0f));
}

}  // namespace

void to_rgb8(const float* image, size_t plane, uint8_t* rgb) {
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < 3; ++c) rgb[3 * i + c] = to_byte(image[c * plane + i]);
  }
}

void project_preview(const PreviewProjection& projection, const float* latents, size_t channels, size_t plane,
                     uint8_t* rgb) {
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      float sum = projection.bias[c];
      for (size_t k = 0; k < channels; ++k) sum += projection.matrix[c * channels + k] * latents[k * plane + i];
      rgb[3 * i + c] = to_byte(sum);
    }
  }
}

}  // namespace hqdit
