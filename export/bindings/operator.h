// SPDX-License-Identifier: Apache-2.0
// What an operator is to the three that call it: ExecuTorch, ONNX Runtime and the C ABI. docs/architecture.md says how
// to add one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "hqdit/fp4_linear.h"

namespace hqdit {

enum class Element : int32_t { kFloat = 0, kByte = 1, kOther = 2 };

/// A contiguous tensor of the caller's runtime.
struct View {
  static constexpr size_t kMaxRank = 8;

  const void* data = nullptr;
  Element element = Element::kOther;
  size_t rank = 0;
  int64_t dims[kMaxRank] = {};

  int64_t count() const {
    int64_t product = 1;
    for (size_t i = 0; i < rank; ++i) product *= dims[i];
    return product;
  }
  int64_t last() const { return rank > 0 ? dims[rank - 1] : 0; }
  const float* floats() const { return static_cast<const float*>(data); }
  const uint8_t* bytes() const { return static_cast<const uint8_t*>(data); }
};

/// Whether elements of `size` bytes can be read at an address: a model's file can put tensors anywhere, or nowhere.
inline bool readable(const void* data, int64_t count, size_t size) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return count == 0 || (address != 0 && address % size == 0);
}

/// The caller of an operator.
class Host {
 public:
  /// The result's data with these sizes into `data`; false if it cannot take them, which refuse() was told.
  virtual bool output(const int64_t* dims, size_t rank, float** data) = 0;
  /// At least `bytes` with 64-byte alignment until the operator returns, once a call; nullptr if memory ran out, which
  /// the host says itself.
  virtual void* scratch(size_t bytes) = 0;
  virtual ParallelFor parallel() = 0;
  /// Whether the ids of fp4_linear's tables may be wrong. A host whose weights are constants looks at them itself,
  /// once.
  virtual bool doubts_tables() const { return false; }
  /// Says what is wrong with the call, and returns false.
  virtual bool refuse(const char* problem) = 0;

 protected:
  ~Host() = default;
};

/// The arguments of an operator Op, from its function `static bool run(Host&, Arguments...)`. An argument is
/// `const View&`, `const View*` (a tensor or nothing), `int64_t`, `double`, `bool` or `std::string_view`.
template <class Function>
struct Signature;

template <class... Arguments>
struct Signature<bool (*)(Host&, Arguments...)> {
  static constexpr size_t kCount = sizeof...(Arguments);
};

}  // namespace hqdit
