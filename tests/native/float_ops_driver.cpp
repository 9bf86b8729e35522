// SPDX-License-Identifier: Apache-2.0
// Runs the step operators on the cases of a file through one instruction set and writes the outputs.
//
//   float_ops_driver ISA THREADS CASES OUTPUTS
//
// CASES: per case 4 int64 (batch, tokens, heads, head_dim), then qkv [batch][tokens][3 dim], modulation
// [batch][6][dim], x and y [batch][tokens][dim]. OUTPUTS: per case attention(qkv), attention_int8(qkv),
// modulated_norm(x; 3, 4), gated_add(x, 2, y), gelu_tanh(qkv), silu_f32(qkv), group_norm_f32(x) in batch x tokens
// channels and one group an image, without and with SiLU, weight and bias from qkv, the same with SiLU and a mean and
// variance of 0.5, linear_f32 of the rows of x with those of y as its weight and the first of qkv as its bias,
// timestep_embedding of six of qkv and a row of y. Every array has its exact size on the heap, so that a sanitizer sees
// each access past it.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hqdit/float_ops.h"

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "float_ops_driver: %s\n", what);
  std::exit(1);
}

std::vector<float> read(std::FILE* file, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  if (std::fread(values.data(), sizeof(float), values.size(), file) != values.size()) fail("the cases are too short");
  return values;
}

void write(std::FILE* file, const std::vector<float>& values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), file) != values.size()) fail("cannot write the outputs");
}

void run_threads(void*, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) threads.emplace_back(fn, arg, i, i + 1);
  for (std::thread& thread : threads) thread.join();
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

std::unique_ptr<void, Free> allocate(size_t bytes) {
  return std::unique_ptr<void, Free>(std::aligned_alloc(64, bytes));
}

/// The rows of x times those of y.
void run_linear(const std::vector<float>& x, const std::vector<float>& y, const std::vector<float>& bias,
                std::FILE* outputs, const hqdit::ParallelFor& parallel) {
  const auto rows = static_cast<int64_t>(bias.size());
  const hqdit::LinearShape shape{rows, static_cast<int64_t>(x.size()) / rows, rows};
  if (const char* problem = hqdit::linear_check(shape)) fail(problem);
  std::vector<float> out(bias.size() * bias.size());
  const auto workspace = allocate(hqdit::linear_workspace(shape, parallel));
  hqdit::linear_f32(shape, x.data(), y.data(), bias.data(), out.data(), workspace.get(), parallel);
  write(outputs, out);
}

void run_case(const hqdit::AttentionShape& shape, std::FILE* cases, std::FILE* outputs,
              const hqdit::ParallelFor& parallel) {
  if (const char* problem = hqdit::attention_check(shape)) fail(problem);
  const int64_t dim = shape.heads * shape.head_dim;
  const int64_t count = shape.batch * shape.tokens * dim;
  const hqdit::ModulatedShape modulated{shape.batch, shape.tokens, dim, 6};
  const std::vector<float> qkv = read(cases, 3 * count);
  const std::vector<float> modulation = read(cases, shape.batch * 6 * dim);
  const std::vector<float> x = read(cases, count);
  const std::vector<float> y = read(cases, count);

  std::vector<float> out(x.size());
  const auto workspace = allocate(hqdit::attention_workspace(shape, parallel));
  hqdit::attention(shape, qkv.data(), out.data(), workspace.get(), parallel);
  write(outputs, out);
  const auto int8_workspace = allocate(hqdit::attention_int8_workspace(shape, parallel));
  hqdit::attention_int8(shape, qkv.data(), out.data(), int8_workspace.get(), parallel);
  write(outputs, out);
  hqdit::modulated_norm(modulated, x.data(), modulation.data(), 3, 4, 1e-6f, out.data(), parallel);
  write(outputs, out);
  hqdit::gated_add(modulated, x.data(), modulation.data(), 2, y.data(), out.data(), parallel);
  write(outputs, out);
  out.resize(qkv.size());
  hqdit::gelu_tanh(qkv.data(), 3 * count, out.data(), parallel);
  write(outputs, out);
  hqdit::silu_f32(qkv.data(), 3 * count, out.data(), parallel);
  write(outputs, out);
  out.resize(x.size());
  const hqdit::GroupNormShape groups{1, shape.batch * shape.tokens, dim, shape.batch};
  const std::vector<float> weight(qkv.begin(), qkv.begin() + groups.channels);
  for (const bool silu : {false, true}) {
    hqdit::group_norm_f32(groups, x.data(), weight.data(), weight.data(), 1e-6f, silu, out.data(), parallel);
    write(outputs, out);
  }
  const std::vector<float> statistics(static_cast<size_t>(2 * groups.groups), 0.5f);
  hqdit::group_norm_f32(groups, x.data(), weight.data(), weight.data(), 1e-6f, true, out.data(), parallel,
                        statistics.data());
  write(outputs, out);
  run_linear(x, y, {qkv.begin(), qkv.begin() + shape.batch * shape.tokens}, outputs, parallel);
  out.resize(static_cast<size_t>(6 * 2 * dim));
  const std::vector<float> timesteps(qkv.begin(), qkv.begin() + 6), frequencies(y.begin(), y.begin() + dim);
  hqdit::timestep_embedding(timesteps.data(), 6, frequencies.data(), dim, out.data());
  write(outputs, out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: float_ops_driver ISA THREADS CASES OUTPUTS");
  if (const char* problem = hqdit::use_isa(argv[1])) fail(problem);
  const int32_t threads = static_cast<int32_t>(std::stoi(argv[2]));
  const hqdit::ParallelFor parallel = threads > 1 ? hqdit::ParallelFor{run_threads, nullptr, threads} : hqdit::serial();
  std::FILE* cases = std::fopen(argv[3], "rb");
  std::FILE* outputs = std::fopen(argv[4], "wb");
  if (!cases || !outputs) fail("cannot open the files");
  int64_t sizes[4];
  while (std::fread(sizes, sizeof sizes, 1, cases) == 1) {
    run_case({sizes[0], sizes[1], sizes[2], sizes[3]}, cases, outputs, parallel);
  }
  std::fclose(cases);
  if (std::fclose(outputs) != 0) fail("cannot write the outputs");
  return 0;
}
