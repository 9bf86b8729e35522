// SPDX-License-Identifier: Apache-2.0
// Units of work by number. Each thread begins with a run of neighbours of its own, the same in every call: what it
// writes lies together, and what it wrote last time is still in its cache. One that is done, a fast core's, takes over
// from the far ends of the other runs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "hqdit/fp4_linear.h"

namespace hqdit {

/// Units [first, last) that nobody has taken yet, both in one word: its owner takes from the front, others from the
/// end.
class alignas(64) UnitRun {
 public:
  void set(int64_t first, int64_t last) { run_.store(pack(first, last), std::memory_order_relaxed); }

  /// -1 if none is left.
  int64_t take_first() {
    return take([](int64_t& first, int64_t&) { return first++; });
  }
  int64_t take_last() {
    return take([](int64_t&, int64_t& last) { return --last; });
  }

 private:
  template <class Choose>
  int64_t take(const Choose& choose) {
    for (uint64_t run = run_.load(std::memory_order_relaxed);;) {
      int64_t first = static_cast<int64_t>(run >> 32), last = static_cast<int64_t>(run & 0xffffffffu);
      if (first >= last) return -1;
      const int64_t unit = choose(first, last);
      if (run_.compare_exchange_weak(run, pack(first, last), std::memory_order_relaxed)) return unit;
    }
  }

  static uint64_t pack(int64_t first, int64_t last) {
    return static_cast<uint64_t>(first) << 32 | static_cast<uint64_t>(last);
  }

  std::atomic<uint64_t> run_;
};

/// Calls worker(slot, next) once on each of up to `slots` threads; next() gives the next unit, below 0 when all are
/// taken. units: below 2^32.
template <typename Worker>
void take_units(const ParallelFor& parallel, int64_t slots, int64_t units, const Worker& worker) {
  constexpr int64_t kMostSlots = 64;
  struct Shared {
    const Worker& worker;
    int64_t slots;
    UnitRun runs[kMostSlots];
  } shared{worker, std::min({slots, units, kMostSlots}), {}};
  if (units < 1) return;
  for (int64_t slot = 0; slot < shared.slots; ++slot) {
    shared.runs[slot].set(slot * units / shared.slots, (slot + 1) * units / shared.slots);
  }
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    Shared& s = *static_cast<Shared*>(arg);
    for (int64_t slot = begin; slot < end; ++slot) {
      s.worker(slot, [&s, slot] {
        int64_t unit = s.runs[slot].take_first();
        for (int64_t i = 1; unit < 0 && i < s.slots; ++i) unit = s.runs[(slot + i) % s.slots].take_last();
        return unit;
      });
    }
  };
  if (shared.slots == 1) {
    run(&shared, 0, 1);
  } else {
    parallel.run(parallel.context, shared.slots, run, &shared);
  }
}

}  // namespace hqdit
