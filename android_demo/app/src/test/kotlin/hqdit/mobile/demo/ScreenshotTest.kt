// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.graphics.Bitmap
import android.graphics.Color
import android.os.Handler
import android.os.Looper
import android.view.PixelCopy
import android.view.View
import android.view.ViewGroup
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.TextView
import java.io.File
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** Renders the screens that the README shows, with the bundle that hqdit.bundle names, or else the tiny one. */
@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class ScreenshotTest {
    @get:Rule
    val app = AppRule(File(System.getProperty("hqdit.bundle").ifEmpty { System.getProperty("hqdit.tiny") }))

    @Test
    @Config(qualifiers = "w393dp-h851dp-notnight-xhdpi")
    fun light() = drawAndShoot("light")

    @Test
    @Config(qualifiers = "w393dp-h851dp-night-xhdpi")
    fun dark() = drawAndShoot("dark")

    @Test
    @Config(qualifiers = "w851dp-h393dp-land-notnight-xhdpi")
    fun landscape() = drawAndShoot("landscape")

    /** Before the first picture, in the largest type of a phone's display settings: no text may be cut. */
    @Test
    @Config(qualifiers = "w393dp-h851dp-notnight-xhdpi")
    fun largeType() {
        RuntimeEnvironment.setFontScale(2f)
        start()
        shoot("large-type")
        val texts = all(app.view(android.R.id.content)).filter { it.isShown && it is TextView }
        assertTrue("${texts.size}", texts.size > 10)
        for (view in texts) {
            val text = view as TextView
            val layout = text.layout
            val lines = layout.height + text.compoundPaddingTop + text.compoundPaddingBottom
            assertTrue("${text.text} needs $lines pixels and has ${text.height}", text.height >= lines)
        }
    }

    private fun drawAndShoot(name: String) {
        start()
        app.draw()
        shoot(name)
    }

    private fun all(view: View): List<View> = listOf(view) + (view as? ViewGroup)?.children.orEmpty().flatMap(::all)

    private val ViewGroup.children: List<View> get() = List(childCount, ::getChildAt)

    private fun start() {
        app.start()
        val catalog = checkNotNull(app.studio.state.model).catalog
        catalog.subjects.find { it == "heart" }?.let(app::pick)
        val chips = app.view<RadioGroup>(R.id.styles)
        chips.children.find { (it as RadioButton).text == "fluent-emoji" }?.performClick()
        app.idle()
    }

    private fun shoot(name: String) {
        val root = app.activity.window.decorView
        var copied: Int? = null
        val screenshot = Bitmap.createBitmap(root.width, root.height, Bitmap.Config.ARGB_8888)
        PixelCopy.request(app.activity.window, screenshot, { copied = it }, Handler(Looper.getMainLooper()))
        app.waitFor("the screenshot") { copied == PixelCopy.SUCCESS }
        val background = Color.luminance(screenshot.getPixel(2, root.height - 2))
        assertTrue("$name: the background's luminance is $background", (background < 0.5) == (name == "dark"))
        val file = File(System.getProperty("hqdit.output"), "screenshot-$name.png")
        file.outputStream().use { assertTrue(screenshot.compress(Bitmap.CompressFormat.PNG, 100, it)) }
    }
}
