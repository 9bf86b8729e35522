// SPDX-License-Identifier: Apache-2.0
#include "program_check.h"

#include <algorithm>

#include "method_check.h"
#include "program_file.h"

namespace hqdit {
namespace {

/// Tables and items of vectors, each as often as it is read: ten times those of DiT-XL/2.
constexpr size_t kMostItems = 1 << 20;

/// What a failed read is, on its way through code that throws BadProgram.
struct ReadFailure {
  Status status;
};

class ProgramCheck {
 public:
  ProgramCheck(uint64_t file_bytes, uint64_t most_activation_bytes, const ReadPart& read)
      : file_bytes_(file_bytes), most_activation_bytes_(most_activation_bytes), read_(read) {}

  ProgramMemory run() {
    const uint64_t header = std::min<uint64_t>(file_bytes_, ProgramFile::kHeaderBytes);
    const uint64_t bytes = ProgramFile::flatbuffer_bytes(part(0, header), file_bytes_);
    // A copy: the next part may take its place.
    const Bytes read = part(0, bytes);
    const std::vector<uint64_t> words = aligned_copy(read);
    const Bytes flatbuffer{reinterpret_cast<const uint8_t*>(words.data()), read.size, &budget_};
    const ProgramFile file(flatbuffer, file_bytes_);
    memory_.at_load = file.bytes_at_load();
    const FlatTables methods = file.methods();
    for (size_t i = 0; i < methods.size(); ++i) {
      try {
        check_method(file, methods[i]);
      } catch (const BadProgram& bad) {
        throw BadProgram("method \"" + printable(methods[i].text(0)) + "\": " + bad.what());
      }
    }
    return memory_;
  }

 private:
  Bytes part(uint64_t offset, uint64_t size) {
    Bytes found;
    expect(size <= ProgramFile::kMostBytes, "a graph of more tables than any");
    if (Status status = read_(offset, static_cast<size_t>(size), &found); !status.ok()) throw ReadFailure{status};
    found.budget = &budget_;
    return found;
  }

  static std::vector<uint64_t> aligned_copy(Bytes bytes) {
    std::vector<uint64_t> words((bytes.size + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    std::memcpy(words.data(), bytes.data, bytes.size);
    return words;
  }

  void check_method(const ProgramFile& file, FlatTable plan) {
    XnnMemory& memory = memory_.methods[std::string(plan.text(0))];
    const MethodCheck method(file, plan, most_activation_bytes_);
    const FlatTables delegates = plan.tables(7);
    std::vector<bool> called(delegates.size());
    for (const MethodCheck::DelegateCall& call : method.delegate_calls()) {
      const FlatTable delegate = delegates[call.delegate];
      expect(delegate.text(0) == "XnnpackBackend", "a delegate that is not XNNPACK");
      expect(delegate.tables(2).size() == 0, "a delegate with options");
      const FlatTable place = delegate.table(1);
      expect(place.number<int8_t>(0) == 1, "a delegate whose graph is not in a segment");
      const ProgramFile::Segment& segment = file.segment(place.number<uint32_t>(1));
      const XnnMemory own = check_xnnpack_graph(file, part(segment.offset, segment.size), call.arguments);
      if (called[call.delegate]) continue;  // a graph is loaded once, however often it is called
      called[call.delegate] = true;
      memory.workspace = std::max(memory.workspace, own.workspace);
      memory.kept = saturating_sum(memory.kept, own.kept);
      memory.constants = std::max(memory.constants, own.constants);
      memory.kept_constants = saturating_sum(memory.kept_constants, own.kept_constants);
    }
    // It would be loaded all the same.
    expect(std::find(called.begin(), called.end(), false) == called.end(), "a delegate that is never called");
  }

  const uint64_t file_bytes_, most_activation_bytes_;
  const ReadPart& read_;
  size_t budget_ = kMostItems;
  ProgramMemory memory_;
};

}  // namespace

Status check_program(uint64_t file_bytes, uint64_t most_activation_bytes, const ReadPart& read, ProgramMemory* memory) {
  try {
    *memory = ProgramCheck(file_bytes, most_activation_bytes, read).run();
    return {};
  } catch (const BadProgram& bad) {
    return invalid_bundle(std::string(bad.what()) + "; export the bundle again with the release of this engine");
  } catch (const BadFlatbuffer& bad) {
    return invalid_bundle(std::string("not a readable ExecuTorch program: ") + bad.what());
  } catch (const ReadFailure& failure) {
    return failure.status;
  }
}

}  // namespace hqdit
