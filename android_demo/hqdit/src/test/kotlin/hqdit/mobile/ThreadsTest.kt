// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.util.concurrent.CountDownLatch
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.Future
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ThreadsTest {
    @Test
    fun aListenerCanStopAndTheModelDrawsAgain() = openTiny().use { model ->
        var steps = 0
        assertThrows(HqDitException.Cancelled::class.java) { model.generate(request()) { ++steps < 3 } }
        assertEquals(3, steps)
        assertTrue(model.draw(request()).isNotEmpty())
    }

    @Test
    fun whatAListenerThrowsComesOut() = openTiny().use { model ->
        val thrown = ArithmeticException("mine")
        assertSame(thrown, assertThrows(ArithmeticException::class.java) { model.generate(request()) { throw thrown } })
        assertTrue(model.draw(request()).isNotEmpty())
    }

    @Test
    fun cancelStopsWithinAStep() = openTiny().use { model ->
        inBackground(model) { running ->
            model.cancel()
            running.letGo()
            assertTrue(running.failure() is HqDitException.Cancelled)
            assertEquals(1, running.steps)
        }
    }

    @Test
    fun oneGenerationAtATime() = openTiny().use { model ->
        inBackground(model) { running ->
            assertThrows(HqDitException.Busy::class.java) { model.draw(request()) }
            running.letGo()
            assertTrue(running.future.get(TIMEOUT, TimeUnit.SECONDS).pictures.isNotEmpty())
        }
    }

    @Test
    fun closeWaitsForTheGenerationAndRefusesMore() {
        val model = openTiny()
        inBackground(model) { running ->
            val closing = Thread { model.close() }.apply { start() }
            closing.join(200)
            assertTrue("close() must wait", closing.isAlive)
            running.letGo()
            closing.join(TIMEOUT * 1000)
            assertFalse(closing.isAlive)
            assertTrue(running.failure() is HqDitException.Cancelled)
        }
        assertThrows(IllegalStateException::class.java) { model.draw(request()) }
        model.close()
    }

    @Test
    fun closeInsideAListenerIsRefused() = openTiny().use { model ->
        assertThrows(IllegalStateException::class.java) {
            model.generate(request()) {
                model.close()
                true
            }
        }
        assertTrue(model.draw(request()).isNotEmpty())
    }

    @Test
    fun twoModelsInTwoThreads() {
        val expected = openTiny().use { it.draw(request(steps = 50)) }
        val pool = Executors.newFixedThreadPool(2)
        val pictures = List(2) { pool.submit<ByteArray> { openTiny().use { it.draw(request(steps = 50)) } } }
        for (picture in pictures) assertArrayEquals(expected, picture.get(TIMEOUT, TimeUnit.SECONDS))
        pool.shutdown()
    }

    /** A generation that waits in its first step until [letGo]. */
    private class Running(model: HqDit) {
        private val started = CountDownLatch(1)
        private val released = CountDownLatch(1)
        private val pool = Executors.newSingleThreadExecutor()
        var steps = 0
        val future: Future<GenerationResult> = pool.submit<GenerationResult> {
            model.generate(request()) {
                steps++
                started.countDown()
                released.await(TIMEOUT, TimeUnit.SECONDS)
            }
        }

        init {
            assertTrue(started.await(TIMEOUT, TimeUnit.SECONDS))
        }

        fun letGo() = released.countDown()

        fun failure(): Throwable? =
            assertThrows(ExecutionException::class.java) { future.get(TIMEOUT, TimeUnit.SECONDS) }.cause

        fun end() {
            letGo()
            pool.shutdown()
        }
    }

    private fun inBackground(model: HqDit, check: (Running) -> Unit) {
        val running = Running(model)
        try {
            check(running)
        } finally {
            running.end()
        }
    }

    private companion object {
        const val TIMEOUT = 30L
    }
}
