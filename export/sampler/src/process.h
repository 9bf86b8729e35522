// SPDX-License-Identifier: Apache-2.0
// A diffusion process: what a network was trained to undo. The same as hqdit_mobile/diffusion/process.py.
#pragma once

#include <cstdint>
#include <string>

#include "hqdit_parts.h"
#include "noise_schedule.h"
#include "status.h"

namespace hqdit {

/// Data and noise joined over a noise level s, 0 (data) to 1 (noise).
struct Flow {
  bool gvp = false;           ///< alpha = cos(pi s / 2), sigma = sin(pi s / 2) in place of 1 - s and s
  double time_at_noise = 1;   ///< the network's time at s = 1 ...
  double time_at_data = 0;    ///< ... and at s = 0; linear in between
  double shift = 1;           ///< a run's levels s become shift s / (1 + (shift - 1) s)
  double start = 1, end = 0;  ///< the levels at which a run begins and ends
};

/// DPM-Solver++'s, as diffusers' DPMSolverMultistepScheduler has them.
struct MultistepOptions {
  int32_t order = 2;
  bool heun = false;  ///< solver_type heun in place of midpoint
  bool lower_order_final = true;
  bool euler_at_final = false;
  bool ends_at_sigma_min = false;  ///< final_sigmas_type sigma_min in place of zero
};

struct Process {
  bool is_flow = false;
  NoiseSchedule schedule;  ///< of betas; a flow has its num_train_timesteps only
  Flow flow;
  int32_t prediction = HQDIT_PREDICTION_EPSILON;  ///< hqdit_prediction
  double clip_sample_range = 0;                   ///< the clean sample is clipped to +- this; 0 for no clipping
  MultistepOptions multistep;

  bool has_sampler(int32_t kind) const;
};

/// "ddim" and so on; "?" for a number that is no hqdit_scheduler_kind.
const char* sampler_name(int32_t kind);

/// Says which field is out of range or does not go with another.
Status check(const Process& process);

/// A place on a path: x = alpha x0 + sigma noise. The slopes are derivatives by the noise level of a flow.
struct Point {
  double time, level, alpha, sigma;
  double alpha_slope, sigma_slope;

  /// log(alpha / sigma).
  double lambda() const;
};

Point flow_point(const Flow& flow, double level);

/// The points that `steps` steps visit, noisiest first, and the end of the run behind them.
Status flow_points(const Process& process, int32_t spacing, int32_t steps, std::vector<Point>* points);

}  // namespace hqdit
