// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "noise_schedule.h"

namespace hqdit {

/// One step of any of the solvers: with x0 = (x - sigma noise) / alpha the clean sample that the prediction implies,
///   x <- sample x + clean x0 + previous (x0 of the step before) + random z
struct SolverStep {
  int64_t timestep;
  double alpha, sigma;
  double sample, clean, previous, random;
};

/// DDIM, or DPM-Solver++ 2M: the coefficients of all steps, in order. `eta` is DDIM's, in 0 .. 1.
Status plan_steps(const NoiseSchedule& schedule, int32_t kind, int32_t spacing, int32_t steps, double eta,
                  std::vector<SolverStep>* plan);

/// Applies steps to a sample of a fixed size. Allocates in the constructor only.
class Scheduler {
 public:
  explicit Scheduler(size_t count) : clean_(count) {}

  /// `random` is read if step.random is not 0 only. Steps must come in order: the multistep solver looks back.
  void apply(const SolverStep& step, const float* noise_prediction, const float* random, float* sample);

  /// The clean sample that the latest step predicted.
  const float* clean() const { return clean_.data(); }
  size_t count() const { return clean_.size(); }

 private:
  std::vector<float> clean_;
};

}  // namespace hqdit
