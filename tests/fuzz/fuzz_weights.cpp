// SPDX-License-Identifier: Apache-2.0
// Packed 4-bit weights as a stranger's ONNX or ExecuTorch file gives them: sizes, codes and tables. What the checks
// accept is run, by each instruction set, on arrays of exactly the sizes that they ask for.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "hqdit/fp4_linear.h"
#include "hqdit/large_memory.h"

namespace {

/// Takes values from the front of the input; zeros when it ends.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  template <typename T>
  T take() {
    T value{};
    const size_t count = std::min(sizeof(T), size_);
    if (count > 0) std::memcpy(&value, data_, count);
    data_ += count, size_ -= count;
    return value;
  }

  template <typename T>
  std::vector<T> array(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    for (T& value : values) value = take<T>();
    return values;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

/// For the most part one that may be right, so that products are made; any 64 bits otherwise.
int64_t size_from(Reader* reader, std::initializer_list<int64_t> usual) {
  const auto kind = reader->take<uint8_t>();
  if (kind >= 248) return reader->take<int64_t>();
  return usual.begin()[kind % usual.size()];
}

}  // namespace

int hqdit_fuzz_accepted = 0;  // inputs that passed the checks

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  hqdit::Fp4Weight weight{};
  const auto options = reader.take<uint8_t>();
  weight.n = size_from(&reader, {1, 15, 16, 17, 40, 64});
  weight.k = size_from(&reader, {1, 16, 31, 32, 33, 64, 96, 160, 256});
  weight.group = size_from(&reader, {16, 32, 48, 64, 128, 256});
  weight.rotation = size_from(&reader, {1, 1, 2, 4, 12, 16, 20, 32, 96});
  const int64_t activation_group = size_from(&reader, {16, 32, 64, 96, 256});
  const auto activation = static_cast<hqdit::Activation>(options % 3);
  const auto epilogue = (options & 4) != 0 ? hqdit::Epilogue::kGelu : hqdit::Epilogue::kNone;
  // Sizes first, as the runtimes' operators look at them: until then any data will do.
  const float nothing = 0;
  weight.codes = weight.tables = reinterpret_cast<const uint8_t*>(&nothing);
  weight.scale = &nothing;
  if (hqdit::fp4_linear_check(weight, activation, activation_group) != nullptr) return 0;
  const hqdit::StoredSize stored = hqdit::fp4_stored_size(weight);
  if (stored.codes < 0 || stored.tables < 0) std::abort();
  const int64_t rows = size_from(&reader, {1, 2, 4, 7, 17});
  if (rows < 1 || rows > 32 || weight.n > 4096 || weight.k > 4096 || stored.codes > 1 << 20 || stored.tables > 1 << 20)
    return 0;
  const auto codes = reader.array<uint8_t>(stored.codes);
  auto tables = reader.array<uint8_t>(stored.tables);
  for (uint8_t& table : tables) table = static_cast<uint8_t>(table < 232 ? table % 29 : table);
  const auto scale = reader.array<float>(weight.n), bias = reader.array<float>(weight.n);
  const auto pre = reader.array<float>(weight.k), x = reader.array<float>(rows * weight.k);
  weight.codes = codes.data();
  weight.tables = tables.data();
  weight.scale = scale.data();
  if ((options & 32) != 0) weight.bias = bias.data();
  if ((options & 64) != 0) weight.pre = pre.data();
  if (hqdit::fp4_tables_check(weight) != nullptr) return 0;
  ++hqdit_fuzz_accepted;
  const hqdit::ParallelFor parallel = hqdit::serial();
  std::vector<float> out(static_cast<size_t>(rows * weight.n));
  for (const char* const* isa = hqdit::available_isas(); *isa != nullptr; ++isa) {
    if (hqdit::use_isa(*isa) != nullptr) std::abort();
    const hqdit::LargeMemory workspace = hqdit::allocate_large(hqdit::fp4_linear_workspace(weight, rows, parallel));
    hqdit::fp4_linear(weight, x.data(), rows, activation, activation_group, epilogue, out.data(), workspace.get(),
                      parallel);
  }
  return 0;
}
