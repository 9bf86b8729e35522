// SPDX-License-Identifier: Apache-2.0
/// @file
/// The on-device engine: a bundle folder in, RGB pictures out. Plain C, for Kotlin, Swift, Python and C++ callers.
///
///     hqdit_pipeline* pipeline = NULL;
///     hqdit_request request;
///     hqdit_result result;
///     hqdit_open("emoji-dit.hqdit", NULL, &pipeline);
///     hqdit_request_init(pipeline, &request, sizeof request);
///     uint64_t seed = 7;
///     request.label = 12, request.seeds = &seed, request.seed_count = 1;
///     hqdit_result_init(&result, sizeof result);
///     result.rgb = pixels, result.rgb_bytes = width * height * 3;
///     if (hqdit_generate(pipeline, &request, &result) != HQDIT_OK) puts(hqdit_last_error());
///     hqdit_close(pipeline);
///
/// Every struct begins with its size as the caller knows it and is filled with defaults by its *_init function, so a
/// library that is newer or older than the caller's header works with it. No call throws, and none aborts on bad input:
/// it returns a code and leaves a message for hqdit_last_error(). Two pipelines can run in two threads; one pipeline
/// runs one call at a time and answers HQDIT_BUSY to the others. Strings are UTF-8.
#ifndef HQDIT_H_
#define HQDIT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HQDIT_API __attribute__((visibility("default")))

typedef struct hqdit_pipeline hqdit_pipeline;

typedef enum hqdit_status {
  HQDIT_OK = 0,
  HQDIT_CANCELLED = 1,          ///< the progress callback returned false
  HQDIT_BUSY = 2,               ///< another call is running on this pipeline
  HQDIT_INVALID_ARGUMENT = 3,   ///< a value in the call; the message names it
  HQDIT_NOT_FOUND = 4,          ///< a file, a folder or a label does not exist
  HQDIT_INVALID_BUNDLE = 5,     ///< the bundle is damaged, of another schema version or at odds with itself
  HQDIT_MEMORY_LIMIT = 6,       ///< the bundle needs more than options.memory_limit_bytes
  HQDIT_OUT_OF_MEMORY = 7,      ///< the system refused memory
  HQDIT_RUNTIME_ERROR = 8,      ///< the model runtime failed, or the model returned a value that is not finite
  HQDIT_INTERNAL = 9,           ///< a fault of this library
  HQDIT_IO_ERROR = 10,          ///< the system refused a file that is there; the message has its reason, try again
  HQDIT_INVALID_SIGNATURE = 11  ///< none of options.public_keys has signed the bundle; do not draw with it
} hqdit_status;

/// "HQDIT_OK" and so on.
HQDIT_API const char* hqdit_status_name(hqdit_status status);

/// What went wrong in this thread's latest call that did not return HQDIT_OK; "" before the first. The text is valid
/// until this thread's next failing call.
HQDIT_API const char* hqdit_last_error(void);

/// "major.minor.patch".
HQDIT_API const char* hqdit_version(void);

// ---------------------------------------------------------------------------------------------------------------------
// Memory, before anything is loaded

typedef struct hqdit_memory {
  size_t struct_size;
  uint64_t weights_bytes;  ///< constant data of all model files
  uint64_t arena_bytes;    ///< activations: planned buffers and scratch
  uint64_t peak_bytes;     ///< the most that generating one picture is expected to hold, measured at export
  uint64_t file_bytes;     ///< size of the model files on disk
  /// peak_bytes with the picture decoded in tiles, as hqdit_open does where a memory limit asks for it; 0 for a bundle
  /// that has no tiles because they would save it nothing.
  uint64_t tiled_peak_bytes;
} hqdit_memory;

/// Reads the bundle's manifest only, and no signature. `memory` must have struct_size set.
HQDIT_API hqdit_status hqdit_estimate(const char* bundle_dir, hqdit_memory* memory);

