// SPDX-License-Identifier: Apache-2.0
#include "xnnpack_check.h"

#include <algorithm>
#include <map>
#include <utility>

#include "xnnpack_nodes.h"

namespace hqdit {
namespace {

constexpr uint64_t kMostRank = 6;  // XNN_MAX_TENSOR_DIMS

/// Fields of XNNTensorValue.
enum : size_t { kDatatype, kNumDims, kDims, kConstant, kExternal, kFlags, kId, kDynamicType };

class Graph {
 public:
  Graph(const ProgramFile& file, FlatTable graph) : file_(file), constants_(graph.tables(8)) {
    expect(graph.tables(6).size() == 0, "XNNPACK constants that have no name");
    externals_ = graph.number<uint32_t>(3);
    const FlatTables values = graph.tables(2);
    for (size_t i = 0; i < values.size(); ++i) read_value(values[i].number<uint8_t>(0), values[i].table(1));
  }

  /// The external number of a value is its place among the arguments of a call.
  void check_arguments(const std::vector<const TensorValue*>& arguments) const {
    expect(arguments.size() == externals_ && inputs_.size() + outputs_.size() == externals_,
           "a call of XNNPACK with " + std::to_string(arguments.size()) + " tensors, for a graph of " +
               std::to_string(inputs_.size() + outputs_.size()));
    for (const auto* group : {&inputs_, &outputs_}) {
      for (const auto& [external, id] : *group) {
        expect(external < externals_, "an external XNNPACK value with a number that cannot be");
        const TensorValue& tensor = *arguments[external];
        expect(tensor.type == 'f' && (tensor.sizes.empty() ? Sizes{1} : tensor.sizes) == values_.at(id).value.sizes,
               "a call of XNNPACK with a tensor that has not the shape of its graph's value");
        expect(group == &inputs_ || !tensor.constant, "a call of XNNPACK that writes to a constant");
      }
    }
  }

  /// Runs through the nodes in their order.
  XnnMemory check_nodes(FlatTables nodes) {
    std::map<uint32_t, size_t> last_use;
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (const uint32_t id : node_at(nodes, i).inputs) last_use[id] = i;
    }
    XnnMemory memory;
    memory.constants = constant_bytes_;
    uint64_t now = 0;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const XnnNode node = node_at(nodes, i);
      std::vector<const XnnValue*> inputs;
      for (const uint32_t id : node.inputs) {
        expect(at(id).made, "an XNNPACK node that reads what no node before it made");
        if (!node.packs_constants) {
          memory.kept_constants = saturating_sum(memory.kept_constants, at(id).stored);
        }
        inputs.push_back(&at(id).value);
      }
      Entry& output = at(node.output);
      expect(!output.made, "an XNNPACK value that is made twice");
      output.made = true;
      const XnnNodeMemory own = check_xnn_node(nodes[i].number<uint8_t>(0), nodes[i].table(1), inputs, &output.value);
      if (!output.external) now += output.bytes;
      memory.workspace = std::max(memory.workspace, saturating_sum(now, own.workspace));
      memory.kept = saturating_sum(memory.kept, own.kept);
      for (const uint32_t id : node.inputs) {
        if (last_use[id] == i && !at(id).external && !at(id).value.constant) now -= std::exchange(at(id).bytes, 0);
      }
    }
    for (const auto& [external, id] : outputs_) expect(at(id).made, "an XNNPACK output that no node makes");
    return memory;
  }

 private:
  struct Entry {
    XnnValue value;
    bool external = false, made = false;
    uint64_t bytes = 0;
    uint64_t stored = 0;  // of a constant: the segment that it is read from
  };

  static XnnNode node_at(FlatTables nodes, size_t index) {
    const FlatTable bounds = nodes[index].table(3);
    static_cast<void>(bounds.number<float>(0) + bounds.number<float>(1) + nodes[index].number<float>(2));
    return xnn_node(nodes[index].number<uint8_t>(0), nodes[index].table(1));
  }

  Entry& at(uint32_t id) {
    const auto found = values_.find(id);
    expect(found != values_.end(), "an XNNPACK value that does not exist");
    return found->second;
  }

  void read_value(uint8_t kind, FlatTable table) {
    enum : uint8_t { kPlain = 1, kQuantized = 2 };
    expect(kind == kPlain || kind == kQuantized, "an XNNPACK value of a kind that is not known");
    const FlatTable tensor = kind == kPlain ? table : table.table(0);
    Entry entry;
    XnnValue& value = entry.value;
    value.type = tensor.number<int16_t>(kDatatype);
    expect(kind == kPlain ? value.type == XnnValue::kFloat
                          : value.type == XnnValue::kChannelInt8 || value.type == XnnValue::kRowInt8,
           "an XNNPACK value of a type that the exporter does not write");
    const FlatVector<uint32_t> dims = tensor.numbers<uint32_t>(kDims);
    expect(dims.size() <= kMostRank && tensor.number<uint32_t>(kNumDims) == dims.size(),
           "an XNNPACK value of an odd rank");
    entry.bytes = value.type == XnnValue::kFloat ? sizeof(float) : 1;
    for (size_t i = 0; i < dims.size(); ++i) {
      expect(dims[i] > 0, "an XNNPACK value without elements");
      value.sizes.push_back(dims[i]);
      entry.bytes = saturating_product(entry.bytes, dims[i]);
    }
    // No sum of a graph's values overflows.
    expect(entry.bytes < uint64_t{1} << 40, "an XNNPACK value of over a terabyte");
    const auto constant = tensor.number<uint32_t>(kConstant);
    value.constant = entry.made = constant != 0;
    if (value.constant) entry.stored = constant_of(constant, entry.bytes);
    if (kind == kQuantized) read_quantization(table, &value);
    expect(tensor.number<int16_t>(kDynamicType) == 0, "an XNNPACK value of a type that the exporter does not write");
    read_external(tensor, &entry);
    const auto id = tensor.number<uint32_t>(kId);
    expect(id != kNoXnnValue && values_.emplace(id, std::move(entry)).second, "an XNNPACK value that occurs twice");
  }

