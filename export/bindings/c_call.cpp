// SPDX-License-Identifier: Apache-2.0
// hqdit_call: our operators by name, on plain pointers.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include "c_api.h"
#include "executorch_threads.h"
#include "operators.h"
#include "thread_scratch.h"

namespace {

using hqdit::View;

enum Kind : int32_t { kNothing, kTensor, kInteger, kFloat, kBool, kText };

/// One call; keeps what is wrong with it.
class CallHost final : public hqdit::Host {
 public:
  CallHost(const hqdit_value& out, int32_t threads, char* problem, size_t size)
      : out_(out), threads_(threads), problem_(problem), size_(size) {}

  bool output(const int64_t* dims, size_t rank, float** data) override {
    if (out_.kind == kTensor && out_.element == 0 && out_.rank == static_cast<int64_t>(rank) &&
        std::equal(dims, dims + rank, out_.dims)) {
      *data = static_cast<float*>(const_cast<void*>(out_.data));
      return true;
    }
    return refuse("out is not float32 with the sizes of the result");
  }

  void* scratch(size_t bytes) override {
    void* memory = hqdit::thread_scratch(bytes);
    if (memory == nullptr) refuse("out of memory for the workspace");
    return memory;
  }

  hqdit::ParallelFor parallel() override { return hqdit::thread_pool(threads_); }

  bool doubts_tables() const override { return true; }

  bool refuse(const char* problem) override {
    std::snprintf(problem_, size_, "%s", problem);
    return false;
  }

 private:
  const hqdit_value& out_;
  int32_t threads_;
  char* problem_;
  size_t size_;
};

bool read_tensor(const hqdit_value& value, View* view) {
  if (value.kind != kTensor || value.rank < 0 || value.rank > static_cast<int64_t>(View::kMaxRank)) return false;
  view->data = value.data;
  view->element = value.element == 0   ? hqdit::Element::kFloat
                  : value.element == 1 ? hqdit::Element::kByte
                                       : hqdit::Element::kOther;
  view->rank = static_cast<size_t>(value.rank);
  std::copy(value.dims, value.dims + value.rank, view->dims);
  return true;
}

/// What holds an argument of the type T during a call.
template <class T>
struct Argument;

template <>
struct Argument<const View&> {
  View view;
  bool read(const hqdit_value& value) { return read_tensor(value, &view); }
  const View& get() const { return view; }
};

template <>
struct Argument<const View*> {
  View view;
  bool given = false;
  bool read(const hqdit_value& value) {
    given = value.kind != kNothing;
    return !given || read_tensor(value, &view);
  }
  const View* get() const { return given ? &view : nullptr; }
};

template <>
struct Argument<int64_t> {
  int64_t number = 0;
  bool read(const hqdit_value& value) {
    number = value.integer;
    return value.kind == kInteger;
  }
  int64_t get() const { return number; }
};

template <>
struct Argument<double> {
  double number = 0;
  bool read(const hqdit_value& value) {
    number = value.real;
    return value.kind == kFloat;
  }
  double get() const { return number; }
};

template <>
struct Argument<bool> {
  bool truth = false;
  bool read(const hqdit_value& value) {
    truth = value.integer != 0;
    return value.kind == kBool;
  }
  bool get() const { return truth; }
};

template <>
struct Argument<std::string_view> {
  std::string_view text;
  bool read(const hqdit_value& value) {
    if (value.kind != kText || value.data == nullptr) return false;
    text = static_cast<const char*>(value.data);
    return true;
  }
  std::string_view get() const { return text; }
};

template <class Op, class... Arguments, size_t... kIndex>
bool run(CallHost& host, const hqdit_value* values, int32_t count, bool (*)(hqdit::Host&, Arguments...),
         std::index_sequence<kIndex...>) {
  if (count != static_cast<int32_t>(sizeof...(Arguments)))
    return host.refuse("the call has another number of arguments");
  std::tuple<Argument<Arguments>...> arguments;
  if (!(std::get<kIndex>(arguments).read(values[kIndex]) && ...)) {
    return host.refuse("an argument has another type than the operator's");
  }
  return Op::run(host, std::get<kIndex>(arguments).get()...);
}

struct CallIfNamed {
  template <class Op>
  static void one(const std::string& name, CallHost& host, const hqdit_value* values, int32_t& count, bool& found,
                  bool& good) {
    if (found || name != Op::kName) return;
    found = true;
    using Known = hqdit::Signature<decltype(&Op::run)>;
    good = run<Op>(host, values, count, &Op::run, std::make_index_sequence<Known::kCount>());
  }
};

}  // namespace

int32_t hqdit_call(const char* op, const hqdit_value* arguments, int32_t count, const hqdit_value* out, int32_t threads,
                   char* problem, size_t problem_size) {
  CallHost host(*out, threads, problem, problem_size);
  const std::string name = "hqdit::" + std::string(op) + ".out";
  bool found = false, good = false;
  hqdit::ops::for_each(CallIfNamed(), name, host, arguments, count, found, good);
  if (!found) host.refuse("there is no such operator");
  return good ? 0 : 1;
}
