// SPDX-License-Identifier: Apache-2.0
#include "scheduler.h"

#include <algorithm>
#include <cmath>

namespace hqdit {
namespace {

/// What diffusers' DPM-Solver++ takes for a signal of zero, whose logarithm it needs.
constexpr double kLeastAlphaCumprod = 1.0 / (1 << 24);
/// Steps from which lower_order_final has no effect, as in diffusers.
constexpr size_t kLongRun = 15;

constexpr Point kClean{0, 0, 1, 0, 0, 0};

SolverStep step_at(const Point& at, double sample, double clean) {
  return {at.time, at.level, 1, at.sigma, at.alpha, sample, clean, 0, 0, 0, 0};
}

/// Equations 12 and 16 of Song et al. (ICLR 2021), with the noise written as (x - alpha x0) / sigma.
SolverStep ddim_step(const Point& from, const Point& to, double eta) {
  double deviation = 0.0;
  if (eta > 0) {
    const double variance =
        (to.sigma * to.sigma) / (from.sigma * from.sigma) * (1.0 - (from.alpha * from.alpha) / (to.alpha * to.alpha));
    deviation = eta * std::sqrt(std::max(0.0, variance));
  }
  const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - deviation * deviation));
  const double sample = direction / from.sigma;
  SolverStep step = step_at(from, sample, to.alpha - sample * from.alpha);
  step.random = deviation;
  step.clip_gain = to.alpha;
  return step;
}

/// Algorithm 2 of Lu et al. (DPM-Solver++, 2022). alpha_t (1 - exp(-h)) is written without exp: exp(-h) is a ratio of
/// signal-to-noise ratios. `before` is the point of the step before; nullptr makes the step first order.
SolverStep dpm_solver_step(const Point& from, const Point& to, const Point* before, bool heun) {
  const double sample = to.sigma / from.sigma;
  const double gain = to.alpha - from.alpha * sample;
  double extrapolation = 0.0;
  if (before != nullptr) {
    const double h = to.lambda() - from.lambda();
    const double h_before = from.lambda() - before->lambda();
    const double half = heun ? (h > 0 ? to.alpha - gain / h : 0.0) : 0.5 * gain;
    extrapolation = half * (h / h_before);
  }
  SolverStep step = step_at(from, sample, gain + extrapolation);
  step.previous = -extrapolation;
  step.clip_gain = step.clean;
  return step;
}

/// dx/ds = growth x + drift x0, of a flow.
struct Slope {
  explicit Slope(const Point& at) : growth(at.sigma_slope / at.sigma), drift(at.alpha_slope - at.alpha * growth) {}
  double growth, drift;
};

SolverStep euler_step(const Point& from, const Point& to) {
  const Slope slope(from);
  const double width = to.level - from.level;
  return step_at(from, 1.0 + width * slope.growth, width * slope.drift);
}

/// The second half of a step of Heun's method, at the end of `euler`: half of that step is taken back, and the slope
/// here comes in its place. The sample before comes back as (x - clean x0 of the step before) / sample.
SolverStep heun_step(const SolverStep& euler, const Point& from, const Point& to) {
  const double half = 0.5 / euler.sample;
  const Slope slope(to);
  const double width = 0.5 * (to.level - from.level);
  SolverStep step = step_at(to, half + 0.5 + width * slope.growth, width * slope.drift);
  step.previous = -half * euler.clean;
  return step;
}

/// The one place that says how the clean sample follows from what the network predicts. step_at has that of epsilon.
Status set_prediction(const Process& process, SolverStep* step) {
  const double alpha = step->divisor, sigma = step->from_prediction;
  switch (process.prediction) {
    case HQDIT_PREDICTION_V:
      step->from_sample = alpha;
      step->divisor = 1;
      break;
    case HQDIT_PREDICTION_VELOCITY: {
      const Point at = flow_point(process.flow, step->level);
      step->from_sample = at.sigma_slope;
      step->from_prediction = process.flow.time_at_noise > process.flow.time_at_data ? at.sigma : -at.sigma;
      step->divisor = at.alpha * at.sigma_slope - at.alpha_slope * at.sigma;
      break;
    }
    case HQDIT_PREDICTION_SAMPLE:
      step->from_sample = 0;
      step->from_prediction = -1;
      step->divisor = 1;
      break;
    case HQDIT_PREDICTION_SCORE:
      step->from_prediction = -sigma * sigma;
      break;
    default:
      break;
  }
  if (step->divisor == 0) {
    return invalid_argument("the network's prediction says nothing at time " + std::to_string(std::lround(step->time)) +
                            ", where no signal is left: take the leading spacing");
  }
  step->clip_range = process.clip_sample_range;
  // Levels of noise that differ in the last bits only leave nothing to extrapolate from.
  if (std::isfinite(step->sample + step->clean + step->previous + step->random)) return {};
  return invalid_argument("the noise levels around time " + std::to_string(std::lround(step->time)) +
                          " are too near to each other: take fewer steps, or ddim");
}

