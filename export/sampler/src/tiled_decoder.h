// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "executorch_program.h"
#include "manifest.h"
#include "map_store.h"

namespace hqdit {

/// Runs the image decoder section by section, tile by tile (export/decoder_tiles.py): the picture of a whole decode in
/// a fraction of its memory.
class TiledDecoder {
 public:
  explicit TiledDecoder(const Manifest& manifest);

  /// Checks that the program has the methods; raises *arena_bytes to what they need.
  Status open(ExecutorchProgram& program, size_t* arena_bytes);

  /// The most that a decode holds beside the arena.
  uint64_t memory_bytes() const;
  /// After open(): takes what does not depend on the section.
  void allocate();

  /// latents [C][H][W], divided by the scaling factor -> image [3][H][W].
  Status decode(ExecutorchProgram& program, Arena* arena, float* latents, float* image);

 private:
  /// Running sums of a map by channel, and what follows from them.
  struct Statistics {
    std::vector<double> sum, squares;  // [channels]
    size_t count = 0;                  // values of a channel that were seen
  };

  /// How many values the largest inputs have.
  struct Buffers {
    size_t source = 0, added = 0;
  };

  struct Tile;
  Buffers buffers() const;
  Status run_head(ExecutorchProgram& program, Arena* arena, float* latents);
  Status run_section(ExecutorchProgram& program, Arena* arena, size_t index, float* image);
  Status run_tile(ExecutorchProgram& program, Arena* arena, size_t index, const Tile& tile, float* image);
  Status keep(const DecoderSection& section, const Tile& tile, const float* result, float* image);
  Status keep_map(size_t map, const Tile& tile, const float* result);
  void begin_maps(const std::vector<size_t>& maps, size_t tile_width);
  void release_after(size_t section);
  void give_statistics(size_t map);

  const DecoderTiles& tiles_;
  const std::array<int32_t, 3> image_shape_;
  MethodSpec head_;
  std::vector<MethodSpec> methods_;  // of the sections
  std::vector<size_t> last_reader_;  // of each map
  std::vector<MapStore> stores_;
  std::vector<Statistics> sums_;
  std::vector<float> source_, added_, given_;  // inputs of the method that runs
  std::vector<void*> inputs_;
};

}  // namespace hqdit
