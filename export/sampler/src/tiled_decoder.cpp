// SPDX-License-Identifier: Apache-2.0
#include "tiled_decoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hqdit {
namespace {

using executorch::aten::ScalarType;

TensorSpec image_tensor(size_t channels, size_t height, size_t width) {
  return {ScalarType::Float,
          {1, static_cast<int32_t>(channels), static_cast<int32_t>(height), static_cast<int32_t>(width)}};
}

MethodSpec section_method(const DecoderTiles& tiles, const DecoderSection& section, size_t image_channels) {
  const DecoderMap& source = tiles.maps[section.source];
  const size_t height = section.window(source, 0), width = section.window(source, 1), k = section.scale;
  size_t channels = section.to.empty() ? image_channels : 0;
  for (const size_t map : section.to) channels += tiles.maps[map].channels();
  MethodSpec spec{
      section.method, {image_tensor(source.channels(), height, width)}, image_tensor(channels, k * height, k * width)};
  if (section.add >= 0) {
    const DecoderMap& added = tiles.maps[static_cast<size_t>(section.add)];
    spec.inputs.push_back(image_tensor(added.channels(), k * height, k * width));
  }
  if (section.statistics >= 0) spec.inputs.push_back({ScalarType::Float, {static_cast<int32_t>(tiles.groups), 2}});
  return spec;
}

/// Where a tile that begins at output pixel `begin` reads its source.
size_t read_from(size_t begin, const DecoderSection& section, size_t side, size_t window) {
  const size_t place = begin / section.scale;
  return std::min(place - std::min(place, section.halo), side - window);
}

}  // namespace

/// What one call reads of its source, and where in its result the pixels are that count.
struct TiledDecoder::Tile {
  Region read;           // of the source
  Region core;           // of the result
  size_t row, column;    // of the core in the output
  size_t height, width;  // of the result
};

TiledDecoder::TiledDecoder(const Manifest& manifest)
    : tiles_(manifest.decoder_tiles),
      image_shape_(manifest.image_shape),
      last_reader_(tiles_.maps.size()),
      stores_(tiles_.maps.size()),
      sums_(tiles_.maps.size()) {
  const auto [c, h, w] = manifest.latent_shape;
  const DecoderMap& first = tiles_.maps[0];
  head_ = {
      tiles_.head, {{ScalarType::Float, {1, c, h, w}}}, image_tensor(first.channels(), first.side(0), first.side(1))};
  for (size_t i = 0; i < tiles_.sections.size(); ++i) {
    const DecoderSection& section = tiles_.sections[i];
    methods_.push_back(section_method(tiles_, section, static_cast<size_t>(image_shape_[0])));
    last_reader_[section.source] = i;
    if (section.add >= 0) last_reader_[static_cast<size_t>(section.add)] = i;
  }
  inputs_.reserve(3);
}

Status TiledDecoder::open(ExecutorchProgram& program, size_t* arena_bytes) {
  Status status = program.check(head_, arena_bytes);
  for (size_t i = 0; i < methods_.size() && status.ok(); ++i) status = program.check(methods_[i], arena_bytes);
  return status;
}

TiledDecoder::Buffers TiledDecoder::buffers() const {
  Buffers counts;
  for (size_t i = 0; i < methods_.size(); ++i) {
    counts.source = std::max(counts.source, methods_[i].inputs[0].count());
    if (tiles_.sections[i].add >= 0) counts.added = std::max(counts.added, methods_[i].inputs[1].count());
  }
  return counts;
}

void TiledDecoder::allocate() {
  const Buffers counts = buffers();
  source_.resize(counts.source), added_.resize(counts.added), given_.resize(2 * tiles_.groups);
}

/// Walks the sections as decode() does.
uint64_t TiledDecoder::memory_bytes() const {
  std::vector<uint64_t> held(tiles_.maps.size());
  uint64_t now = 0, most = 0;
  const auto hold = [&](size_t map, size_t tile_width) {
    if (!tiles_.maps[map].stored || held[map] != 0) return;
    held[map] = MapStore::memory_bytes(tiles_.maps[map], tile_width);
    now += held[map];
    most = std::max(most, now);
  };
  hold(0, tiles_.maps[0].side(1));
  for (size_t i = 0; i < tiles_.sections.size(); ++i) {
    for (const size_t map : tiles_.sections[i].to) hold(map, tiles_.sections[i].tile[1]);
    for (size_t map = 0; map < held.size(); ++map) {
      if (last_reader_[map] == i) now -= std::exchange(held[map], 0);
    }
  }
  const Buffers counts = buffers();
  return most + sizeof(float) * (counts.source + counts.added + 2 * tiles_.groups);
}

Status TiledDecoder::decode(ExecutorchProgram& program, Arena* arena, float* latents, float* image) {
  Status status = run_head(program, arena, latents);
  for (size_t i = 0; i < tiles_.sections.size() && status.ok(); ++i) {
    status = run_section(program, arena, i, image);
    release_after(i);
  }
  for (MapStore& store : stores_) store.release();
  return status;
}

Status TiledDecoder::run_head(ExecutorchProgram& program, Arena* arena, float* latents) {
  inputs_.assign({latents});
  const float* result = nullptr;
  if (Status status = program.run(head_, arena, inputs_, &result); !status.ok()) return status;
  const DecoderMap& map = tiles_.maps[0];
  const Region all{0, 0, map.side(0), map.side(1)};
  begin_maps({0}, map.side(1));
  return keep_map(0, {all, all, 0, 0, map.side(0), map.side(1)}, result);
}

