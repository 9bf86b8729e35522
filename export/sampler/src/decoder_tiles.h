// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "json_fields.h"

namespace hqdit {

/// An activation of the whole picture, [channels][height][width]. Of one that is not stored only the statistics are
/// kept.
struct DecoderMap {
  std::array<int32_t, 3> shape = {};
  bool stored = true;

  size_t channels() const { return static_cast<size_t>(shape[0]); }
  size_t side(size_t axis) const { return static_cast<size_t>(shape[1 + axis]); }  ///< 0: height, 1: width
};

/// A method that makes maps of maps tile by tile; what lies between two norms of the decoder.
struct DecoderSection {
  static constexpr int32_t kNone = -1;

  std::string method;
  size_t source = 0;                ///< the map it reads
  std::vector<size_t> to;           ///< the maps it writes, one after the other in its channels; empty: the image
  int32_t add = kNone;              ///< a map whose tile at the place of the output goes in, too
  int32_t statistics = kNone;       ///< the map whose mean and variance go in
  size_t halo = 0;                  ///< pixels of the source around a tile
  size_t scale = 1;                 ///< output pixels per source pixel, each way
  std::array<size_t, 2> tile = {};  ///< height and width of the output's tiles; divide the output

  /// Height or width of what one call reads of its source.
  size_t window(const DecoderMap& from, size_t axis) const;
};

/// How a decoder runs in tiles (export/decoder_tiles.py). The head's result is map 0.
struct DecoderTiles {
  std::string head;
  size_t groups = 0;  ///< of every norm
  std::vector<DecoderMap> maps;
  std::vector<DecoderSection> sections;
};

/// Reads decoder.tiles of a manifest and checks it against itself; the last section makes `image`.
DecoderTiles read_decoder_tiles(JsonFields fields, const std::array<int32_t, 3>& image);

}  // namespace hqdit
