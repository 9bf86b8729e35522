// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <cmath>

#include "hqdit/sincos.h"
#include "portable_math.h"

namespace hqdit {
namespace {

constexpr double kHalfPi = 1.57079632679489661923132169164;
constexpr int32_t kMaxTrainTimesteps = 1000000;

Status check_flow(const Process& process) {
  const Flow& flow = process.flow;
  const int32_t total = process.schedule.num_train_timesteps;
  if (total < 1 || total > kMaxTrainTimesteps) return invalid_argument("num_train_timesteps must be in 1 .. 1000000");
  for (const double time : {flow.time_at_noise, flow.time_at_data}) {
    if (!(std::fabs(time) <= 1e6)) {
      return invalid_argument("time_at_noise and time_at_data must be in -1000000 .. 1000000");
    }
  }
  if (flow.time_at_noise == flow.time_at_data) return invalid_argument("time_at_noise and time_at_data must differ");
  if (!(flow.shift >= 1e-3 && flow.shift <= 1e3)) return invalid_argument("shift must be in 0.001 .. 1000");
  if (!(0 <= flow.end && flow.end < flow.start && flow.start <= 1)) {
    return invalid_argument("start and end must satisfy 0 <= end < start <= 1");
  }
  if (process.prediction == HQDIT_PREDICTION_V) {
    return invalid_argument("v_prediction belongs to a process with betas: a flow's own is velocity");
  }
  const bool noise = process.prediction == HQDIT_PREDICTION_EPSILON || process.prediction == HQDIT_PREDICTION_SCORE;
  if (noise && flow.start == 1) {
    return invalid_argument("epsilon and score say nothing at level 1: let start be below, as 0.999");
  }
  if (process.clip_sample_range != 0) return invalid_argument("clip_sample_range belongs to a process with betas");
  return {};
}

double shifted(const Flow& flow, double level) { return flow.shift * level / (1.0 + (flow.shift - 1.0) * level); }

}  // namespace

bool Process::has_sampler(int32_t kind) const {
  return kind >= HQDIT_SCHEDULER_DDIM && kind <= (is_flow ? HQDIT_SCHEDULER_HEUN : HQDIT_SCHEDULER_DPM_SOLVER);
}

const char* sampler_name(int32_t kind) {
  switch (kind) {
    case HQDIT_SCHEDULER_DDIM:
      return "ddim";
    case HQDIT_SCHEDULER_DPM_SOLVER:
      return "dpm-solver++";
    case HQDIT_SCHEDULER_EULER:
      return "euler";
    case HQDIT_SCHEDULER_HEUN:
      return "heun";
    default:
      return "?";
  }
}

Status check(const Process& process) {
  if (process.prediction < HQDIT_PREDICTION_EPSILON || process.prediction > HQDIT_PREDICTION_SCORE) {
    return invalid_argument("unknown prediction " + std::to_string(process.prediction));
  }
  if (process.multistep.order < 1 || process.multistep.order > 2) {
    return invalid_argument("solver_order must be 1 or 2");
  }
  if (process.is_flow) return check_flow(process);
  if (process.prediction == HQDIT_PREDICTION_VELOCITY) {
    return invalid_argument("velocity belongs to a flow: that of a process with betas is v_prediction");
  }
  if (!(process.clip_sample_range >= 0 && process.clip_sample_range <= 1e6)) {
    return invalid_argument("clip_sample_range must be in 0 .. 1000000");
  }
  return check(process.schedule);
}

double Point::lambda() const { return portable_log(alpha / sigma); }

Point flow_point(const Flow& flow, double level) {
  const double time = flow.time_at_data + level * (flow.time_at_noise - flow.time_at_data);
  if (!flow.gvp) return {time, level, 1.0 - level, level, -1.0, 1.0};
  // Sine and cosine of at most an eighth of a turn: exact at both ends.
  const bool low = level <= 0.5;
  const SinCos turned = sincos_from_quadrant(0, (low ? level : 1.0 - level) * kHalfPi);
  const double alpha = low ? turned.cos : turned.sin, sigma = low ? turned.sin : turned.cos;
  return {time, level, alpha, sigma, -kHalfPi * sigma, kHalfPi * alpha};
}

Status flow_points(const Process& process, int32_t spacing, int32_t steps, std::vector<Point>* points) {
  const int32_t train = process.schedule.num_train_timesteps;
  if (Status status = check_steps(train, steps); !status.ok()) return status;
  const Flow& flow = process.flow;
  points->clear();
  for (int32_t i = 0; i < steps; ++i) {
    double level = 0;
    switch (spacing) {
      case HQDIT_SPACING_LEADING:
        level = (1.0 - 1.0 / train) * (static_cast<double>(steps - i) / steps);
        break;
      case HQDIT_SPACING_TRAILING:
        level = static_cast<double>(steps - i) / steps;
        break;
      case HQDIT_SPACING_LINSPACE:
        level = 1.0 + i * (steps > 1 ? (shifted(flow, 1.0 / train) - 1.0) / (steps - 1) : 0.0);
        break;
      default:
        return invalid_argument("unknown timestep spacing " + std::to_string(spacing));
    }
    points->push_back(flow_point(flow, flow.end + (flow.start - flow.end) * shifted(flow, level)));
  }
  points->push_back(flow_point(flow, flow.end));
  return {};
}

}  // namespace hqdit
