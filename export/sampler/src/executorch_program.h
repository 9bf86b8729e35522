// SPDX-License-Identifier: Apache-2.0
// One .pte file: its methods run on tensors of fixed shapes, with memory that is planned once.
#pragma once

#include <executorch/runtime/core/data_loader.h>
#include <executorch/runtime/executor/program.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "manifest.h"
#include "model.h"
#include "program_check.h"
#include "scratch_allocator.h"

namespace hqdit {

struct TensorSpec {
  executorch::aten::ScalarType type;
  std::vector<int32_t> sizes;

  size_t count() const;  ///< of values
};

/// What a method must look like.
struct MethodSpec {
  std::string name;
  std::vector<TensorSpec> inputs;
  TensorSpec output;
};

/// Activation memory. All methods of a model use the same bytes, as they run one after the other and keep no state.
struct Arena {
  LargeMemory data;
  size_t bytes = 0;
  ScratchAllocator scratch;
};

class ExecutorchProgram {
 public:
  ~ExecutorchProgram();

  /// Verifies the file, checks what it holds (program_check.h) and reads the program's header, not its methods.
  static Status open(const BundleFiles& files, const ModelFile& model, const LoadOptions& options,
                     std::unique_ptr<ExecutorchProgram>* program);

  /// Checks that the method exists and has these inputs and this output; raises *arena_bytes to what it needs.
  Status check(const MethodSpec& spec, size_t* arena_bytes);

  /// The most that XNNPACK works in beside the arena, of the methods that were checked.
  uint64_t workspace_bytes() const { return workspace_bytes_; }

  /// The most that it needs to load one of their graphs and gives back then.
  uint64_t loading_bytes() const { return loading_bytes_; }

  /// What the program and the methods that were checked keep once they are loaded: XNNPACK's packed weights, and the
  /// file's parts where they are read and not mapped.
  uint64_t kept_bytes() const { return kept_bytes_; }

  /// From now on an operator of ours is refused more bytes of workspace than that, with HQDIT_MEMORY_LIMIT.
  void limit_workspace(uint64_t most) { most_workspace_ = most; }

  /// Runs a method that passed check(), loading it first if this is the first time. `inputs` point to one buffer per
  /// tensor; *result, of the size that the spec says, lies in the arena until the next run.
  Status run(const MethodSpec& spec, Arena* arena, const std::vector<void*>& inputs, const float** result);

 private:
  struct LoadedMethod;

  ExecutorchProgram(std::string path, std::unique_ptr<executorch::runtime::DataLoader> loader,
                    executorch::runtime::Program&& program);
  static Status open_file(OpenFile file, const ModelFile& model, const LoadOptions& options,
                          std::unique_ptr<ExecutorchProgram>* program);
  Status check_method(const MethodSpec& spec, size_t* arena_bytes);
  Status load(const MethodSpec& spec, Arena* arena, LoadedMethod** method);
  Status execute(const MethodSpec& spec, LoadedMethod* loaded, const std::vector<void*>& inputs, const float** result);

  std::string path_;
  std::unique_ptr<executorch::runtime::DataLoader> loader_;  // before program_, which reads from it
  executorch::runtime::Program program_;
  std::map<std::string, XnnMemory> unchecked_;  // of the methods that check() was not asked for
  bool is_mapped_ = true;
  uint64_t workspace_bytes_ = 0, loading_bytes_ = 0, kept_bytes_ = 0, most_workspace_ = UINT64_MAX;
  std::map<std::string, std::unique_ptr<LoadedMethod>> methods_;
};

}  // namespace hqdit