/// A file of a bundle that the caller has opened for reading. This struct does not grow.
typedef struct hqdit_file {
  const char* name;    ///< its path inside the bundle, such as "manifest.json" or "transformer.pte"
  int32_t descriptor;  ///< of a regular file; the read position does not matter and stays
} hqdit_file;

/// hqdit_estimate for a bundle whose files the caller has opened: manifest.json and the model files that it names.
HQDIT_API hqdit_status hqdit_estimate_files(const hqdit_file* files, size_t file_count, hqdit_memory* memory);

// ---------------------------------------------------------------------------------------------------------------------
// Pipelines

typedef enum hqdit_load_mode {
  HQDIT_LOAD_MMAP = 0,  ///< map the files: fast to open, and clean pages can be dropped by the system
  HQDIT_LOAD_READ = 1   ///< read the files into memory: for storage that cannot be mapped
} hqdit_load_mode;

typedef struct hqdit_open_options {
  size_t struct_size;
  /// With a bundle whose memory estimate (the larger of hqdit_memory's peak_bytes and arena_bytes) is higher, decode in
  /// tiles, which takes longer; refuse it, before loading it, if that too (tiled_peak_bytes) needs more. Refuse it as
  /// well if its shapes and its programs ask for more than it says, before that memory is taken. 0 = no limit.
  uint64_t memory_limit_bytes;
  /// Compare every model file with the SHA-256 in the manifest before it is parsed; default true. The sizes are always
  /// compared. What was verified is what runs, unless someone writes into the file later. Reads each file once (a few
  /// ms per MB). Turn it off only for files that the app has verified itself.
  bool verify_sha256;
  /// 0 (default): the runtime's pool, one thread per performance core. 1: the calling thread alone. More: the pool is
  /// resized to that many; there is one pool per process, and the latest pipeline opened with such a number decides.
  int32_t threads;
  int32_t load_mode;  ///< hqdit_load_mode, default HQDIT_LOAD_MMAP
  /// Not 0: open programs that hqdit-export did not write, such as another lowering to be timed beside ours. Their
  /// operators and delegates are not checked then, and a hostile program can do what it likes: only for files that the
  /// caller made itself. 64 bits, so that it lies behind what older callers know.
  int64_t trust_programs;
  /// [public_key_count][32] public keys of Ed25519 (RFC 8032), such as hqdit sign prints. With any, the bundle must
  /// have in manifest.json.sig the signature of manifest.json by one of them, or hqdit_open returns
  /// HQDIT_INVALID_SIGNATURE; verify_sha256 must be set, since the manifest speaks for the model files by their
  /// digests. Several keys let an app go from one to the next. NULL and 0 (default): no signature is asked for or
  /// looked at.
  const uint8_t* public_keys;
  size_t public_key_count;
} hqdit_open_options;

HQDIT_API void hqdit_open_options_init(hqdit_open_options* options, size_t struct_size);

/// Opens a bundle folder. `options` may be NULL. On success *pipeline must be given to hqdit_close; on failure it is
/// NULL. The files must not change while the pipeline is open.
HQDIT_API hqdit_status hqdit_open(const char* bundle_dir, const hqdit_open_options* options, hqdit_pipeline** pipeline);

/// hqdit_open for a process that may not open files itself, such as Android's isolatedProcess: descriptors of the files
/// that hqdit_open would read, manifest.json.sig too if there are public keys. Other names are not looked at. The
/// descriptors are duplicated and stay the caller's, who may close them when this has returned.
HQDIT_API hqdit_status hqdit_open_files(const hqdit_file* files, size_t file_count, const hqdit_open_options* options,
                                        hqdit_pipeline** pipeline);

/// Frees the pipeline; NULL is fine. HQDIT_BUSY, with nothing freed, while a call is running on it. No call may begin
/// while it is being freed, nor after: who draws in one thread and closes in another needs a lock around both.
HQDIT_API hqdit_status hqdit_close(hqdit_pipeline* pipeline);

