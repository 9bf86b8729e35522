// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class GenerationFlowTest {
    @Test
    fun stepsAndThenTheResult() = openTiny().use { model ->
        val events = runBlocking { model.generationFlow(request(steps = 6)).toList() }
        val steps = events.filterIsInstance<GenerationEvent.Step>().filter { it.progress.phase == Progress.Phase.STEP }
        assertEquals((1..6).toList(), steps.map { it.progress.step })
        val done = events.last() as GenerationEvent.Done
        assertArrayEquals(model.draw(request(steps = 6)), done.result.pictures.single().rgb)
    }

    @Test
    fun cancellingTheCollectorStopsTheEngine() = openTiny().use { model ->
        runBlocking {
            val begun = CompletableDeferred<Unit>()
            val job = launch { model.generationFlow(request(steps = 1000)).collect { begun.complete(Unit) } }
            begun.await()
            withTimeout(20_000) { job.cancelAndJoin() }
        }
        assertTrue("the model is free again", model.draw(request()).isNotEmpty())
    }

    @Test
    fun takingTheFirstStepIsEnough() = openTiny().use { model ->
        val first = runBlocking { model.generationFlow(request()).filterIsInstance<GenerationEvent.Step>().first() }
        assertEquals(1, first.progress.step)
        assertTrue(model.draw(request()).isNotEmpty())
    }

    @Test
    fun errorsArriveAtTheCollector() {
        openTiny().use { model ->
            assertThrows(HqDitException.InvalidArgument::class.java) {
                runBlocking { model.generationFlow(request(steps = 0)).toList() }
            }
            model.cancel()
            assertTrue(model.draw(request()).isNotEmpty())
        }
    }
}
