// SPDX-License-Identifier: Apache-2.0
// Runs the cases of a file through one instruction set and writes the outputs.
//
//   kernel_driver ISA THREADS CASES OUTPUTS
//
// CASES: per case 10 int64 (rows, n, k, group, rotation, activation, activation_group, has_bias, has_pre, epilogue),
// then x, codes, tables, scale and what the last two announce. OUTPUTS: per case rows * n floats. Every array has its
// exact size on the heap, so that a sanitizer sees each read past it.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hqdit/fp4_linear.h"

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "kernel_driver: %s\n", what);
  std::exit(1);
}

template <class T>
std::vector<T> read(std::FILE* file, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  if (std::fread(values.data(), sizeof(T), values.size(), file) != values.size())
    fail("the file of cases is too short");
  return values;
}

void run_threads(void*, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) threads.emplace_back(fn, arg, i, i + 1);
  for (std::thread& thread : threads) thread.join();
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

void run_case(const std::vector<int64_t>& header, std::FILE* cases, std::FILE* outputs,
              const hqdit::ParallelFor& parallel) {
  const int64_t rows = header[0];
  hqdit::Fp4Weight weight{};
  weight.n = header[1];
  weight.k = header[2];
  weight.group = header[3];
  weight.rotation = header[4];
  const auto activation = static_cast<hqdit::Activation>(header[5]);
  const hqdit::StoredSize size = hqdit::fp4_stored_size(weight);
  const auto x = read<float>(cases, rows * weight.k);
  const auto codes = read<uint8_t>(cases, size.codes);
  const auto tables = read<uint8_t>(cases, size.tables);
  const auto scale = read<float>(cases, weight.n);
  const auto bias = read<float>(cases, header[7] ? weight.n : 0);
  const auto pre = read<float>(cases, header[8] ? weight.k : 0);
  weight.codes = codes.data();
  weight.tables = tables.data();
  weight.scale = scale.data();
  weight.bias = header[7] ? bias.data() : nullptr;
  weight.pre = header[8] ? pre.data() : nullptr;
  if (const char* problem = hqdit::fp4_linear_check(weight, activation, header[6])) fail(problem);
  if (const char* problem = hqdit::fp4_tables_check(weight)) fail(problem);

  std::vector<float> out(static_cast<size_t>(rows * weight.n));
  const size_t bytes = hqdit::fp4_linear_workspace(weight, rows, parallel);
  const std::unique_ptr<void, Free> workspace(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  hqdit::fp4_linear(weight, x.data(), rows, activation, header[6], static_cast<hqdit::Epilogue>(header[9]), out.data(),
                    workspace.get(), parallel);
  if (std::fwrite(out.data(), sizeof(float), out.size(), outputs) != out.size()) fail("cannot write the outputs");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: kernel_driver ISA THREADS CASES OUTPUTS");
  if (const char* problem = hqdit::use_isa(argv[1])) fail(problem);
  const int32_t threads = static_cast<int32_t>(std::stoi(argv[2]));
  const hqdit::ParallelFor parallel = threads > 1 ? hqdit::ParallelFor{run_threads, nullptr, threads} : hqdit::serial();
  std::FILE* cases = std::fopen(argv[3], "rb");
  std::FILE* outputs = std::fopen(argv[4], "wb");
  if (!cases || !outputs) fail("cannot open the files");
  int64_t header[10];
  while (std::fread(header, sizeof header, 1, cases) == 1) {
    run_case(std::vector<int64_t>(header, header + 10), cases, outputs, parallel);
  }
  std::fclose(cases);
  if (std::fclose(outputs) != 0) fail("cannot write the outputs");
  return 0;
}
