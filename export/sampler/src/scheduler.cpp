// SPDX-License-Identifier: Apache-2.0
#include "scheduler.h"

#include <algorithm>
#include <cmath>

#include "portable_math.h"

namespace hqdit {
namespace {

/// A point of the variance-preserving diffusion: x = alpha x0 + sigma noise.
struct Level {
  double alpha, sigma;
  double lambda() const { return portable_log(alpha / sigma); }
};

Level level_of(double alpha_cumprod) { return {std::sqrt(alpha_cumprod), std::sqrt(1.0 - alpha_cumprod)}; }

/// Equations 12 and 16 of Song et al. (ICLR 2021), with the noise written as (x - alpha x0) / sigma. `to` is the level
/// num_train_timesteps / steps below, as in diffusers, which is not always the next timestep of the list.
SolverStep ddim_step(int64_t timestep, Level from, Level to, double eta) {
  const double variance =
      (to.sigma * to.sigma) / (from.sigma * from.sigma) * (1.0 - (from.alpha * from.alpha) / (to.alpha * to.alpha));
  const double deviation = eta * std::sqrt(std::max(0.0, variance));
  const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - deviation * deviation));
  const double sample = direction / from.sigma;
  return {timestep, from.alpha, from.sigma, sample, to.alpha - sample * from.alpha, 0.0, deviation};
}

/// Algorithm 2 of Lu et al. (DPM-Solver++, 2022). alpha_t (1 - exp(-h)) is written without exp: exp(-h) is a ratio of
/// signal-to-noise ratios. `before` is the level of the step before; nullptr makes the step first order.
SolverStep dpm_solver_step(int64_t timestep, Level from, Level to, const Level* before) {
  const double sample = to.sigma / from.sigma;
  const double gain = to.alpha - from.alpha * sample;
  double extrapolation = 0.0;
  if (before != nullptr) {
    const double h = to.lambda() - from.lambda();
    const double h_before = from.lambda() - before->lambda();
    extrapolation = 0.5 * gain * (h / h_before);
  }
  return {timestep, from.alpha, from.sigma, sample, gain + extrapolation, -extrapolation, 0.0};
}

}  // namespace

Status plan_steps(const NoiseSchedule& schedule, int32_t kind, int32_t spacing, int32_t steps, double eta,
                  std::vector<SolverStep>* plan) {
  if (!(eta >= 0 && eta <= 1)) return invalid_argument("eta must be in 0 .. 1");
  if (kind != HQDIT_SCHEDULER_DDIM && kind != HQDIT_SCHEDULER_DPM_SOLVER) {
    return invalid_argument("unknown scheduler " + std::to_string(kind));
  }
  if (kind == HQDIT_SCHEDULER_DPM_SOLVER && eta != 0) {
    return invalid_argument("eta belongs to DDIM; DPM-Solver++ has no fresh noise");
  }
  std::vector<int64_t> timesteps;
  if (Status status = make_timesteps(schedule, kind, spacing, steps, &timesteps); !status.ok()) return status;
  const std::vector<double> cumprod = alphas_cumprod(schedule);
  const auto level_at = [&](int64_t t) { return level_of(cumprod[static_cast<size_t>(t)]); };
  const Level clean{1.0, 0.0};

  plan->clear();
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    if (kind == HQDIT_SCHEDULER_DDIM) {
      const int64_t next = t - schedule.num_train_timesteps / steps;
      const Level last = schedule.set_alpha_to_one ? clean : level_at(0);
      plan->push_back(ddim_step(t, level_at(t), next >= 0 ? level_at(next) : last, eta));
    } else {
      const bool last = i + 1 == timesteps.size();
      const Level before = i > 0 ? level_at(timesteps[i - 1]) : clean;
      plan->push_back(dpm_solver_step(t, level_at(t), last ? clean : level_at(timesteps[i + 1]),
                                      i > 0 && !last ? &before : nullptr));
    }
  }
  return {};
}

void Scheduler::apply(const SolverStep& step, const float* noise_prediction, const float* random, float* sample) {
  for (size_t i = 0; i < clean_.size(); ++i) {
    const auto x = static_cast<double>(sample[i]);
    const double clean = (x - step.sigma * static_cast<double>(noise_prediction[i])) / step.alpha;
    double next = step.sample * x + step.clean * clean;
    if (step.previous != 0.0) next += step.previous * static_cast<double>(clean_[i]);
    if (step.random != 0.0) next += step.random * static_cast<double>(random[i]);
    sample[i] = static_cast<float>(next);
    clean_[i] = static_cast<float>(clean);
  }
}

}  // namespace hqdit
