// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.ComponentCallbacks2
import android.os.PowerManager
import android.view.KeyEvent
import android.view.View
import android.view.ViewGroup
import android.widget.EditText
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.SeekBar
import android.widget.TextView
import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import java.io.File
import java.util.concurrent.CountDownLatch
import kotlin.math.abs
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class MainActivityTest {
    @get:Rule
    val app = AppRule()

    private val resting = CountDownLatch(1)

    @Test
    fun theControlsReachTheEngine() {
        app.start()
        app.pick("class 3")
        app.view<EditText>(R.id.seed).setText("42")
        slide(R.id.steps, 5)
        slide(R.id.guidance, 3)
        val finished = app.draw()
        val expected = HqDit.open(File(System.getProperty("hqdit.tiny"))).use {
            it.generate(GenerationRequest(3, listOf(42), steps = 6, guidanceScale = 2.5f)).pictures.single()
        }
        assertArrayEquals(expected.toArgb(), finished.picture.toArgb())
        assertArrayEquals("on the screen", expected.toArgb(), app.pixels())
        assertEquals("6", app.text(R.id.steps_value))
        assertTrue(finished.millisPerStep > 0 && finished.peakMemoryBytes > 0)
        assertFiguresShown()
        assertEquals("Picture: class 3, \uD83D\uDE42, seed 42", app.view<View>(R.id.picture).contentDescription)
    }

    @Test
    fun theDefaultsAreTheBundles() {
        app.start()
        assertEquals("–", figure(R.id.figure_step))
        assertEquals("10", app.text(R.id.steps_value))
        assertEquals("3.0", app.text(R.id.guidance_value))
        assertTrue(app.text(R.id.subtitle), app.text(R.id.subtitle).startsWith("tiny · "))
        val chips = app.view<RadioGroup>(R.id.styles)
        assertEquals("\uD83D\uDE42", (chips.getChildAt(0) as RadioButton).text)
        assertTrue((chips.getChildAt(0) as RadioButton).isChecked)
    }

    @Test
    fun aModelWithoutANullClassHasNoGuidance() {
        app.start()
        slide(R.id.guidance, 3)
        val files = File(System.getProperty("hqdit.tiny")).listFiles()!!.associate { it.name to it.readBytes() }
        val manifest = files.getValue("manifest.json").decodeToString().replace("\"null_label\": 5, ", "")
            .replace("\"guided\": \"denoise_guided\", ", "").replace("\"guidance_scale\": 3.0", "\"guidance_scale\": 1")
        app.importZip(files + ("manifest.json" to manifest.encodeToByteArray()))
        assertEquals(View.GONE, app.view<View>(R.id.guidance_group).visibility)
        assertEquals(1f, app.draw().wish.guidanceScale)
    }

    @Test
    fun anotherSeedAnotherPicture() {
        app.start()
        val first = app.draw().picture.toArgb()
        val seed = app.text(R.id.seed)
        app.tap(R.id.shuffle)
        assertFalse(seed == app.text(R.id.seed))
        assertFalse(first.contentEquals(app.draw().picture.toArgb()))
    }

    @Test
    fun theListOfSubjectsCanBeFiltered() {
        app.start()
        app.tap(R.id.subject)
        val list = app.dialogList()
        assertEquals(5, list.adapter.count)
        list.rootView.child<EditText>(R.id.filter).setText("CLÀSS 4")
        app.waitFor("filtering") { list.adapter.count == 1 }
        assertEquals("class 4", list.adapter.getItem(0))
    }

    @Test
    fun cancelStopsAndTheAppGoesOn() {
        app.start()
        drawSlowly()
        assertEquals("Cancel", app.drawText)
        app.tap(R.id.draw)
        letGo()
        app.waitFor("cancelling") { app.studio.state.stage == Stage.READY }
        assertNull(app.studio.state.finished)
        assertEquals("Cancelled", app.text(R.id.status))
        heat(PowerManager.THERMAL_STATUS_NONE)
        app.draw()
    }

    @Test
    fun previewsAppearWhileDrawing() {
        app.start()
        drawSlowly()
        assertNotNull(app.studio.state.drawing?.preview)
        assertFiguresShown()
        assertEquals(8 * 8, app.pixels().size)
        assertTrue(app.text(R.id.status), app.text(R.id.status).startsWith("Step "))
        assertEquals("class 0, \uD83D\uDE42, being drawn", app.view<View>(R.id.picture).contentDescription)
    }

    @Test
    fun rotationKeepsThePictureTheChoicesAndTheModel() {
        app.start()
        app.pick("class 2")
        val finished = app.draw()
        val studio = app.studio
        RuntimeEnvironment.setQualifiers("+land")
        app.controller.recreate()
        assertSame(studio, app.studio)
        assertArrayEquals(finished.picture.toArgb(), app.pixels())
        assertEquals("class 2", app.text(R.id.subject))
        assertSame(app.activity, (app.view<View>(R.id.picture).context))
        app.draw()
    }

    @Test
    fun rotationWhileDrawingDoesNotStopIt() {
        app.start()
        drawSlowly()
        app.controller.recreate()
        assertEquals(Stage.DRAWING, app.studio.state.stage)
        heat(PowerManager.THERMAL_STATUS_NONE)
        letGo()
        app.waitFor("drawing") { app.studio.state.finished != null }
        assertEquals(16 * 16, app.pixels().size)
    }

    @Test
    fun aHotPhoneDrawsSlowerThenStops() {
        app.start()
        drawSlowly()
        assertEquals(Pace.SLOW, app.studio.pace)
        assertTrue(app.text(R.id.status), "warm" in app.text(R.id.status))
        heat(PowerManager.THERMAL_STATUS_CRITICAL)
        letGo()
        app.waitFor("stopping") { app.studio.state.stage == Stage.READY }
        assertTrue(app.text(R.id.status), "too hot" in app.text(R.id.status))
        app.tap(R.id.draw)
        assertEquals(Stage.READY, app.studio.state.stage)
        heat(PowerManager.THERMAL_STATUS_NONE)
        app.draw()
    }

    @Test
    @Suppress("DEPRECATION")
    fun lowMemoryStopsAndGivesTheModelBack() {
        app.start()
        drawSlowly()
        app.activity.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL)
        letGo()
        app.waitFor("stopping") { app.studio.state.stage == Stage.READY }
        assertTrue(app.text(R.id.status), "memory" in app.text(R.id.status))
        heat(PowerManager.THERMAL_STATUS_NONE)
        app.draw()
        assertNotNull(app.studio.state.finished)
    }

    /** Android 14 and later say no more than this. */
    @Test
    fun lowMemoryWithoutAWordOfItStops() {
        app.start()
        drawSlowly()
        app.setMemory(free = 1L shl 30, low = true)
        letGo()
        app.waitFor("stopping") { app.studio.state.stage == Stage.READY }
        assertEquals("Stopped: the phone is short of memory", app.text(R.id.status))
        heat(PowerManager.THERMAL_STATUS_NONE)
        app.setMemory(free = 1L shl 30)
        app.draw()
    }

    @Test
    fun aModelTooLargeForThePhoneIsRefused() {
        app.start(freeMemory = 999_999)
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.text(R.id.status), "memory" in app.text(R.id.status))
    }

    @Test
    fun everyControlSpeaksAndIsLargeEnough() {
        app.start()
        app.draw()
        val controls = all(app.view<ViewGroup>(android.R.id.content)).filter {
            it.isShown && (it.isClickable || it is SeekBar)
        }
        assertEquals(controls.joinToString("\n"), 10, controls.size)
        val least = 48 * app.activity.resources.displayMetrics.density - 1
        for (control in controls) {
            val words = listOf(control.contentDescription, (control as? TextView)?.text, (control as? TextView)?.hint)
            val seed = control.id == R.id.seed // spoken through its label
            assertTrue("$control has no words", seed || words.any { !it.isNullOrBlank() })
            assertTrue("$control is too small", control.height >= least && control.width >= least)
        }
        val label = all(app.view(android.R.id.content)).single { it.labelFor == R.id.seed } as TextView
        assertEquals("Seed", label.text)
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, app.view<View>(R.id.status).accessibilityLiveRegion)
    }

    private fun figure(id: Int) = app.view<View>(id).child<TextView>(R.id.value).text.toString()

    private fun assertFiguresShown() {
        val figures = listOf(R.id.figure_step, R.id.figure_total, R.id.figure_memory).map(::figure)
        assertTrue("$figures", figures.all { Regex("[0-9.]+ .+").matches(it) })
    }

    private fun all(view: View): List<View> = listOf(view) +
        (
            (view as? ViewGroup)?.let { group -> (0 until group.childCount).flatMap { all(group.getChildAt(it)) } }
                ?: emptyList()
            )

    /** Begins a picture that rests after its first step until [letGo]. */
    private fun drawSlowly() {
        heat(PowerManager.THERMAL_STATUS_SEVERE)
        app.studio.rest = { resting.await() }
        app.tap(R.id.draw)
        app.waitFor("the first step") { (app.studio.state.drawing?.step ?: 0) > 0 }
    }

    @After
    fun letGo() = resting.countDown()

    private fun heat(status: Int) {
        shadowOf(app.context.service<PowerManager>()).setCurrentThermalStatus(status)
        app.idle()
    }

    private fun slide(id: Int, value: Int) {
        val bar = app.view<SeekBar>(id)
        val start = bar.progress
        bar.requestFocus()
        val key = if (value > start) KeyEvent.KEYCODE_DPAD_RIGHT else KeyEvent.KEYCODE_DPAD_LEFT
        repeat(abs(value - start)) { bar.onKeyDown(key, KeyEvent(KeyEvent.ACTION_DOWN, key)) }
        assertEquals(value, bar.progress)
    }
}
