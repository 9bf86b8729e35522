// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Application
import android.content.Intent
import hqdit.mobile.EngineService
import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import hqdit.mobile.openIsolated
import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import org.junit.Assert.assertEquals
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** The oldest Android of the manifest: a call that it lacks ends these. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [26])
class MinSdkTest {
    @get:Rule
    val app = AppRule()

    @Test
    fun itStartsDrawsTurnsAndShares() {
        app.start()
        app.draw()
        app.controller.recreate()
        app.tap(R.id.share)
        assertEquals(16 * 16, app.pixels().size)
    }

    /** This Android starts an isolated service once, whoever binds it. */
    @Test
    fun isolatedModelsShareAProcess() {
        val opened = AtomicInteger()
        app.bindEngine(
            Between(Robolectric.setupService(EngineService::class.java).onBind(Intent())) { opened.incrementAndGet() }
        )
        val shadow = shadowOf(app.context as Application)
        val tiny = File(System.getProperty("hqdit.tiny"))
        val (first, second) = List(2) { app.besideMain { HqDit.openIsolated(app.context, tiny) } }
        val bound = shadow.boundServiceConnections.toList()
        assertEquals(2, bound.toSet().size)
        assertEquals("both by the one service", 2, opened.get())
        first.close()
        assertEquals(bound.take(1), shadow.unboundServiceConnections)
        assertEquals(1, second.generate(GenerationRequest(2, listOf(7), steps = 2)).pictures.size)
        second.close()
        assertEquals(bound, shadow.unboundServiceConnections)
    }
}
