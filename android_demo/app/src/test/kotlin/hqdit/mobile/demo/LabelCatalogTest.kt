// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class LabelCatalogTest {
    @Test
    fun subjectsAndStyles() {
        val labels = listOf("face noto", "face flat", "round fruit noto", "heart noto", "heart flat")
        val catalog = LabelCatalog(labels)
        assertEquals(listOf("face", "round fruit", "heart"), catalog.subjects)
        assertEquals(listOf("noto", "flat"), catalog.styles)
        assertEquals(listOf("noto"), catalog.stylesOf("round fruit"))
        assertEquals(4, catalog.label("heart", "flat"))
        assertNull(catalog.label("round fruit", "flat"))
        assertNull(catalog.label("heart", null))
    }

    @Test
    fun aPlainListStaysOne() {
        val labels = listOf("tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark", "cock", "hen")
        val catalog = LabelCatalog(labels)
        assertEquals(labels, catalog.subjects)
        assertEquals(emptyList<String>(), catalog.styles)
        assertEquals(emptyList<String>(), catalog.stylesOf("cock"))
        assertEquals(3, catalog.label("cock", null))
    }

    @Test
    fun lastWordsThatHardlyRepeatAreNoStyles() {
        val labels = listOf("green snake", "king snake", "night owl", "great horned beetle", "barn door")
        assertEquals(labels, LabelCatalog(labels).subjects)
    }

    @Test
    fun twoLabelsOfOneNameAreToldApart() {
        val catalog = LabelCatalog(listOf("crane", "crane", "maillot"))
        assertEquals(listOf("crane (0)", "crane (1)", "maillot"), catalog.subjects)
        assertEquals(1, catalog.label("crane (1)", null))
        assertEquals(2, catalog.label("maillot", null))
    }
}
