// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "manifest.h"
#include "status.h"

namespace hqdit {

/// The two networks of a bundle behind the runtime that runs them. One thread at a time.
class Model {
 public:
  virtual ~Model() = default;

  /// What the network predicts for latents [C][H][W] at a time of its own. guided: prediction [2][C][H][W], for `label`
  /// and then for the null label, which the manifest must have; else [C][H][W] for `label`. Loads what it runs on first
  /// use.
  virtual Status denoise(bool guided, const float* latents, double time, int64_t label, float* prediction) = 0;

  /// latents [C][H][W], divided by the scaling factor -> image [3][H][W].
  virtual Status decode(const float* latents, float* image) = 0;
};

struct LoadOptions {
  hqdit_load_mode mode = HQDIT_LOAD_MMAP;
  bool verify_sha256 = true;
  int32_t threads = 0;                          ///< as hqdit_open_options.threads
  bool tiled = false;                           ///< decode in tiles; manifest.has_decoder_tiles
  uint64_t most_activation_bytes = UINT64_MAX;  ///< that a method of the programs may plan
  bool trust_programs = false;                  ///< as hqdit_open_options.trust_programs
  uint64_t memory_limit_bytes = 0;              ///< of what the model takes for itself; 0: none
};

/// Opens the model files of a bundle with manifest.runtime and checks their methods against the manifest.
Status open_model(const BundleFiles& files, const Manifest& manifest, const LoadOptions& options,
                  std::unique_ptr<Model>* model);

}  // namespace hqdit