typedef enum hqdit_scheduler_kind {
  HQDIT_SCHEDULER_DDIM = 0,        ///< DDIM (Song et al. 2021)
  HQDIT_SCHEDULER_DPM_SOLVER = 1,  ///< DPM-Solver++ 2M (Lu et al. 2022), with the bundle's options
  HQDIT_SCHEDULER_EULER = 2,       ///< Euler's method, for flows
  HQDIT_SCHEDULER_HEUN = 3         ///< Heun's method, for flows: two evaluations a step but for the last
} hqdit_scheduler_kind;

typedef enum hqdit_timestep_spacing {
  HQDIT_SPACING_LEADING = 0,
  HQDIT_SPACING_TRAILING = 1,
  HQDIT_SPACING_LINSPACE = 2
} hqdit_timestep_spacing;

typedef struct hqdit_info {
  size_t struct_size;
  const char* name;    ///< of the model; lives as long as the pipeline
  const char* target;  ///< "android", "ios" or "desktop"
  int32_t image_width, image_height;
  int32_t latent_channels, latent_height, latent_width;
  int32_t num_classes;  ///< labels are 0 .. num_classes - 1
  int32_t null_label;   ///< the class that stands for "no class"; -1: there is none, and no guidance (guidance_scale 1)
  int32_t num_train_timesteps;
  bool has_preview;  ///< request.preview_interval may be set
  int32_t default_scheduler, default_spacing, default_steps;
  float default_guidance_scale, default_guidance_low, default_guidance_high;
  bool decodes_tiled;  ///< the memory limit made this pipeline decode in tiles
  /// The network's time where a sample is all noise and where it is all data.
  double time_at_noise, time_at_data;
  uint32_t schedulers;  ///< bit i: request.scheduler may be i
} hqdit_info;

/// `info` must have struct_size set.
HQDIT_API hqdit_status hqdit_get_info(const hqdit_pipeline* pipeline, hqdit_info* info);

/// What hqdit_estimate says of the bundle, without reading its manifest again. `memory` must have struct_size set.
HQDIT_API hqdit_status hqdit_get_memory(const hqdit_pipeline* pipeline, hqdit_memory* memory);

/// The name of a class; NULL if `label` is out of range. Lives as long as the pipeline.
HQDIT_API const char* hqdit_label_name(const hqdit_pipeline* pipeline, int32_t label);

/// The class of an exact name, byte for byte; HQDIT_INVALID_ARGUMENT if two classes have it. Case, accents and synonyms
/// need Unicode's tables, which the engine does not carry: labels.py in Python, findLabel in Kotlin and Swift do that.
HQDIT_API hqdit_status hqdit_find_label(const hqdit_pipeline* pipeline, const char* name, int32_t* label);

// ---------------------------------------------------------------------------------------------------------------------
// Pictures

typedef enum hqdit_phase {
  HQDIT_PHASE_STEP = 0,   ///< a denoising step is done
  HQDIT_PHASE_DECODE = 1  ///< all steps of a picture are done and its decoding begins
} hqdit_phase;

typedef struct hqdit_progress {
  size_t struct_size;
  int32_t phase;                     ///< hqdit_phase
  int32_t image_index, image_count;  ///< which of the request's seeds
  int32_t step, step_count;          ///< steps done of this picture, from 1; Heun's method has 2 steps - 1
  int32_t timestep;                  ///< of the step just done, in training timesteps: 0 for data
  bool guided;                       ///< whether that step evaluated the null label too
  double step_ms;                    ///< time of that step (the first one also loads the method it runs)
  double elapsed_ms;                 ///< since hqdit_generate was called
  uint64_t peak_memory_bytes;        ///< highest memory of the process so far: resident, on Apple systems footprint
  /// [preview_height][preview_width][3], the current guess at the finished picture through the bundle's linear
  /// projection; NULL when this step has none. Valid during the callback.
  const uint8_t* preview;
  int32_t preview_width, preview_height;
  double time;         ///< of the network, at the step just done
  double noise_level;  ///< 0 (data) to 1 (noise), which guidance_low and guidance_high are compared with
} hqdit_progress;

