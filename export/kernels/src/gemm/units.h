// SPDX-License-Identifier: Apache-2.0
// Units of work by number. Each thread begins with a run of neighbours of its own, the same in every call: what it
// writes lies together, and what it wrote last time is still in its cache. One that is done, a fast core's, takes over
// from the far ends of the other runs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "hqdit/fp4_linear.h"
#include "hqdit/most_threads.h"
#include "hqdit/rest.h"

namespace hqdit {

/// Units [first, last).
struct Units {
  int64_t first, last;

  int64_t count() const { return last - first; }
};

/// Units that nobody has taken yet, first and last in one word: its owner takes from the front, others from the end.
class alignas(64) UnitRun {
 public:
  void set(int64_t first, int64_t last) { run_.store(pack({first, last}), std::memory_order_relaxed); }

  /// Up to `most`, a quarter of what is left, lest others find too little at the end. None if none is left.
  Units take_first(int64_t most) {
    return take([most](Units& left) {
      const int64_t count = std::max<int64_t>(1, std::min(most, left.count() / 4));
      left.first += count;
      return Units{left.first - count, left.first};
    });
  }
  Units take_last() {
    return take([](Units& left) {
      --left.last;
      return Units{left.last, left.last + 1};
    });
  }

 private:
  template <class Choose>
  Units take(const Choose& choose) {
    for (uint64_t run = run_.load(std::memory_order_relaxed);;) {
      Units left{static_cast<int64_t>(run >> 32), static_cast<int64_t>(run & 0xffffffffu)};
      if (left.count() < 1) return {0, 0};
      const Units taken = choose(left);
      if (run_.compare_exchange_weak(run, pack(left), std::memory_order_relaxed)) return taken;
    }
  }

  static uint64_t pack(const Units& units) {
    return static_cast<uint64_t>(units.first) << 32 | static_cast<uint64_t>(units.last);
  }

  std::atomic<uint64_t> run_;
};

/// The units [0, units) as runs of `slots` threads.
struct UnitRuns {
  int64_t slots;
  UnitRun runs[kMostThreads];

  UnitRuns(int64_t units, int64_t threads) : slots(threads) {
    for (int64_t slot = 0; slot < slots; ++slot) {
      runs[slot].set(slot * units / slots, (slot + 1) * units / slots);
    }
  }

  /// Up to `most` neighbours. None if none is left.
  Units next(int64_t slot, int64_t most) {
    Units units = runs[slot].take_first(most);
    for (int64_t i = 1; units.count() < 1 && i < slots; ++i) units = runs[(slot + i) % slots].take_last();
    return units;
  }

  /// -1 if none is left.
  int64_t next(int64_t slot) {
    const Units one = next(slot, 1);
    return one.count() < 1 ? -1 : one.first;
  }
};

/// Calls work(slot) for each of `slots` slots, on as many threads as the pool gives.
template <typename Work>
void run_slots(const ParallelFor& parallel, int64_t slots, Work& work) {
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) (*static_cast<Work*>(arg))(slot);
  };
  if (slots == 1) {
    work(0);
  } else {
    parallel.run(parallel.context, slots, run, &work);
  }
}

/// Calls worker(slot, next) once on each of up to `slots` threads; next() gives the next unit, below 0 when all are
/// taken, and next(most) up to so many. units: below 2^32.
template <typename Worker>
void take_units(const ParallelFor& parallel, int64_t slots, int64_t units, const Worker& worker) {
  if (units < 1) return;
  UnitRuns runs(units, std::min<int64_t>({slots, units, kMostThreads}));
  auto work = [&](int64_t slot) { worker(slot, [&runs, slot](auto... most) { return runs.next(slot, most...); }); };
  run_slots(parallel, runs.slots, work);
}

/// Calls first(unit, slot) for `firsts` units and, when all of them are done, second(unit, slot) for `seconds`, in one
/// call of the pool.
///
/// No deadlock, even if the pool runs some slots only after others have returned: a slot waits only when no first unit
/// is left to take. Each of them is then done or held by a slot that is running, since a slot that has not started
/// takes none, and the others take those of its run. `first` waits for nothing, so every running slot reaches the end
/// of its loop and subtracts its units, and `missing` becomes 0. Nobody waits for a slot that has not started.
template <typename First, typename Second>
void take_units_in_order(const ParallelFor& parallel, int64_t slots, int64_t firsts, const First& first,
                         int64_t seconds, const Second& second) {
  const int64_t threads = std::min<int64_t>({slots, std::max(firsts, seconds), kMostThreads});
  if (threads < 1) return;
  UnitRuns first_runs(firsts, threads);
  UnitRuns second_runs(seconds, threads);
  alignas(64) std::atomic<int64_t> missing{firsts};
  auto work = [&](int64_t slot) {
    int64_t done = 0;
    for (int64_t unit = first_runs.next(slot); unit >= 0; unit = first_runs.next(slot), ++done) first(unit, slot);
    if (done > 0) missing.fetch_sub(done, std::memory_order_acq_rel);
    for (int64_t turn = 0; missing.load(std::memory_order_acquire) > 0; ++turn) rest_a_little(turn);
    for (int64_t unit = second_runs.next(slot); unit >= 0; unit = second_runs.next(slot)) second(unit, slot);
  };
  run_slots(parallel, threads, work);
}

}  // namespace hqdit
