// SPDX-License-Identifier: Apache-2.0
// The parts of the engine that read what others wrote, under the sanitizers: every prefix, and many random changes, of
// a manifest. argv: manifest.json, seed, rounds. Prints how many texts were accepted.
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
#include "rng.h"
#include "scheduler.h"

namespace {

/// Walks every step that the manifest's own noise schedule allows: no coefficient may be undefined.
bool plans_are_finite(const hqdit::Manifest& manifest) {
  for (const int32_t kind : {0, 1, 2}) {
    for (const int32_t spacing : {0, 1, 2, 3}) {
      for (const int32_t steps : {-1, 0, 1, 2, 19}) {
        std::vector<hqdit::SolverStep> plan;
        if (!hqdit::plan_steps(manifest.schedule, kind, spacing, steps, 0.0, &plan).ok()) continue;
        for (const hqdit::SolverStep& step : plan) {
          if (!std::isfinite(step.sample + step.clean + step.previous + step.random)) return false;
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::string text;
  if (!hqdit::read_text(argv[1], 1 << 20, &text).ok()) return 2;
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
