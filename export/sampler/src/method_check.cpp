// SPDX-License-Identifier: Apache-2.0
#include "method_check.h"

#include <algorithm>

#include "operator_signatures.h"

namespace hqdit {
namespace {

constexpr uint64_t kMostRank = 8;

/// The letter of an element's type (scalar_type.fbs) and its size in bytes; others are not written.
struct ElementType {
  char letter;
  uint64_t bytes;
};

ElementType element_of(int8_t scalar_type) {
  switch (scalar_type) {
    case 0:
      return {'u', 1};
    case 4:
      return {'l', 8};
    case 6:
      return {'f', 4};
    default:
      throw BadProgram("a tensor of a type that is none of float32, int64 and uint8");
  }
}

}  // namespace

MethodCheck::MethodCheck(const ProgramFile& file, FlatTable plan, uint64_t most_activation_bytes) : file_(file) {
  const FlatVector<int64_t> buffers = plan.numbers<int64_t>(8);
  expect(buffers.size() == 2 && buffers[0] == 0 && buffers[1] >= 0, "more than one buffer for activations");
  activation_bytes_ = static_cast<uint64_t>(buffers[1]);
  expect(activation_bytes_ <= most_activation_bytes, "activations of " + std::to_string(activation_bytes_) +
                                                         " bytes, of which the manifest says at most " +
                                                         std::to_string(most_activation_bytes));
  expect(plan.tables(9).size() == 0, "buffers on other devices");
  const FlatTables entries = plan.tables(2);
  values_.resize(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) read_value(entries[i], &values_[i]);
  read_lists(entries);
  for (const size_t field : {size_t{3}, size_t{4}}) {
    const FlatVector<int32_t> ends = plan.numbers<int32_t>(field);
    for (size_t i = 0; i < ends.size(); ++i) {
      expect(value(ends[i]).kind == kTensor, "an input or an output that is no tensor");
      expect(field == 4 || !value(ends[i]).tensor.constant, "an input that is a constant");
    }
  }
  const FlatTables operators = plan.tables(6);
  for (size_t i = 0; i < operators.size(); ++i) {
    const FlatTable table = operators[i];
    operators_.push_back(std::string(table.text(0)) + "." + std::string(table.text(1)));
  }
  delegates_ = plan.tables(7).size();
  const FlatTables chains = plan.tables(5);
  expect(chains.size() == 1, "more than one chain of instructions");
  const FlatTables instructions = chains[0].tables(2);
  for (size_t i = 0; i < instructions.size(); ++i) {
    try {
      check_instruction(instructions[i]);
    } catch (const BadProgram& bad) {
      throw BadProgram("instruction " + std::to_string(i) + ": " + bad.what());
    }
  }
}

const MethodCheck::Value& MethodCheck::value(int32_t index) const {
  expect(index >= 0 && static_cast<size_t>(index) < values_.size(), "a value that does not exist");
  return values_[static_cast<size_t>(index)];
}

void MethodCheck::read_value(FlatTable entry, Value* value) {
  value->kind = entry.number<uint8_t>(0);
  const FlatTable content = entry.table(1);
  switch (value->kind) {
    case kNull:
    case kInt:
    case kBool:
    case kDouble:
    case kIntList:
    case kTensorList:
      return;
    case kTensor:
      return read_tensor(content, &value->tensor);
    case kString:
      return expect(content.has(0) && !content.text(0).empty(), "a text that is missing");
    default:
      throw BadProgram("a value of a kind that is not known");
  }
}

void MethodCheck::read_tensor(FlatTable table, TensorValue* tensor) {
  const ElementType element = element_of(table.number<int8_t>(0));
  tensor->type = element.letter;
  const FlatVector<int32_t> sizes = table.numbers<int32_t>(2);
  const FlatVector<uint8_t> order = table.numbers<uint8_t>(3);
  expect(sizes.size() == order.size() && sizes.size() <= kMostRank, "a tensor of an odd rank");
  uint64_t bytes = element.bytes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    expect(sizes[i] > 0, "a tensor without elements");
    expect(order[i] == i, "a tensor that is not contiguous");
    tensor->sizes.push_back(static_cast<uint64_t>(sizes[i]));
    bytes = saturating_product(bytes, tensor->sizes.back());
  }
  expect(table.number<int32_t>(1) == 0 && table.number<int8_t>(7) == 0 && table.number<int8_t>(8) == 0 && !table.has(9),
         "a tensor of a layout that is not fixed");
  const uint64_t constant = table.number<uint32_t>(5);
  tensor->constant = constant != 0;
  if (tensor->constant) {
    expect(!table.has(6), "a constant that can be written to");
    expect(bytes <= file_.constant(constant).size, "a constant without all of its data");
    return;
  }
  expect(table.has(6), "a tensor without memory");
  const FlatTable place = table.table(6);
  const uint64_t offset = place.number<uint32_t>(1) | uint64_t{place.number<uint32_t>(2)} << 32;
  expect(place.number<uint32_t>(0) == 1, "a tensor in memory of another kind");
  expect(offset % ProgramFile::kAlignment == 0, "a tensor that is not aligned");
  expect(bytes <= activation_bytes_ && offset <= activation_bytes_ - bytes, "a tensor outside its buffer");
}

