// SPDX-License-Identifier: Apache-2.0
/// @file
/// The engine's random numbers, schedulers and signatures without a model: for tests, and for apps that bring their own
/// loop.
#ifndef HQDIT_PARTS_H_
#define HQDIT_PARTS_H_

#include "hqdit.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
HQDIT_API void hqdit_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/// out[i] = the i-th standard normal number of (seed, stream), the same bits on every platform. Stream 0 is the initial
/// noise of hqdit_generate, stream 1 + i the fresh noise of its step i (eta > 0).
HQDIT_API void hqdit_random_normal(uint64_t seed, uint32_t stream, float* out, size_t count);

typedef struct hqdit_scheduler hqdit_scheduler;

/// How alpha and sigma of a sample alpha x0 + sigma noise go.
typedef enum hqdit_path {
  HQDIT_PATH_VARIANCE_PRESERVING = 0,  ///< by betas or alphas_cumprod
  HQDIT_PATH_LINEAR_FLOW = 1,          ///< 1 - s and s over a noise level s
  HQDIT_PATH_GVP_FLOW = 2              ///< cos(pi s / 2) and sin(pi s / 2)
} hqdit_path;

typedef enum hqdit_prediction {
  HQDIT_PREDICTION_EPSILON = 0,   ///< the noise
  HQDIT_PREDICTION_V = 1,         ///< alpha noise - sigma x0
  HQDIT_PREDICTION_VELOCITY = 2,  ///< of a flow: the derivative of the sample as the network's time runs
  HQDIT_PREDICTION_SAMPLE = 3,    ///< x0
  HQDIT_PREDICTION_SCORE = 4      ///< -noise / sigma
} hqdit_prediction;

typedef struct hqdit_scheduler_options {
  size_t struct_size;
  int32_t kind;     ///< hqdit_scheduler_kind
  int32_t spacing;  ///< hqdit_timestep_spacing
  int32_t steps;
  double eta;                    ///< DDIM only, 0 .. 1
  int32_t num_train_timesteps;   ///< default 1000
  double beta_start, beta_end;   ///< default 1e-4, 0.02
  bool scaled_linear;            ///< betas linear in their square root; default false: linear
  int32_t steps_offset;          ///< added to the timesteps of the leading spacing
  bool set_alpha_to_one;         ///< DDIM: the step after timestep 0 ends at no noise (default) or at timestep 0's
  const double* alphas_cumprod;  ///< [num_train_timesteps], in place of the betas; NULL (default) for none
  double clip_sample_range;      ///< the clean sample is clipped to +- this; 0 (default) for no clipping
  double time_at_noise, time_at_data;  ///< the network's time at both ends of a flow; default 1, 0
  double shift, start, end;            ///< of a flow's noise levels; default 1, 1, 0
  int32_t path;                        ///< hqdit_path
  int32_t prediction;                  ///< hqdit_prediction
  int32_t solver_order;                ///< DPM-Solver++: 1 or 2 (default)
  bool solver_heun;                    ///< its solver_type heun in place of midpoint
  bool lower_order_final;              ///< its last step is of first order in short runs; default true
  bool euler_at_final;                 ///< its last step is of first order
  bool ends_at_sigma_min;              ///< it ends at timestep 0's noise in place of none
} hqdit_scheduler_options;

HQDIT_API void hqdit_scheduler_options_init(hqdit_scheduler_options* options, size_t struct_size);

/// For samples of `count` floats.
HQDIT_API hqdit_status hqdit_scheduler_create(const hqdit_scheduler_options* options, size_t count,
                                              hqdit_scheduler** scheduler);
HQDIT_API void hqdit_scheduler_destroy(hqdit_scheduler* scheduler);

/// Writes at most `capacity` timesteps, in the order they are visited; returns how many there are. Those of a flow are
/// its noise levels in training timesteps.
HQDIT_API size_t hqdit_scheduler_timesteps(const hqdit_scheduler* scheduler, int64_t* timesteps, size_t capacity);

/// The same with what the network is to get, and the noise levels, 0 (data) to 1 (noise). Either may be NULL.
HQDIT_API size_t hqdit_scheduler_times(const hqdit_scheduler* scheduler, double* times, double* levels,
                                       size_t capacity);

/// Step `index` (call with 0, 1, 2, ... in turn): sample is replaced by the less noisy one. prediction, sample and
/// random have `count` floats; random, standard normal numbers, is read by DDIM with eta > 0 only and may be NULL
/// otherwise.
HQDIT_API hqdit_status hqdit_scheduler_step(hqdit_scheduler* scheduler, size_t index, const float* prediction,
                                            const float* random, float* sample);

/// The clean sample that the latest step predicted, for previews: `count` floats, valid until the next step or destroy;
/// zeros before the first step, NULL for no scheduler.
HQDIT_API const float* hqdit_scheduler_clean(const hqdit_scheduler* scheduler);

/// Whether signature [64] is that of public_key [32] over the message: Ed25519 (RFC 8032) as options.public_keys uses
/// it. Strict: unique encodings, the equation without the cofactor, no key of small order.
HQDIT_API bool hqdit_verify_signature(const uint8_t* public_key, const uint8_t* signature, const void* message,
                                      size_t message_bytes);

#ifdef __cplusplus
}
#endif

#endif  // HQDIT_PARTS_H_
