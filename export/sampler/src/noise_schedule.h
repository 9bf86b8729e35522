// SPDX-License-Identifier: Apache-2.0
// The training noise schedule and the timesteps a sampler visits, as diffusers defines them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hqdit.h"
#include "status.h"

namespace hqdit {

struct NoiseSchedule {
  int32_t num_train_timesteps = 1000;
  double beta_start = 1e-4;
  double beta_end = 0.02;
  bool scaled_linear = false;  ///< linear in sqrt(beta) instead of beta
  int32_t steps_offset = 0;
  bool set_alpha_to_one = true;
  /// alpha^2 of every timestep, [num_train_timesteps], in place of the betas; empty for none.
  std::vector<double> table;
};

/// Says which field is out of range.
Status check(const NoiseSchedule& schedule);

/// How many steps a run may have: 1 to all training timesteps.
Status check_steps(int32_t num_train_timesteps, int32_t steps);

/// Cumulative products of 1 - beta, [num_train_timesteps]. Rounded to float32 where diffusers holds float32, so that
/// the samplers agree with its schedulers.
std::vector<double> alphas_cumprod(const NoiseSchedule& schedule);

/// The timesteps of `steps` steps, highest first.
Status make_timesteps(const NoiseSchedule& schedule, int32_t kind, int32_t spacing, int32_t steps,
                      std::vector<int64_t>* timesteps);

}  // namespace hqdit
