// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gemm/backend.h"
#include "gemm/lattice.h"

namespace hqdit {
namespace {

// 127 * 127 * (kMaxInputs + padding) stays below 2^31.
constexpr int64_t kMaxInputs = 133120;
constexpr int64_t kMaxOutputs = int64_t{1} << 31;

bool group_ok(int64_t group, int64_t k) { return group >= k || (group > 0 && group % 16 == 0); }

}  // namespace

const char* fp4_linear_check(const Fp4Weight& weight, Activation activation, int64_t activation_group) {
  if (!weight.codes) return "codes is a null pointer";
  if (!weight.tables) return "tables is a null pointer";
  if (!weight.scale) return "scale is a null pointer";
  if (weight.n < 1 || weight.n > kMaxOutputs) return "out_features must be 1 to 2^31";
  if (weight.k < 1 || weight.k > kMaxInputs) return "the inputs per token must be 1 to 133120";
  if (!group_ok(weight.group, weight.k)) return "group must be a multiple of 16 or at least the inputs per token";
  if (factor_rotation(weight.rotation).m == 0) return "rotation must be 2^p, 12 * 2^p, 28 * 2^p or 36 * 2^p";
  if (weight.k % weight.rotation != 0) return "rotation must divide the inputs per token";
  if (activation != Activation::kInt8 && activation != Activation::kFp4 && activation != Activation::kE2m1) {
    return "activation must be int8, fp4 or e2m1";
  }
  if (activation != Activation::kInt8 && !group_ok(activation_group, weight.k)) {
    return "activation_group must be a multiple of 16 or at least the inputs per token";
  }
  return nullptr;
}

StoredSize fp4_stored_size(const Fp4Weight& weight) {
  const int64_t blocks = channel_blocks(weight.n);
  return {blocks * stored_inputs(weight.k) * 8, blocks * groups_per_row(weight.k, weight.group) * 16};
}

const char* fp4_tables_check(const Fp4Weight& weight) {
  const int64_t count = fp4_stored_size(weight).tables;
  uint8_t most = 0;  // which compilers find many at a time
  for (int64_t i = 0; i < count; ++i) most = std::max(most, weight.tables[i]);
  return most < kTables ? nullptr : "tables holds an id above 28; the file is damaged or from a newer version";
}

}  // namespace hqdit
