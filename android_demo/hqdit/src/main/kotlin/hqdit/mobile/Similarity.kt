// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * The share of both texts that is alike, 0 to 1: of Ratcliff and Obershelp, as Python's difflib has it, so that a phone
 * offers the classes that a desktop does. The longest part in common counts, then the parts left and right of it.
 */
internal fun similarity(first: String, second: String): Double {
    val a = first.codePoints().toArray()
    val b = second.codePoints().toArray()
    if (a.isEmpty() && b.isEmpty()) return 1.0
    return 2.0 * alike(a, a.indices, b, b.indices) / (a.size + b.size)
}

private fun alike(a: IntArray, inA: IntRange, b: IntArray, inB: IntRange): Int {
    var startA = 0
    var startB = 0
    var length = 0
    for (i in inA) {
        for (j in inB) {
            var same = 0
            while (i + same <= inA.last && j + same <= inB.last && a[i + same] == b[j + same]) same++
            if (same > length) {
                length = same
                startA = i
                startB = j
            }
        }
    }
    if (length == 0) return 0
    return length + alike(a, inA.first until startA, b, inB.first until startB) +
        alike(a, startA + length..inA.last, b, startB + length..inB.last)
}
