// SPDX-License-Identifier: Apache-2.0
// From numbers to pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "manifest.h"

namespace hqdit {

/// image [3][plane] in about [-1, 1] -> rgb [plane][3]: clamp, (x / 2 + 1/2) * 255, halves to even.
void to_rgb8(const float* image, size_t plane, uint8_t* rgb);

/// latents [channels][plane] -> rgb [plane][3] through the projection.
void project_preview(const PreviewProjection& projection, const float* latents, size_t channels, size_t plane,
                     uint8_t* rgb);

}  // namespace hqdit