/// Called on the thread that called hqdit_generate. Return false to stop: the call then returns HQDIT_CANCELLED without
/// another model evaluation. Calls on the same pipeline from inside return HQDIT_BUSY.
typedef bool (*hqdit_progress_fn)(const hqdit_progress* progress, void* user_data);

typedef struct hqdit_request {
  size_t struct_size;
  int32_t label;          ///< class, or null_label for a picture of no class; no default
  const uint64_t* seeds;  ///< [seed_count]: one picture each
  size_t seed_count;      ///< at least 1
  int32_t scheduler;      ///< hqdit_scheduler_kind, one of info.schedulers, default from the bundle
  int32_t spacing;        ///< hqdit_timestep_spacing, default from the bundle
  int32_t steps;          ///< 1 .. num_train_timesteps, default from the bundle
  float eta;              ///< DDIM, not of a flow: share of fresh noise, 0 (default, deterministic) to 1
  /// prediction = unconditional + scale * (conditional - unconditional). 1 needs no unconditional half: every step then
  /// runs the cheaper method. A model without a null label has no other. Default from the bundle.
  float guidance_scale;
  /// Guide only steps with guidance_low <= noise level <= guidance_high; the others run the cheaper method. The level
  /// is timestep / num_train_timesteps or, of a flow, 0 (data) to 1 (noise). Default from the bundle.
  float guidance_low, guidance_high;
  /// [seed_count][latent channels][height][width] standard normal numbers instead of those drawn from the seeds; NULL
  /// (default) to draw. initial_noise_count is the number of floats.
  const float* initial_noise;
  size_t initial_noise_count;
  int32_t preview_interval;    ///< a preview after every n-th step and the last; 0 (default) for none
  hqdit_progress_fn progress;  ///< may be NULL
  void* user_data;             ///< passed to progress
} hqdit_request;

HQDIT_API hqdit_status hqdit_request_init(const hqdit_pipeline* pipeline, hqdit_request* request, size_t struct_size);

typedef struct hqdit_result {
  size_t struct_size;
  uint8_t* rgb;          ///< in: buffer for [seed_count][image_height][image_width][3]
  size_t rgb_bytes;      ///< in: its size
  float* latents;        ///< in: NULL, or a buffer for the final latents [seed_count][channels][height][width]
  size_t latents_count;  ///< in: its size in floats
  /// out: network evaluations, a guided step counts 2
  int32_t evaluations;
  double denoise_ms, decode_ms, total_ms;  ///< out: sums over all pictures
  uint64_t peak_memory_bytes;              ///< out: highest memory of the process, as in hqdit_progress
} hqdit_result;

HQDIT_API void hqdit_result_init(hqdit_result* result, size_t struct_size);

/// Makes seed_count pictures. After HQDIT_CANCELLED the pictures finished before are in the buffer.
HQDIT_API hqdit_status hqdit_generate(hqdit_pipeline* pipeline, const hqdit_request* request, hqdit_result* result);

// ---------------------------------------------------------------------------------------------------------------------
// The two networks on their own, for parity tests and other samplers

/// One evaluation of the transformer at a time of its own (a timestep, or between info.time_at_noise and time_at_data).
/// latents [C][H][W]; guided: out [2][C][H][W], the prediction for `label` and for the null label; else out [C][H][W].
/// out_count is the number of floats in `out`.
HQDIT_API hqdit_status hqdit_denoise(hqdit_pipeline* pipeline, const float* latents, float timestep, int32_t label,
                                     bool guided, float* out, size_t out_count);

/// latents [C][H][W] as the sampler leaves them (not yet divided by the VAE's scaling factor) to image [3][H][W] in
/// about [-1, 1]. image_count is the number of floats in `image`.
HQDIT_API hqdit_status hqdit_decode(hqdit_pipeline* pipeline, const float* latents, float* image, size_t image_count);

#ifdef __cplusplus
}
#endif

#endif  // HQDIT_H_
