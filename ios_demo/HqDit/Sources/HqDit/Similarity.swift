// SPDX-License-Identifier: Apache-2.0

/// The share of both texts that is alike, 0 to 1: of Ratcliff and Obershelp, as Python's difflib has it, so that a
/// phone offers the classes that a desktop does. The longest part in common counts, then those left and right of it.
func similarity(_ first: String, _ second: String) -> Double {
  let (a, b) = (Array(first.unicodeScalars), Array(second.unicodeScalars))
  if a.isEmpty, b.isEmpty { return 1 }
  return 2 * Double(alike(a[...], b[...])) / Double(a.count + b.count)
}

private func alike(_ a: ArraySlice<Unicode.Scalar>, _ b: ArraySlice<Unicode.Scalar>) -> Int {
  var (startA, startB, length) = (a.startIndex, b.startIndex, 0)
  for i in a.indices {
    for j in b.indices {
      let same = zip(a[i...], b[j...]).prefix { $0 == $1 }.count
      if same > length { (startA, startB, length) = (i, j, same) }
    }
  }
  if length == 0 { return 0 }
  let right = alike(a[(startA + length)...], b[(startB + length)...])
  return length + alike(a[..<startA], b[..<startB]) + right
}
