// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.examples

import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Test

/** examples/kotlin/Draw.kt against the library that it calls. */
class ExampleTest {
    private val bundle = File(System.getProperty("hqdit.tiny"))
    private val label = HqDit.open(bundle).use { it.info.labels[2] }

    @Test
    fun drawsThePictureOfTheSeed() {
        val expected = HqDit.open(bundle).use { model ->
            model.generate(GenerationRequest(2, seeds = listOf(9))).pictures.single()
        }
        val steps = mutableListOf<Int>()
        val picture = checkNotNull(draw(bundle, label, 9) { step, _ -> steps.add(step) })
        assertArrayEquals(expected.toArgb(), picture.toArgb())
        assertEquals((1..10).toList(), steps.distinct())
    }

    @Test
    fun stopsWhenAsked() = assertNull(draw(bundle, label, 9) { step, _ -> step < 3 })

    @Test
    fun namesAMissingClass() {
        val error = assertThrows(IllegalArgumentException::class.java) { draw(bundle, "unicorn", 9) { _, _ -> true } }
        assertEquals("the bundle has no class unicorn", error.message)
    }
}
