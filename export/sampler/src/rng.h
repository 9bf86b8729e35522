// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: number i of (seed, stream) can be computed alone, in any order, on any machine.
// hqdit_mobile/rng.py gives the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hqdit {

using Philox4 = std::array<uint32_t, 4>;

/// Philox4x32 with 10 rounds (Salmon et al., SC 2011).
Philox4 philox4x32(Philox4 counter, std::array<uint32_t, 2> key);

/// out[i] = standard normal number i of (seed, stream). Numbers 4b .. 4b + 3 come from the Philox block with key = seed
/// (low word first) and counter = (b low, b high, stream, 0), by the Box-Muller transform of its words (0, 1) and
/// (2, 3) in float64: r = sqrt(-2 log((w0 + 1/2) / 2^32)), (r cos, r sin)(2 pi w1 / 2^32), rounded to float32.
void fill_normal(uint64_t seed, uint32_t stream, float* out, size_t count);

}  // namespace hqdit
