// SPDX-License-Identifier: Apache-2.0
// Runs `forward` of an ExecuTorch program on one random matrix, for docs/lab/performance.md, "Instructions on ARM64":
//
//   execute_program PROGRAM ROWS COLUMNS TIMES
//
// It is built by hand against ExecuTorch's package for ARM64 Linux, all of whose libraries it needs:
//   aarch64-linux-gnu-g++ -std=c++17 -O1 -DC10_USING_CUSTOM_GENERATED_MACROS -Iexecutorch/include
//     -Iexecutorch/include/executorch/runtime/core/portable_type/c10 execute_program.cpp -Lexecutorch/lib
//     -Wl,--no-as-needed -lexecutorch -lexecutorch_threadpool -lexecutorch_kernels_optimized
//     -lexecutorch_backend_xnnpack -o execute_program
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int rows = std::atoi(argv[2]);
  const int columns = std::atoi(argv[3]);
  std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  std::mt19937 generator(0);
  std::normal_distribution<float> normal;
  for (float& value : values) value = normal(generator);
  executorch::extension::Module module(argv[1]);
  const auto input = executorch::extension::from_blob(values.data(), {rows, columns});
  for (int i = std::atoi(argv[4]); i > 0; --i) {
    const auto result = module.forward(input);
    if (result.ok()) continue;
    std::fprintf(stderr, "%s: %s\n", argv[1], executorch::runtime::to_string(result.error()));
    return 1;
  }
  return 0;
}
