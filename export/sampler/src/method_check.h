// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program_file.h"

namespace hqdit {

/// A tensor of a method's values.
struct TensorValue {
  char type = 0;  // f, l, u as in operator_signatures.h
  std::vector<uint64_t> sizes;
  bool constant = false;
};

/// One method of a program, checked while it is made: its values and its instructions, but for XNNPACK's graphs.
class MethodCheck {
 public:
  /// A call of a delegate: which, and the tensors that it gets.
  struct DelegateCall {
    size_t delegate;
    std::vector<const TensorValue*> arguments;
  };

  /// Throws BadProgram or BadFlatbuffer.
  MethodCheck(const ProgramFile& file, FlatTable plan, uint64_t most_activation_bytes);

  const std::vector<DelegateCall>& delegate_calls() const { return delegate_calls_; }

 private:
  /// Of program.fbs's union KernelTypes.
  enum Kind : uint8_t { kNull = 1, kInt, kBool, kDouble, kTensor, kString, kIntList, kTensorList = 10 };

  struct Value {
    uint8_t kind = 0;
    TensorValue tensor;
    std::vector<size_t> items;
  };

  void read_value(FlatTable entry, Value* value);
  void read_tensor(FlatTable table, TensorValue* tensor);
  void read_lists(FlatTables entries);
  void check_instruction(FlatTable instruction);
  void check_call(FlatTable call);
  bool matches(const Value& value, char letter) const;
  const Value& value(int32_t index) const;

  const ProgramFile& file_;
  uint64_t activation_bytes_ = 0;
  std::vector<Value> values_;
  std::vector<std::string> operators_;
  size_t delegates_ = 0;
  std::vector<DelegateCall> delegate_calls_;
};

}  // namespace hqdit
