// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.text.Normalizer

/**
 * Finds classes by what people type: without regard to case, accents and compatibility forms, by the whole name or by
 * one of the synonyms that commas divide ("great white shark, white shark, man-eater").
 *
 * The rule is that of hqdit_mobile/runtime/labels.py, so that a name means the same class on a phone and on a desktop.
 */
public class LabelSearch(private val labels: List<String>) {
    private val folded = labels.map(::fold)

    /**
     * The classes that [name] means: of the whole name as it is, else folded, else of a synonym. One is the class; with
     * none or several there is nothing to draw without asking.
     */
    public fun find(name: String): List<Int> {
        val wanted = fold(name)
        val exact = labels.indices.filter { labels[it] == name }
        if (exact.isNotEmpty() || wanted.isEmpty()) return exact
        val whole = labels.indices.filter { folded[it] == wanted }
        return whole.ifEmpty { labels.indices.filter { wanted in synonyms(folded[it]) } }
    }

    /** Classes to offer where [find] gives none: with a synonym spelt like [name] or holding it, the nearest first. */
    public fun nearest(name: String): List<Int> {
        val wanted = fold(name)
        val classes = LinkedHashMap<String, Int>()
        for (label in labels.indices) synonyms(folded[label]).forEach { classes.putIfAbsent(it, label) }
        val alike = classes.keys.map { it to similarity(it, wanted) }.filter { (_, share) -> share >= ALIKE }
        val nearestFirst = compareByDescending<Pair<String, Double>> { it.second }.thenByDescending { it.first }
        val spelt = alike.sortedWith(nearestFirst)
        val holding = classes.keys.filter { wanted.isNotEmpty() && wanted in it }
        return (spelt.take(NEAREST).map { it.first } + holding).map(classes::getValue).distinct().take(NEAREST)
    }

    public companion object {
        private const val NEAREST = 5
        private const val ALIKE = 0.6
        private val marks = Regex("\\p{Mn}+")
        private val spaces = Regex("[\\s\\p{Z}]+")

        /** [text] without case, accents, compatibility forms and the width of spaces. */
        public fun fold(text: String): String {
            // By way of the upper case, which is "SS" for "ß"; letter by letter back, without a final sigma of its own.
            val lower = decomposed(text).uppercase().map(Char::lowercaseChar).joinToString("")
            val plain = decomposed(lower)
            return plain.replace(marks, "").replace(spaces, " ").trim()
        }

        private fun decomposed(text: String) = Normalizer.normalize(text, Normalizer.Form.NFKD)

        private fun synonyms(folded: String) = folded.split(',').map(String::trim).filter(String::isNotEmpty)
    }
}
