// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "decoder_tiles.h"

namespace hqdit {

/// Sum, sum of squares and largest magnitude of a run of values.
struct RowSums {
  double sum = 0, squares = 0;
  float largest = 0;
};

RowSums row_sums(const float* values, size_t count);

/// A region of a map: height and width from a first row and column on.
struct Region {
  size_t row, column, height, width;
};

/// The values of a map in 16 bits: whole multiples of one 32767th of the largest magnitude in each row of each tile,
/// which takes half the memory of float32 and, unlike float16, cannot overflow.
class MapStore {
 public:
  /// What allocate() takes.
  static uint64_t memory_bytes(const DecoderMap& map, size_t tile_width) {
    const uint64_t lines = uint64_t{map.channels()} * map.side(0);
    return lines * (map.side(1) * sizeof(int16_t) + map.side(1) / tile_width * sizeof(float));
  }

  /// Memory for `map`, which is written in tiles that are `tile_width` wide. Throws std::bad_alloc.
  void allocate(const DecoderMap& map, size_t tile_width);
  void release();
  bool empty() const { return values_ == nullptr; }

  /// One row of a tile of channel `channel`, from `column` on, a multiple of the tile width.
  void write(size_t channel, size_t row, size_t column, const float* values, float largest);

  /// All channels of a region -> [channels][height][width].
  void read(const Region& region, float* values) const;

 private:
  size_t channels_ = 0, height_ = 0, width_ = 0, tile_width_ = 0;
  std::unique_ptr<int16_t[]> values_;  // [channels][height][width]
  std::vector<float> units_;           // [channels][height][tiles in a row]
};

}  // namespace hqdit
