// SPDX-License-Identifier: Apache-2.0
#include "decoder_tiles.h"

#include <algorithm>

namespace hqdit {
namespace {

constexpr size_t kMaxMaps = 256, kMaxSections = 1024;
constexpr int64_t kMaxHalo = 64, kMaxScale = 8, kMaxGroups = 4096, kMaxTile = 16384;

DecoderSection read_section(JsonFields& fields, const DecoderTiles& tiles) {
  const auto last = static_cast<int64_t>(tiles.maps.size()) - 1;
  DecoderSection section;
  section.method = fields.text("method");
  section.source = static_cast<size_t>(fields.integer("source", 0, last));
  for (const int64_t map : fields.integers("to", 0, kMaxMaps, 0, last)) section.to.push_back(static_cast<size_t>(map));
  section.add = static_cast<int32_t>(fields.integer("add", DecoderSection::kNone, last));
  section.statistics = static_cast<int32_t>(fields.integer("statistics", DecoderSection::kNone, last));
  section.halo = static_cast<size_t>(fields.integer("halo", 0, kMaxHalo));
  section.scale = static_cast<size_t>(fields.integer("scale", 1, kMaxScale));
  const std::vector<int64_t> tile = fields.integers("tile", 2, 2, 1, kMaxTile);
  section.tile = {static_cast<size_t>(tile[0]), static_cast<size_t>(tile[1])};
  return section;
}

/// Whether `values` of a map are there, and its statistics, while the sections run in their order.
struct Written {
  std::vector<bool> values, statistics;
  std::vector<size_t> tile_width;  // 0 before the first write
};

void check_section(JsonFields& fields, const DecoderTiles& tiles, const DecoderSection& section,
                   const std::array<int32_t, 3>& image, Written* written) {
  const DecoderMap& source = tiles.maps[section.source];
  if (!written->values[section.source]) fields.fail("source", "is a map that no section before has stored");
  if (section.add >= 0 && !written->values[static_cast<size_t>(section.add)]) {
    fields.fail("add", "is a map that no section before has stored");
  }
  if (section.statistics >= 0 && !written->statistics[static_cast<size_t>(section.statistics)]) {
    fields.fail("statistics", "is a map that no section before has made");
  }
  for (size_t axis = 0; axis < 2; ++axis) {
    const size_t side = source.side(axis) * section.scale;
    const auto fits = [&](const DecoderMap& map) { return map.side(axis) == side; };
    if (side % section.tile[axis] != 0 || section.tile[axis] % section.scale != 0) {
      fields.fail("tile", "must divide the output and be divided by the scale");
    }
    if (section.to.empty() && static_cast<size_t>(image[1 + axis]) != side) {
      fields.fail("source", "is not the image's size when scaled");
    }
    if (section.add >= 0 && !fits(tiles.maps[static_cast<size_t>(section.add)])) fields.fail("add", "has another size");
    for (const size_t map : section.to) {
      if (!fits(tiles.maps[map])) fields.fail("to", "has another size than the source times the scale");
    }
  }
  for (const size_t map : section.to) {
    if (written->tile_width[map] != 0 && written->tile_width[map] != section.tile[1]) {
      fields.fail("tile", "has another width than a section before that wrote the same map");
    }
    written->tile_width[map] = section.tile[1];
    written->values[map] = tiles.maps[map].stored;
    written->statistics[map] = true;
  }
}

}  // namespace

size_t DecoderSection::window(const DecoderMap& from, size_t axis) const {
  return std::min(from.side(axis), tile[axis] / scale + 2 * halo);
}

DecoderTiles read_decoder_tiles(JsonFields fields, const std::array<int32_t, 3>& image) {
  DecoderTiles tiles;
  tiles.head = fields.text("head");
  tiles.groups = static_cast<size_t>(fields.integer("groups", 1, kMaxGroups));
  for (JsonFields& map : fields.objects("maps", kMaxMaps)) {
    tiles.maps.push_back({map.shape("shape"), map.boolean("stored")});
    if (tiles.maps.back().channels() % tiles.groups != 0) {
      map.fail("shape", "must have a multiple of the groups' channels");
    }
  }
  if (tiles.maps.empty() || !tiles.maps[0].stored) fields.fail("maps", "must begin with a stored one, the head's");
  if (tiles.maps.empty()) return tiles;
  const size_t count = tiles.maps.size();
  Written written{std::vector<bool>(count), std::vector<bool>(count), std::vector<size_t>(count)};
  written.values[0] = written.statistics[0] = true;
  written.tile_width[0] = tiles.maps[0].side(1);
  for (JsonFields& section : fields.objects("sections", kMaxSections)) {
    tiles.sections.push_back(read_section(section, tiles));
    check_section(section, tiles, tiles.sections.back(), image, &written);
  }
  const auto makes_image = [](const DecoderSection& section) { return section.to.empty(); };
  if (tiles.sections.empty() || !makes_image(tiles.sections.back()) ||
      std::count_if(tiles.sections.begin(), tiles.sections.end(), makes_image) != 1) {
    fields.fail("sections", "the last, and it alone, must make the image");
  }
  return tiles;
}

}  // namespace hqdit
