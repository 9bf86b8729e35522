// SPDX-License-Identifier: Apache-2.0
// The parts of the engine that read what others wrote, under the sanitizers: every prefix, and many random changes, of
// a manifest. argv: manifest.json, seed, rounds. Prints how many texts were accepted.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "files.h"
#include "json.h"
#include "manifest.h"
#include "map_store.h"
#include "rng.h"
#include "scheduler.h"

namespace {

/// Walks every step that the manifest's own process allows: no coefficient may be undefined.
bool plans_are_finite(const hqdit::Manifest& manifest) {
  for (const int32_t kind : {-1, 0, 1, 2, 3, 4}) {
    for (const int32_t spacing : {0, 1, 2, 3}) {
      for (const int32_t steps : {-1, 0, 1, 2, 19}) {
        std::vector<hqdit::SolverStep> plan;
        if (!hqdit::plan_steps(manifest.process, kind, spacing, steps, 0.0, &plan).ok()) continue;
        for (const hqdit::SolverStep& step : plan) {
          if (!std::isfinite(step.sample + step.clean + step.previous + step.random + step.time + step.level))
            return false;
          if (!std::isfinite((step.from_sample + step.from_prediction) / step.divisor)) return false;
        }
      }
    }
  }
  return true;
}

bool try_text(const std::string& text, int* accepted) {
  hqdit::Manifest manifest;
  const hqdit::Status status = hqdit::parse_manifest(text, &manifest);
  if (!status.ok()) return !status.message.empty();
  ++*accepted;
  return manifest.labels.size() == static_cast<size_t>(manifest.num_classes) && plans_are_finite(manifest);
}

/// What a map gives back differs from what was stored by at most half a unit of each row of each tile.
bool map_keeps_values() {
  const hqdit::DecoderMap shape{{2, 3, 12}, true};
  hqdit::MapStore map;
  map.allocate(shape, 4);
  std::vector<float> values(2 * 3 * 12), got(2 * 2 * 7);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * (i % 12 < 4 ? 1e30f : 1.0f);
  std::fill(values.begin() + 24, values.begin() + 28, 1e-42f);  // no factor of float32 makes that 32767
  for (size_t line = 0; line < 6; ++line) {
    for (size_t column = 0; column < 12; column += 4) {
      const float* row = values.data() + line * 12 + column;
      map.write(line / 3, line % 3, column, row, hqdit::row_sums(row, 4).largest);
    }
  }
  map.read({1, 3, 2, 7}, got.data());
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t channel = i / 14, row = 1 + i / 7 % 2, column = 3 + i % 7;
    const float* tile = values.data() + (channel * 3 + row) * 12 + column / 4 * 4;
    const float unit = hqdit::row_sums(tile, 4).largest / 32767;
    if (!(std::fabs(got[i] - tile[column % 4]) <= 0.51f * unit + 1e-41f)) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  if (!map_keeps_values()) return 3;
  std::string text;
  hqdit::OpenFile file;
  if (!hqdit::OpenFile::open(argv[1], &file).ok() || !file.read_text(1 << 20, &text).ok()) return 2;
  std::mt19937 random(static_cast<uint32_t>(std::atoi(argv[2])));
  const auto below = [&](size_t n) { return random() % n; };
  int accepted = 0;
  for (size_t size = 0; size <= text.size(); ++size) {
    if (!try_text(text.substr(0, size), &accepted)) return 1;
  }
  using std::string_literals::operator""s;
  const std::string interesting = "{}[],:\"\\0123456789.eE+-utrnfl\x00\x7f\x80\xc0\xed\xf4\xff "s;
  for (int round = std::atoi(argv[3]); round > 0; --round) {
    std::string changed = text;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t place = below(changed.size());
      const size_t length = below(std::min<size_t>(40, changed.size() - place) + 1);
      switch (below(4)) {
        case 0:
          changed[place] = interesting[below(interesting.size())];
          break;
        case 1:
          changed.erase(place, length);
          break;
        case 2:
          changed.insert(below(changed.size()), changed.substr(place, length));
          break;
        default:
          changed.insert(place, 1, interesting[below(interesting.size())]);
      }
      if (changed.empty()) changed = "{";
    }
    if (!try_text(changed, &accepted)) {
      std::printf("%s\n", changed.c_str());
      return 1;
    }
  }
  std::printf("%d\n", accepted);
  return 0;
}
