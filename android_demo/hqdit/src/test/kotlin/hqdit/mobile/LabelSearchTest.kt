// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import org.junit.Assert.assertEquals
import org.junit.Test

/** The same names and classes as in tests/runtime/test_labels.py. */
class LabelSearchTest {
    private val search =
        LabelSearch(
            listOf(
                "tench, Tinca tinca",
                "great white shark, white shark, man-eater",
                "crane",
                "crane",
                "7",
                "\u00c9go\u00efste",
                "egoiste",
                "maillot",
                "maillot, tank suit",
                "Stra\u00dfe",
                "drake"
            )
        )

    @Test
    fun namesAndSynonyms() {
        val expected =
            mapOf(
                "tench" to 0,
                "TINCA  TINCA" to 0,
                "White Shark" to 1,
                "man-eater" to 1,
                "great white shark, white shark, man-eater" to 1,
                "\u00c9go\u00efste" to 5,
                "egoiste" to 6,
                "maillot" to 7,
                "tank suit" to 8,
                "STRASSE" to 9,
                "\uff44\uff52\uff41\uff4b\uff45" to 10
            )
        for ((name, label) in expected) assertEquals(name, listOf(label), search.find(name))
    }

    @Test
    fun ambiguousNamesGiveEveryClass() {
        assertEquals(listOf(2, 3), search.find("Crane"))
        assertEquals(listOf(5, 6), search.find("E\u0301goi\u0308ste"))
    }

    @Test
    fun nothingIsNoName() {
        for (name in listOf("", " ", ",", "\u0301", "xylophone", "\u00b2")) {
            assertEquals(name, emptyList<Int>(), search.find(name))
        }
    }

    /** tests/runtime/test_labels.py has the same misses, and difflib's own shares. */
    @Test
    fun aMissHasNearestClasses() {
        val expected = mapOf("tensh" to listOf(0), "shark" to listOf(1), "xylophone" to emptyList(), "" to emptyList())
        for ((name, labels) in expected) assertEquals(name, labels, search.nearest(name))
        assertEquals(listOf(2), search.nearest("CRANES"))
        assertEquals(listOf(7), search.nearest("mailot"))
    }

    @Test
    fun similarityIsDifflibs() {
        val shares = mapOf("tench" to "tensh" to 0.8, "man-eater" to "eat" to 0.5, "abcd" to "bcde" to 0.75)
        for ((texts, share) in shares) assertEquals("$texts", share, similarity(texts.first, texts.second), 1e-9)
    }

    @Test
    fun modelsFindTheirClasses() = openTiny().use { model ->
        assertEquals(listOf(3), model.info.findLabel("CLASS 3 \uD83D\uDE42"))
        assertEquals(emptyList<Int>(), model.info.findLabel("class"))
        assertEquals(listOf(4, 3, 2, 1, 0), model.info.nearestLabels("class"))
    }
}
