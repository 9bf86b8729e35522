// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "process.h"

namespace hqdit {

/// One evaluation of the network and what follows, of any process and solver: with the clean sample that the prediction
/// implies, x0 = (from_sample x - from_prediction prediction) / divisor,
///   x <- sample x + clean x0 + previous (x0 of the step before) + random z
/// A clip_range above 0 clips x0, which moves the next x by clip_gain (clipped - x0).
struct SolverStep {
  double time;   ///< of the network
  double level;  ///< of noise, 0 .. 1, by which guidance intervals go
  double from_sample, from_prediction, divisor;
  double sample, clean, previous, random;
  double clip_range, clip_gain;

  /// The time in training timesteps, for reports.
  int64_t timestep(const Process& process) const;
};

/// All steps of a run, in order: `steps` of them, 2 steps - 1 for Heun's method. `eta` is DDIM's, in 0 .. 1.
Status plan_steps(const Process& process, int32_t kind, int32_t spacing, int32_t steps, double eta,
                  std::vector<SolverStep>* plan);

/// Applies steps to a sample of a fixed size. Allocates in the constructor only.
class Scheduler {
 public:
  explicit Scheduler(size_t count) : clean_(count) {}

  /// `random` is read if step.random is not 0 only. Steps must come in order: some solvers look back.
  void apply(const SolverStep& step, const float* prediction, const float* random, float* sample);

  /// The clean sample that the latest step predicted.
  const float* clean() const { return clean_.data(); }
  size_t count() const { return clean_.size(); }

 private:
  std::vector<float> clean_;
};

}  // namespace hqdit