Status TiledDecoder::run_section(ExecutorchProgram& program, Arena* arena, size_t index, float* image) {
  const DecoderSection& section = tiles_.sections[index];
  const DecoderMap& source = tiles_.maps[section.source];
  if (section.statistics >= 0) give_statistics(static_cast<size_t>(section.statistics));
  begin_maps(section.to, section.tile[1]);
  const size_t k = section.scale, height = section.window(source, 0), width = section.window(source, 1);
  for (size_t row = 0; row < k * source.side(0); row += section.tile[0]) {
    const size_t top = read_from(row, section, source.side(0), height);
    for (size_t column = 0; column < k * source.side(1); column += section.tile[1]) {
      const size_t left = read_from(column, section, source.side(1), width);
      const Region core{row - k * top, column - k * left, section.tile[0], section.tile[1]};
      const Tile tile{{top, left, height, width}, core, row, column, k * height, k * width};
      if (Status status = run_tile(program, arena, index, tile, image); !status.ok()) return status;
    }
  }
  return {};
}

Status TiledDecoder::run_tile(ExecutorchProgram& program, Arena* arena, size_t index, const Tile& tile, float* image) {
  const DecoderSection& section = tiles_.sections[index];
  const size_t k = section.scale;
  stores_[section.source].read(tile.read, source_.data());
  inputs_.assign({source_.data()});
  if (section.add >= 0) {
    const Region there{k * tile.read.row, k * tile.read.column, tile.height, tile.width};
    stores_[static_cast<size_t>(section.add)].read(there, added_.data());
    inputs_.push_back(added_.data());
  }
  if (section.statistics >= 0) inputs_.push_back(given_.data());
  const float* result = nullptr;
  if (Status status = program.run(methods_[index], arena, inputs_, &result); !status.ok()) return status;
  return keep(section, tile, result, image);
}

/// Puts the core of a result where it belongs.
Status TiledDecoder::keep(const DecoderSection& section, const Tile& tile, const float* result, float* image) {
  for (const size_t map : section.to) {
    if (Status status = keep_map(map, tile, result); !status.ok()) return status;
    result += tiles_.maps[map].channels() * tile.height * tile.width;
  }
  if (!section.to.empty()) return {};
  const auto height = static_cast<size_t>(image_shape_[1]), width = static_cast<size_t>(image_shape_[2]);
  for (size_t line = 0; line < static_cast<size_t>(image_shape_[0]) * tile.core.height; ++line) {
    const size_t channel = line / tile.core.height, row = line % tile.core.height;
    const float* from = result + (channel * tile.height + tile.core.row + row) * tile.width + tile.core.column;
    std::copy_n(from, tile.core.width, image + (channel * height + tile.row + row) * width + tile.column);
  }
  return {};
}

Status TiledDecoder::keep_map(size_t map, const Tile& tile, const float* result) {
  Statistics& sums = sums_[map];
  for (size_t channel = 0; channel < tiles_.maps[map].channels(); ++channel) {
    for (size_t row = 0; row < tile.core.height; ++row) {
      const float* from = result + (channel * tile.height + tile.core.row + row) * tile.width + tile.core.column;
      const RowSums seen = row_sums(from, tile.core.width);
      if (!std::isfinite(seen.squares)) {
        return {HQDIT_RUNTIME_ERROR, "the image decoder made a value that is not finite"};
      }
      sums.sum[channel] += seen.sum;
      sums.squares[channel] += seen.squares;
      if (tiles_.maps[map].stored) stores_[map].write(channel, tile.row + row, tile.column, from, seen.largest);
    }
  }
  sums.count += tile.core.height * tile.core.width;
  return {};
}

/// A map that is written where it is read keeps its memory.
void TiledDecoder::begin_maps(const std::vector<size_t>& maps, size_t tile_width) {
  for (const size_t map : maps) {
    const size_t channels = tiles_.maps[map].channels();
    sums_[map].sum.assign(channels, 0.0), sums_[map].squares.assign(channels, 0.0), sums_[map].count = 0;
    if (tiles_.maps[map].stored && stores_[map].empty()) stores_[map].allocate(tiles_.maps[map], tile_width);
  }
}

void TiledDecoder::release_after(size_t section) {
  for (size_t map = 0; map < stores_.size(); ++map) {
    if (last_reader_[map] == section) stores_[map].release();
  }
}

/// Mean and variance of every group of a map's channels.
void TiledDecoder::give_statistics(size_t map) {
  const Statistics& sums = sums_[map];
  const size_t channels = tiles_.maps[map].channels() / tiles_.groups;
  const double count = static_cast<double>(channels * sums.count);
  for (size_t group = 0; group < tiles_.groups; ++group) {
    double sum = 0, squares = 0;
    for (size_t i = group * channels; i < (group + 1) * channels; ++i) sum += sums.sum[i], squares += sums.squares[i];
    const double mean = sum / count;
    given_[2 * group] = static_cast<float>(mean);
    given_[2 * group + 1] = static_cast<float>(std::max(0.0, squares / count - mean * mean));
  }
}

}  // namespace hqdit
