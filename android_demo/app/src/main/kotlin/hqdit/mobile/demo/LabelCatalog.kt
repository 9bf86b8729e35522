// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

/**
 * The labels of a model as two questions, what and in which style, when every label is "<subject> <style>" ("heart
 * noto"); else as one list without styles ("tench, Tinca tinca").
 */
class LabelCatalog(labels: List<String>) {
    /** What can be drawn, in the order of the labels. */
    val subjects: List<String>

    /** Every style, in the order of the labels; empty for a plain list. */
    val styles: List<String>

    private val labelOf: Map<Pair<String, String?>, Int>

    init {
        val pairs: List<Pair<String, String?>> =
            labels.map { it.substringBeforeLast(' ') to it.substringAfterLast(' ', "") }
        // A style is worth asking for when subjects share it; in a plain list the last words hardly repeat.
        val paired =
            pairs.none { it.second.isNullOrEmpty() || it.first.isBlank() } &&
                pairs.toSet().size == pairs.size &&
                pairs.distinctBy { it.second }.size * 2 <= pairs.size
        // Two classes of one name (ImageNet has two cranes) are told apart by their numbers.
        val shared = labels.groupingBy { it }.eachCount().filterValues { it > 1 }
        val plain = labels.mapIndexed { label, name -> if (name in shared) "$name ($label)" else name }
        val named = if (paired) pairs else plain.map { it to null }
        subjects = named.map { it.first }.distinct()
        styles = named.mapNotNull { it.second }.distinct()
        labelOf = named.withIndex().associate { (label, name) -> name to label }
    }

    /** The styles that exist for [subject]. */
    fun stylesOf(subject: String): List<String> = styles.filter { (subject to it) in labelOf }

    /** The label to ask the model for; null if the two do not go together. */
    fun label(subject: String, style: String?): Int? = labelOf[subject to style]
}
