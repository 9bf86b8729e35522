// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class GenerateTest {
    @Test
    fun infoIsTheManifests() = openTiny().use { model ->
        val info = model.info
        assertEquals("tiny", info.name)
        assertEquals("desktop", info.target)
        assertEquals(
            listOf(16, 16, 5, 1000),
            listOf(info.imageWidth, info.imageHeight, info.nullLabel, info.numTrainTimesteps)
        )
        assertEquals(List(5) { "class $it \uD83D\uDE42" }, info.labels)
        assertTrue(info.hasPreview)
        assertEquals(listOf(Scheduler.DDIM, Scheduler.DPM_SOLVER), info.schedulers)
        assertEquals(Scheduler.DDIM, info.defaultScheduler)
        assertEquals(10, info.defaultSteps)
        assertEquals(3f, info.defaultGuidanceScale)
        assertEquals(0f..1f, info.defaultGuidanceInterval)
        assertFalse(info.decodesTiled)
    }

    @Test
    fun estimateIsTheManifests() {
        val files = listOf("transformer.pte", "vae_decoder.pte").sumOf { File(tiny, it).length() }
        assertEquals(MemoryEstimate(10_000, 200_000, 1_000_000, files, 0), HqDit.estimate(tiny))
    }

    /** tests/test_android.py compares these with the pictures that Python draws with the same engine. */
    @Test
    fun picturesForPythonToCompare() = openTiny().use { model ->
        val requests = mapOf(
            "defaults" to GenerationRequest(label = 0, seeds = listOf(5)),
            "dpm" to GenerationRequest(2, listOf(7), Scheduler.DPM_SOLVER, steps = 13, guidanceScale = 2.5f),
            "interval" to GenerationRequest(4, listOf(-1), guidanceInterval = 0.25f..0.75f, eta = 0.5f),
            "no-class" to GenerationRequest(checkNotNull(model.info.nullLabel), listOf(1), guidanceScale = 1f)
        )
        output.mkdirs()
        for ((name, request) in requests) File(output, "$name.rgb").writeBytes(model.draw(request))
    }

    @Test
    fun realPictureForPythonToCompare() = HqDit.open(File(System.getProperty("hqdit.bundle"))).use { model ->
        output.mkdirs()
        File(output, "real.rgb").writeBytes(model.draw(GenerationRequest(label = 3, seeds = listOf(11), steps = 4)))
    }

    @Test
    fun eachSeedHasItsPicture() = openTiny().use { model ->
        val result = model.generate(request().copy(seeds = listOf(7, 8)))
        assertArrayEquals(model.draw(request(seed = 7)), result.pictures[0].rgb)
        assertArrayEquals(model.draw(request(seed = 8)), result.pictures[1].rgb)
        assertFalse(result.pictures[0].rgb.contentEquals(result.pictures[1].rgb))
        assertEquals(2 * 2 * 10, result.evaluations)
        assertTrue(result.totalMillis >= result.denoiseMillis + result.decodeMillis && result.decodeMillis > 0)
        assertTrue(result.peakMemoryBytes > 10_000_000)
    }

    @Test
    fun progressTellsEachStepAndPreview() = openTiny().use { model ->
        val seen = mutableListOf<Progress>()
        val caller = Thread.currentThread()
        model.generate(request(steps = 8, previewInterval = 3).copy(guidanceInterval = 0.25f..0.75f)) {
            assertEquals(caller, Thread.currentThread())
            seen.add(it)
        }
        val (steps, decodes) = seen.partition { it.phase == Progress.Phase.STEP }
        assertEquals((1..8).toList(), steps.map { it.step })
        assertEquals(1, decodes.size)
        assertEquals(listOf(875, 750, 625, 500, 375, 250, 125, 0), steps.map { it.timestep })
        assertEquals(steps.map { it.timestep in 250..750 }, steps.map { it.guided })
        assertEquals(listOf(3, 6, 8), steps.filter { it.preview != null }.map { it.step })
        assertTrue(steps.mapNotNull { it.preview }.all { it.width == 8 && it.height == 8 })
        assertTrue(seen.all { it.stepCount == 8 && it.imageIndex == 0 && it.imageCount == 1 && it.elapsedMillis > 0 })
        assertNull(decodes.single().preview)
    }

    /** With -Xcheck:jni the JVM complains of leaked references, which tests/test_android.py looks for. */
    @Test
    fun aThousandPreviewsLeakNothing() = openTiny().use { model ->
        var previews = 0
        model.generate(request(steps = 1000, previewInterval = 1)) {
            if (it.preview != null) previews++
            true
        }
        assertEquals(1000, previews)
    }

    @Test
    fun argbIsOpaqueAndInOrder() {
        val picture = Picture(2, 1, byteArrayOf(1, 2, 3, -1, -128, 0))
        assertArrayEquals(intArrayOf(0xff010203.toInt(), 0xffff8000.toInt()), picture.toArgb())
    }

    @Test
    fun versionIsTheEngines() = assertTrue(Regex("""\d+\.\d+\.\d+""").matches(HqDit.version))
}