/// After all values: a list refers to them.
void MethodCheck::read_lists(FlatTables entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    const FlatTable content = entries[i].table(1);
    if (values_[i].kind == kIntList) {
      const FlatVector<int64_t> items = content.numbers<int64_t>(0);
      for (size_t k = 0; k < items.size(); ++k) {
        expect(items[k] >= 0 && items[k] <= INT32_MAX, "a value that does not exist");
        expect(value(static_cast<int32_t>(items[k])).kind == kInt, "a list of integers with something else");
      }
    } else if (values_[i].kind == kTensorList) {
      const FlatVector<int32_t> items = content.numbers<int32_t>(0);
      for (size_t k = 0; k < items.size(); ++k) {
        expect(value(items[k]).kind == kTensor, "a list of tensors with something else");
        values_[i].items.push_back(static_cast<size_t>(items[k]));
      }
    }
  }
}

void MethodCheck::check_instruction(FlatTable instruction) {
  enum : uint8_t { kKernelCall = 1, kDelegateCall = 2 };
  const auto kind = instruction.number<uint8_t>(0);
  const FlatTable call = instruction.table(1);
  if (kind == kKernelCall) return check_call(call);
  expect(kind == kDelegateCall, "is none that the exporter writes");
  const auto delegate = call.number<int32_t>(0);
  expect(delegate >= 0 && static_cast<size_t>(delegate) < delegates_, "a delegate that does not exist");
  const FlatVector<int32_t> arguments = call.numbers<int32_t>(1);
  DelegateCall made{static_cast<size_t>(delegate), {}};
  for (size_t i = 0; i < arguments.size(); ++i) {
    expect(value(arguments[i]).kind == kTensor, "an argument that is no tensor");
    made.arguments.push_back(&value(arguments[i]).tensor);
  }
  delegate_calls_.push_back(std::move(made));
}

void MethodCheck::check_call(FlatTable call) {
  const auto index = call.number<int32_t>(0);
  expect(index >= 0 && static_cast<size_t>(index) < operators_.size(), "an operator that does not exist");
  const std::string& name = operators_[static_cast<size_t>(index)];
  const FlatVector<int32_t> arguments = call.numbers<int32_t>(1);
  bool known = false, counts = false;
  for (const OperatorSignature& signature : kOperators) {
    if (signature.name != name) continue;
    known = true;
    // The tensor for the result is named again as the result; of several there is a list of the same ones.
    if (arguments.size() != signature.arguments.size() + 1) continue;
    counts = true;
    const int32_t result = arguments[arguments.size() - 1], out_index = arguments[arguments.size() - 2];
    bool same = result == out_index || (!value(result).items.empty() && value(result).items == value(out_index).items);
    for (size_t i = 0; i + 1 < arguments.size(); ++i) {
      same = same && matches(value(arguments[i]), signature.arguments[i]);
    }
    if (!same) continue;
    const Value& out = value(out_index);
    const bool constant =
        std::any_of(out.items.begin(), out.items.end(), [&](size_t item) { return values_[item].tensor.constant; });
    return expect(!out.tensor.constant && !constant, name + " writes to a constant");
  }
  expect(known, printable(name) + " is no operator that the exporter writes");
  expect(counts, name + " has " + std::to_string(arguments.size()) + " arguments, which is not their number");
  throw BadProgram(name + " has arguments of other types than it takes");
}

bool MethodCheck::matches(const Value& value, char letter) const {
  switch (letter) {
    case 'i':
      return value.kind == kInt;
    case 'd':
      return value.kind == kDouble;
    case 'b':
      return value.kind == kBool;
    case 's':
      return value.kind == kString;
    case 'I':
      return value.kind == kIntList;
    case 'F':
    case 'L':
      return value.kind == kTensorList && !value.items.empty() &&
             std::all_of(value.items.begin(), value.items.end(),
                         [&](size_t item) { return values_[item].tensor.type == (letter == 'F' ? 'f' : 'l'); });
    case 'o':
      return value.kind == kNull || (value.kind == kTensor && value.tensor.type == 'f');
    default:
      return value.kind == kTensor && value.tensor.type == letter;
  }
}

}  // namespace hqdit
