// SPDX-License-Identifier: Apache-2.0
#include "map_store.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace hqdit {
namespace {

constexpr size_t kLanes = 16;  // sums side by side, so that a compiler can keep them in vectors
constexpr float kLargest = 32767.0f;

}  // namespace

RowSums row_sums(const float* values, size_t count) {
  std::array<float, kLanes> sum{}, squares{}, largest{};
  const auto add = [&](size_t lane, float value) {
    sum[lane] += value;
    squares[lane] += value * value;
    largest[lane] = std::max(largest[lane], std::fabs(value));
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, values[i + lane]);
  }
  for (size_t lane = 0; i + lane < count; ++lane) add(lane, values[i + lane]);
  RowSums total;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    total.sum += static_cast<double>(sum[lane]);
    total.squares += static_cast<double>(squares[lane]);
    total.largest = std::max(total.largest, largest[lane]);
  }
  return total;
}

void MapStore::allocate(const DecoderMap& map, size_t tile_width) {
  channels_ = map.channels(), height_ = map.side(0), width_ = map.side(1), tile_width_ = tile_width;
  values_.reset(new int16_t[channels_ * height_ * width_]);
  units_.resize(channels_ * height_ * (width_ / tile_width_));
}

void MapStore::release() {
  values_.reset();
  std::vector<float>().swap(units_);
}

void MapStore::write(size_t channel, size_t row, size_t column, const float* values, float largest) {
  const size_t line = channel * height_ + row;
  const float scale = largest > 0 ? kLargest / largest : 0.0f;
  // Of a magnitude this small the quotient overflows; its values are as good as zero.
  const float factor = std::isfinite(scale) ? scale : 0.0f;
  int16_t* out = values_.get() + line * width_ + column;
  for (size_t i = 0; i < tile_width_; ++i) {
    const float scaled = std::clamp(values[i] * factor, -kLargest, kLargest);
    out[i] = static_cast<int16_t>(scaled + std::copysign(0.5f, scaled));
  }
  units_[line * (width_ / tile_width_) + column / tile_width_] = largest / kLargest;
}

void MapStore::read(const Region& region, float* values) const {
  const size_t tiles = width_ / tile_width_, end = region.column + region.width;
  for (size_t line = 0; line < channels_ * region.height; ++line) {
    const size_t source = line / region.height * height_ + region.row + line % region.height;
    const int16_t* in = values_.get() + source * width_;
    for (size_t column = region.column; column < end;) {
      const size_t tile = column / tile_width_, stop = std::min(end, (tile + 1) * tile_width_);
      const float unit = units_[source * tiles + tile];
      for (; column < stop; ++column) *values++ = static_cast<float>(in[column]) * unit;
    }
  }
}

}  // namespace hqdit
