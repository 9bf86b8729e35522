// SPDX-License-Identifier: Apache-2.0
#include "noise_schedule.h"

#include <cmath>

namespace hqdit {

namespace {

Status check_table(const NoiseSchedule& schedule) {
  const std::vector<double>& table = schedule.table;
  bool falls = table.front() < 1 && table.back() >= 0;
  for (size_t i = 1; i < table.size(); ++i) falls = falls && table[i] < table[i - 1];
  if (falls && table.size() == static_cast<size_t>(schedule.num_train_timesteps)) return {};
  return invalid_argument("alphas_cumprod must hold num_train_timesteps numbers that fall from below 1 to 0 or above");
}

}  // namespace

Status check_steps(int32_t num_train_timesteps, int32_t steps) {
  if (steps >= 1 && steps <= num_train_timesteps) return {};
  return invalid_argument("steps must be in 1 .. " + std::to_string(num_train_timesteps) +
                          " (the training timesteps), not " + std::to_string(steps));
}

Status check(const NoiseSchedule& schedule) {
  if (schedule.num_train_timesteps < 1 || schedule.num_train_timesteps > 1000000) {
    return invalid_argument("num_train_timesteps must be in 1 .. 1000000");
  }
  if (schedule.steps_offset < 0 || schedule.steps_offset >= schedule.num_train_timesteps) {
    return invalid_argument("steps_offset must be in 0 .. num_train_timesteps - 1");
  }
  if (!schedule.table.empty()) return check_table(schedule);
  if (!(schedule.beta_start > 0 && schedule.beta_start <= schedule.beta_end && schedule.beta_end < 1)) {
    return invalid_argument("betas must satisfy 0 < beta_start <= beta_end < 1");
  }
  if (!(alphas_cumprod(schedule).back() > 0)) {
    return invalid_argument("betas are too large: no signal is left at the last training timestep");
  }
  return {};
}

std::vector<double> alphas_cumprod(const NoiseSchedule& schedule) {
  if (!schedule.table.empty()) return schedule.table;
  const auto n = static_cast<size_t>(schedule.num_train_timesteps);
  const bool scaled = schedule.scaled_linear;
  const auto start = static_cast<float>(scaled ? std::sqrt(schedule.beta_start) : schedule.beta_start);
  const auto end = static_cast<float>(scaled ? std::sqrt(schedule.beta_end) : schedule.beta_end);
  const float step = n > 1 ? (end - start) / static_cast<float>(n - 1) : 0.0f;
  std::vector<double> result(n);
  double product = 1.0;
  for (size_t i = 0; i < n; ++i) {
    // From both ends to the middle, as torch.linspace.
    float beta = i < n / 2 ? start + step * static_cast<float>(i) : end - step * static_cast<float>(n - 1 - i);
    if (scaled) beta = beta * beta;
    product *= static_cast<double>(1.0f - beta);
    result[i] = static_cast<double>(static_cast<float>(product));
  }
  return result;
}

Status make_timesteps(const NoiseSchedule& schedule, int32_t kind, int32_t spacing, int32_t steps,
                      std::vector<int64_t>* timesteps) {
  const int32_t train = schedule.num_train_timesteps;
  if (Status status = check_steps(train, steps); !status.ok()) return status;
  // The multistep solver places one point more and leaves out the last, at timestep 0.
  const int32_t points = kind == HQDIT_SCHEDULER_DPM_SOLVER ? steps + 1 : steps;
  timesteps->clear();
  for (int32_t i = 0; i < steps; ++i) {
    double t = 0;
    switch (spacing) {
      case HQDIT_SPACING_LEADING:
        t = static_cast<double>(points - 1 - i) * (train / points) + schedule.steps_offset;
        break;
      case HQDIT_SPACING_TRAILING: {
        // numpy.arange's stride, the rounded difference of its first two numbers: it decides the ties.
        const double stride = (train - static_cast<double>(train) / steps) - train;
        t = std::nearbyint(train + i * stride) - 1;
        break;
      }
      case HQDIT_SPACING_LINSPACE: {
        const double stride = points > 1 ? (train - 1.0) / (points - 1) : 0.0;
        // The far end is the number itself, not a rounded product.
        t = i == 0 && points > 1 ? train - 1.0 : std::nearbyint((points - 1 - i) * stride);
        break;
      }
      default:
        return invalid_argument("unknown timestep spacing " + std::to_string(spacing));
    }
    timesteps->push_back(static_cast<int64_t>(t));
  }
  for (size_t i = 0; i < timesteps->size(); ++i) {
    const int64_t t = (*timesteps)[i];
    if (t < 0 || t >= train || (i > 0 && t >= (*timesteps)[i - 1])) {
      return invalid_argument(std::to_string(steps) +
                              " steps do not fit this scheduler and spacing with steps_offset " +
                              std::to_string(schedule.steps_offset) + ": take fewer, or another spacing");
    }
  }
  return {};
}

}  // namespace hqdit
