// SPDX-License-Identifier: Apache-2.0
// What operators say about a caller's tensors, and how they ask for the result's.
#pragma once

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "operator.h"

namespace hqdit::ops {

inline constexpr size_t kAnyRank = SIZE_MAX;
inline constexpr size_t kSomeRank = SIZE_MAX - 1;  // from 1 up

/// Whether a tensor is of a type, has `rank` sizes, and elements that can be read.
inline bool is(Host& host, const char* name, const View& view, size_t rank, Element element = Element::kFloat) {
  char problem[160];
  const bool floats = element == Element::kFloat;
  if (view.element != element) {
    std::snprintf(problem, sizeof problem, "%s must be of type %s", name, floats ? "float32" : "uint8");
  } else if (rank != kAnyRank && (rank == kSomeRank ? view.rank == 0 : view.rank != rank)) {
    std::snprintf(problem, sizeof problem, "%s must have %s%zu sizes, not %zu", name,
                  rank == kSomeRank ? "at least " : "", rank == kSomeRank ? 1 : rank, view.rank);
  } else if (!readable(view.data, view.count(), floats ? sizeof(float) : 1)) {
    std::snprintf(problem, sizeof problem, "%s has no data, or none that is aligned", name);
  } else {
    return true;
  }
  return host.refuse(problem);
}

inline bool has_elements(Host& host, const char* name, const View& view, int64_t wanted) {
  if (view.count() == wanted) return true;
  char problem[160];
  std::snprintf(problem, sizeof problem, "%s has %lld elements, but this layer needs %lld", name,
                static_cast<long long>(view.count()), static_cast<long long>(wanted));
  return host.refuse(problem);
}

inline bool same_sizes(const View& a, const View& b) {
  return a.rank == b.rank && std::equal(a.dims, a.dims + a.rank, b.dims);
}

inline bool output_like(Host& host, const View& x, float** data) { return host.output(x.dims, x.rank, data); }

inline bool output_of(Host& host, std::initializer_list<int64_t> dims, float** data) {
  return host.output(dims.begin(), dims.size(), data);
}

/// x's sizes with another last one.
inline bool output_with_last(Host& host, const View& x, int64_t last, float** data) {
  View shape = x;
  shape.dims[shape.rank - 1] = last;
  return host.output(shape.dims, shape.rank, data);
}

}  // namespace hqdit::ops