/// Those visited and the end of the run.
Status discrete_points(const Process& process, int32_t kind, int32_t spacing, int32_t steps,
                       const std::vector<double>& cumprod, std::vector<Point>* points) {
  std::vector<int64_t> timesteps;
  if (Status status = make_timesteps(process.schedule, kind, spacing, steps, &timesteps); !status.ok()) return status;
  const bool multistep = kind == HQDIT_SCHEDULER_DPM_SOLVER;
  const auto train = static_cast<float>(process.schedule.num_train_timesteps);
  const auto point_at = [&](int64_t t, double least) -> Point {
    const double stored = cumprod[static_cast<size_t>(t)], squared = stored == 0 ? least : stored;
    const auto level = static_cast<double>(static_cast<float>(t) / train);
    return {static_cast<double>(t), level, std::sqrt(squared), std::sqrt(1.0 - squared), 0, 0};
  };
  points->clear();
  for (const int64_t t : timesteps) points->push_back(point_at(t, multistep ? kLeastAlphaCumprod : 0));
  points->push_back(multistep && process.multistep.ends_at_sigma_min ? point_at(0, 0) : kClean);
  if (kind != HQDIT_SCHEDULER_DDIM) return {};
  // DDIM steps to num_train_timesteps / steps below, as in diffusers, which is not always the next timestep of the
  // list: each visited point is followed by the end of its own step.
  std::vector<Point> pairs;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t next = timesteps[i] - process.schedule.num_train_timesteps / steps;
    const Point last = process.schedule.set_alpha_to_one ? kClean : point_at(0, 0);
    pairs.push_back((*points)[i]);
    pairs.push_back(next >= 0 ? point_at(next, 0) : last);
  }
  *points = std::move(pairs);
  return {};
}

void plan_dpm_solver(const MultistepOptions& options, const std::vector<Point>& points, std::vector<SolverStep>* plan) {
  const size_t steps = points.size() - 1;
  for (size_t i = 0; i < steps; ++i) {
    const Point &from = points[i], &to = points[i + 1];
    const bool lower = options.order == 1 || i == 0 || to.sigma == 0 || points[i - 1].alpha == 0;
    const bool final = i + 1 == steps && (options.euler_at_final || (options.lower_order_final && steps < kLongRun));
    plan->push_back(dpm_solver_step(from, to, lower || final ? nullptr : &points[i - 1], options.heun));
  }
}

void plan_heun(const std::vector<Point>& points, std::vector<SolverStep>* plan) {
  for (size_t i = 0; i + 1 < points.size(); ++i) {
    const SolverStep euler = euler_step(points[i], points[i + 1]);
    plan->push_back(euler);
    // The last step is Euler's, as in EDM, REPA and diffusers.
    if (i + 2 < points.size()) plan->push_back(heun_step(euler, points[i], points[i + 1]));
  }
}

Status check_run(const Process& process, int32_t kind, double eta) {
  if (!process.has_sampler(kind)) {
    std::string known;
    for (int32_t i = 0; process.has_sampler(i); ++i) known += (i ? ", " : "") + std::string(sampler_name(i));
    return invalid_argument("this process has the schedulers " + known + ", not " + sampler_name(kind) + " (" +
                            std::to_string(kind) + ")");
  }
  if (!(eta >= 0 && eta <= 1)) return invalid_argument("eta must be in 0 .. 1");
  if (eta == 0 || (kind == HQDIT_SCHEDULER_DDIM && !process.is_flow)) return {};
  return invalid_argument("eta belongs to DDIM on a process with betas; " + std::string(sampler_name(kind)) +
                          " has no fresh noise here");
}

}  // namespace

int64_t SolverStep::timestep(const Process& process) const {
  return std::lround(process.is_flow ? level * process.schedule.num_train_timesteps : time);
}

Status plan_steps(const Process& process, int32_t kind, int32_t spacing, int32_t steps, double eta,
                  std::vector<SolverStep>* plan) {
  if (Status status = check_run(process, kind, eta); !status.ok()) return status;
  std::vector<Point> points;
  Status status = process.is_flow
                      ? flow_points(process, spacing, steps, &points)
                      : discrete_points(process, kind, spacing, steps, alphas_cumprod(process.schedule), &points);
  if (!status.ok()) return status;
  plan->clear();
  if (kind == HQDIT_SCHEDULER_DDIM) {
    const size_t stride = process.is_flow ? 1 : 2;
    for (size_t i = 0; i + 1 < points.size(); i += stride) plan->push_back(ddim_step(points[i], points[i + 1], eta));
  } else if (kind == HQDIT_SCHEDULER_DPM_SOLVER) {
    plan_dpm_solver(process.multistep, points, plan);
  } else if (kind == HQDIT_SCHEDULER_EULER) {
    for (size_t i = 0; i + 1 < points.size(); ++i) plan->push_back(euler_step(points[i], points[i + 1]));
  } else {
    plan_heun(points, plan);
  }
  for (SolverStep& step : *plan) {
    if (status = set_prediction(process, &step); !status.ok()) return status;
  }
  return {};
}

void Scheduler::apply(const SolverStep& step, const float* prediction, const float* random, float* sample) {
  for (size_t i = 0; i < clean_.size(); ++i) {
    const auto x = static_cast<double>(sample[i]);
    double clean = (step.from_sample * x - step.from_prediction * static_cast<double>(prediction[i])) / step.divisor;
    double next = step.sample * x + step.clean * clean;
    if (step.clip_range > 0) {
      const double clipped = std::clamp(clean, -step.clip_range, step.clip_range);
      next += step.clip_gain * (clipped - clean);
      clean = clipped;
    }
    if (step.previous != 0.0) next += step.previous * static_cast<double>(clean_[i]);
    if (step.random != 0.0) next += step.random * static_cast<double>(random[i]);
    sample[i] = static_cast<float>(next);
    clean_[i] = static_cast<float>(clean);
  }
}

}  // namespace hqdit
