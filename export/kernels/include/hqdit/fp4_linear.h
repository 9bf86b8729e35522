// SPDX-License-Identifier: Apache-2.0
// The FP4 linear operator; docs/fp4-linear.md is its definition. Raw pointers, no allocation, no exceptions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hqdit {

enum class Activation : int32_t { kInt8 = 0, kFp4 = 1, kE2m1 = 2 };

/// What is done with each finished output: nothing, or gelu_tanh of float_ops.h.
enum class Epilogue : int32_t { kNone = 0, kGelu = 1 };

/// The weights of one linear layer in the stored layout of docs/fp4-linear.md. Nothing is owned.
struct Fp4Weight {
  const uint8_t* codes;   ///< [ceil(N/16)][ceil(K/32)][16][16], two codes a byte
  const uint8_t* tables;  ///< [ceil(N/16)][ceil(K/group)][16], ids 0..28
  const float* scale;     ///< [N]
  const float* bias;      ///< [N] or nullptr
  const float* pre;       ///< [K] or nullptr: element-wise factor before the rotation
  int64_t n;              ///< output features
  int64_t k;              ///< input features, at most 133,120
  int64_t group;          ///< inputs per table: a multiple of 16, or >= k for one table per output channel
  int64_t rotation;       ///< Hadamard block size; 1 for none
};

/// Runs fn(arg, begin, end) over a partition of [0, count); may use threads; returns when all are done.
struct ParallelFor {
  void (*run)(void* context, int64_t count, void (*fn)(void* arg, int64_t begin, int64_t end), void* arg);
  void* context;
  int32_t threads;  ///< upper bound on concurrent calls of fn
};

/// The calling thread alone.
ParallelFor serial();

/// nullptr if the layer can be computed, else a static text that says what is wrong (sizes, group, rotation, null
/// pointers). Table ids are not read.
const char* fp4_linear_check(const Fp4Weight& weight, Activation activation, int64_t activation_group);

/// nullptr if every table id is at most 28; else a static text. Call once at load.
const char* fp4_tables_check(const Fp4Weight& weight);

/// Bytes of the two stored tensors.
struct StoredSize {
  int64_t codes;
  int64_t tables;
};
StoredSize fp4_stored_size(const Fp4Weight& weight);

/// Bytes of scratch fp4_linear needs for `rows` tokens.
size_t fp4_linear_workspace(const Fp4Weight& weight, int64_t rows, const ParallelFor& parallel);

/// out [rows][n] = epilogue(fp4_linear(x [rows][k])). `workspace` must have 64-byte alignment. x and out must not
/// overlap.
void fp4_linear(const Fp4Weight& weight, const float* x, int64_t rows, Activation activation, int64_t activation_group,
                Epilogue epilogue, float* out, void* workspace, const ParallelFor& parallel);

/// Name of the instruction set in use: "scalar", "avx2", "avxvnni", "avx512vnni", "avx512vbmi", "amx", "neon",
/// "dotprod", "i8mm" or "sme2".
const char* isa();

/// All that this processor can run, best first; nullptr ends the list.
const char* const* available_isas();

/// For tests and benchmarks: use `name` from now on. nullptr, or a static text that lists what this processor has if
/// `name` is not among it. Not safe during fp4_linear.
const char* use_isa(const char* name);

/// Billions of int8 operations (two per multiply-add) per second that this processor can start on `parallel`, from
/// registers alone: of the best of its instruction sets, whichever is in use, the sum of each thread's best moment.
/// Takes about 0.1 s for each instruction set.
double int8_peak_gops(const ParallelFor& parallel);

}  // namespace hqdit