  void read_external(FlatTable tensor, Entry* entry) {
    enum : uint32_t { kInput = 1, kOutput = 2 };
    const auto external = tensor.number<uint32_t>(kExternal), flags = tensor.number<uint32_t>(kFlags);
    if (external == kNoXnnValue) return expect(flags == 0, "an XNNPACK value with flags");
    expect((flags == kInput || flags == kOutput) && entry->value.type == XnnValue::kFloat && !entry->value.constant,
           "an external XNNPACK value that is neither input nor output");
    entry->external = true;
    if (flags == kInput) entry->made = true;
    auto& group = flags == kInput ? inputs_ : outputs_;
    expect(inputs_.count(external) == 0 && outputs_.count(external) == 0,
           "an external XNNPACK value that occurs twice");
    group[external] = tensor.number<uint32_t>(kId);
  }

  void read_quantization(FlatTable table, XnnValue* value) {
    enum : uint8_t { kPerChannel = 1, kPerRow = 3 };
    const auto kind = table.number<uint8_t>(1);
    const FlatTable scales = table.table(2);
    if (value->type == XnnValue::kRowInt8) {
      const auto axes = scales.number<int32_t>(0);
      expect(kind == kPerRow && !value->constant && axes > 0 && static_cast<size_t>(axes) <= value->sizes.size(),
             "an XNNPACK value without scales of its rows");
      value->scaled_axes = static_cast<uint64_t>(axes);
      return;
    }
    expect(kind == kPerChannel && value->constant && !value->sizes.empty() && scales.number<int32_t>(1) == 0,
           "an XNNPACK value without scales of its channels");
    const auto buffer = scales.number<uint32_t>(2);
    const uint64_t stored = scales.numbers<float>(0).size();
    const uint64_t count = buffer == 0 ? stored : scales.number<uint32_t>(3);
    if (buffer != 0) constant_of(buffer, saturating_product(count, sizeof(float)));
    expect(count == value->sizes[0], "an XNNPACK value without scales of its channels");
  }

  /// The bytes of the segment that it lies in, which must be at least so many.
  uint64_t constant_of(uint32_t index, uint64_t bytes) {
    expect(index < constants_.size(), "an XNNPACK constant that does not exist");
    const FlatTable constant = constants_[index];
    expect(!constant.text(2).empty() && constant.number<uint64_t>(0) == UINT64_MAX,
           "an XNNPACK constant without a name");
    const uint64_t stored = file_.named(constant.text(2)).size;
    expect(bytes <= stored, "an XNNPACK constant without all of its data");
    constant_bytes_ = saturating_sum(constant_bytes_, stored);
    return stored;
  }

  const ProgramFile& file_;
  const FlatTables constants_;
  uint64_t externals_ = 0, constant_bytes_ = 0;
  std::map<uint32_t, Entry> values_;
  std::map<uint32_t, uint32_t> inputs_, outputs_;  // ids by their external numbers
};

}  // namespace

XnnMemory check_xnnpack_graph(const ProgramFile& file, Bytes payload,
                              const std::vector<const TensorValue*>& arguments) {
  expect(payload.size >= 30 && std::memcmp(payload.data + 4, "XH00", 4) == 0, "an XNNPACK graph without a header");
  // Its header is packed.
  uint32_t offset = 0, size = 0;
  std::memcpy(&offset, payload.at(10, sizeof offset), sizeof offset);
  std::memcpy(&size, payload.at(14, sizeof size), sizeof size);
  expect(offset % ProgramFile::kAlignment == 0, "an XNNPACK graph that is not aligned");
  const Bytes flatbuffer{payload.at(offset, size), size, payload.budget};
  expect(size >= 8 && std::memcmp(flatbuffer.data + 4, "XN0", 3) == 0, "an XNNPACK graph of another version");
  const FlatTable root = FlatTable::root(flatbuffer);
  // XNNPACK may read what is of no interest here.
  static_cast<void>(root.text(0));
  for (const size_t field : {size_t{4}, size_t{5}, size_t{7}}) static_cast<void>(root.numbers<uint32_t>(field));
  Graph graph(file, root);
  graph.check_arguments(arguments);
  return graph.check_nodes(root.tables(1));
}

}  // namespace hqdit
