// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "executorch_program.h"
#include "model.h"
#include "thread_pool.h"
#include "tiled_decoder.h"

namespace hqdit {
namespace {

using executorch::aten::ScalarType;

/// The limit may be passed by so much: the sums of programs are upper bounds, and a bundle that is told to fit must
/// draw.
constexpr uint64_t kSpareBytes = 32 << 20;

class ExecutorchModel final : public Model {
 public:
  ExecutorchModel(const Manifest& manifest, const LoadOptions& options)
      : threads_(options.threads), tiled_(options.tiled ? std::make_unique<TiledDecoder>(manifest) : nullptr) {
    const auto [c, h, w] = manifest.latent_shape;
    const TensorSpec latents{ScalarType::Float, {1, c, h, w}};
    const TensorSpec timestep{ScalarType::Float, {1}}, label{ScalarType::Long, {1}};
    const auto [ic, ih, iw] = manifest.image_shape;
    guided_ = {manifest.method_guided, {latents, timestep, label}, {ScalarType::Float, {2, c, h, w}}};
    unguided_ = {manifest.method_unguided, {latents, timestep, label}, latents};
    decode_ = {manifest.method_decode, {latents}, {ScalarType::Float, {1, ic, ih, iw}}};
    inputs_.reserve(3);
  }

  Status open(const BundleFiles& files, const Manifest& manifest, const LoadOptions& options) {
    Status status = ExecutorchProgram::open(files, manifest.transformer, options, &transformer_);
    if (status.ok()) status = ExecutorchProgram::open(files, manifest.vae_decoder, options, &vae_decoder_);
    if (status.ok() && manifest.has_null_class()) status = transformer_->check(guided_, &arena_.bytes);
    if (status.ok()) status = transformer_->check(unguided_, &arena_.bytes);
    if (status.ok()) {
      status = tiled_ ? tiled_->open(*vae_decoder_, &arena_.bytes) : vae_decoder_->check(decode_, &arena_.bytes);
    }
    if (status.ok()) status = apply_limit(options.memory_limit_bytes);
    if (status.ok() && tiled_) tiled_->allocate();
    if (status.ok()) arena_.data = large_memory(arena_.bytes);
    if (status.ok()) status = use_threads(threads_);
    return status;
  }

  Status denoise(bool guided, const float* latents, double time, int64_t label, float* prediction) override {
    auto timestep = static_cast<float>(time);
    return run(*transformer_, guided ? guided_ : unguided_, {data(latents), &timestep, &label}, prediction);
  }

  Status decode(const float* latents, float* image) override {
    if (tiled_) {
      const ThreadScope scope(threads_);
      return tiled_->decode(*vae_decoder_, &arena_, data(latents), image);
    }
    return run(*vae_decoder_, decode_, {data(latents)}, image);
  }

 private:
  /// The runtime's inputs are not const, but it only reads them.
  static float* data(const float* values) { return const_cast<float*>(values); }

  Status apply_limit(uint64_t limit) {
    const uint64_t workspace = std::max(transformer_->workspace_bytes(), vae_decoder_->workspace_bytes());
    const uint64_t loading = std::max(transformer_->loading_bytes(), vae_decoder_->loading_bytes());
    uint64_t need = tiled_ ? tiled_->memory_bytes() : 0;
    for (const uint64_t part :
         {uint64_t{arena_.bytes}, workspace, loading, transformer_->kept_bytes(), vae_decoder_->kept_bytes()}) {
      need = saturating_sum(need, part);
    }
    if (limit == 0) return {};
    if (need <= limit) {
      // What operators work in while they run is known as late as that.
      const uint64_t left = limit - need + kSpareBytes;
      transformer_->limit_workspace(left);
      vae_decoder_->limit_workspace(left);
      return {};
    }
    return {HQDIT_MEMORY_LIMIT, "the bundle's programs take " + std::to_string(need) +
                                    " bytes for activations and weights, of the limit " + std::to_string(limit) +
                                    " are left"};
  }

  Status run(ExecutorchProgram& program, const MethodSpec& spec, std::initializer_list<void*> inputs, float* output) {
    const ThreadScope scope(threads_);
    inputs_.assign(inputs);
    const float* result = nullptr;
    if (Status status = program.run(spec, &arena_, inputs_, &result); !status.ok()) return status;
    std::copy_n(result, spec.output.count(), output);
    return {};
  }

  const int32_t threads_;
  MethodSpec guided_, unguided_, decode_;
  std::vector<void*> inputs_;
  Arena arena_;  // before the programs, whose methods point into it
  std::unique_ptr<ExecutorchProgram> transformer_, vae_decoder_;
  const std::unique_ptr<TiledDecoder> tiled_;  // null: the decoder runs as one method
};

}  // namespace

Status open_model(const BundleFiles& files, const Manifest& manifest, const LoadOptions& options,
                  std::unique_ptr<Model>* model) {
  if (manifest.runtime != "executorch") {
    return invalid_bundle("manifest.json: runtime: \"" + manifest.runtime +
                          "\" is not built into this engine; it has \"executorch\"");
  }
  auto opened = std::make_unique<ExecutorchModel>(manifest, options);
  Status status = opened->open(files, manifest, options);
  if (status.ok()) *model = std::move(opened);
  return status;
}

}  // namespace hqdit
