// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Activity
import android.content.Intent
import android.graphics.BitmapFactory
import android.net.Uri
import android.provider.OpenableColumns
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** What goes in and out of the app: bundles and pictures. */
@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class FilesTest {
    @get:Rule
    val app = AppRule(bundle = null)

    private val tiny = File(System.getProperty("hqdit.tiny"))
    private val picked = Uri.parse("content://elsewhere/picked")

    @Test
    fun withoutABundleTheAppAsksForOne() {
        app.start()
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.text(R.id.placeholder), "Import a bundle" in app.text(R.id.placeholder))
        assertEquals(false, app.view<android.view.View>(R.id.draw).isEnabled)
    }

    @Test
    fun aPickedZipIsImportedAndDraws() {
        app.start()
        app.importZip(tiny.listFiles().orEmpty().associate { "emoji/${it.name}" to it.readBytes() })
        assertEquals("The bundle is ready", app.text(R.id.status))
        app.draw()
    }

    @Test
    fun aZipThatClimbsOutIsRefused() {
        app.start()
        app.importZip(mapOf("manifest.json" to ByteArray(1), "../../shared_prefs/evil.xml" to ByteArray(1)))
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.context.dataDir.walk().none { it.name == "evil.xml" })
    }

    @Test
    fun aDamagedBundleIsRefusedAndTheOldOneStays() {
        app.start()
        val files = tiny.listFiles().orEmpty().associate { it.name to it.readBytes() }
        app.importZip(files)
        val cut = files.mapValues { (name, bytes) -> if (name == "transformer.pte") bytes.copyOf(64) else bytes }
        app.importZip(cut)
        assertTrue(app.text(R.id.status), "transformer.pte" in app.text(R.id.status))
        app.draw()
    }

    @Test
    fun whatIsNoZipIsRefused() {
        app.start()
        app.importFile(tiny.resolve("manifest.json").readBytes())
        assertEquals("this is not a zip file", app.text(R.id.status))
    }

    @Test
    fun saveWritesThePictureWhereTheUserSays() {
        drawn()
        val written = ByteArrayOutputStream()
        shadowOf(app.context.contentResolver).registerOutputStream(picked, written)
        app.tap(R.id.save)
        val asked = shadowOf(app.activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_CREATE_DOCUMENT, asked.intent.action)
        assertEquals("class-0-7.png", asked.intent.getStringExtra(Intent.EXTRA_TITLE))
        shadowOf(app.activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(picked))
        assertArrayEquals(app.pixels(), decode(written.toByteArray()))
    }

    @Test
    fun shareLendsThePictureAndNothingElse() {
        drawn()
        app.tap(R.id.share)
        val chooser = shadowOf(app.activity).nextStartedActivity
        val send = checkNotNull(chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java))
        val uri = checkNotNull(send.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java))
        assertTrue(send.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION != 0)
        val resolver = app.context.contentResolver
        val bytes = checkNotNull(resolver.openInputStream(uri)).use { it.readBytes() }
        assertArrayEquals(app.pixels(), decode(bytes))
        checkNotNull(resolver.query(uri, null, null, null, null)).use {
            assertTrue(it.moveToFirst())
            assertEquals(bytes.size.toLong(), it.getLong(it.getColumnIndexOrThrow(OpenableColumns.SIZE)))
        }
        val outside = uri.buildUpon().path("..%2F..%2Ffiles%2Fbundles%2Fcurrent%2Fmanifest.json").build()
        assertThrows(FileNotFoundException::class.java) { resolver.openInputStream(outside) }
        assertThrows(SecurityException::class.java) { resolver.openFileDescriptor(uri, "w") }
    }

    private fun drawn() {
        tiny.copyRecursively(File(app.context.filesDir, "bundles/current"))
        app.start()
        app.draw()
    }

    private fun decode(png: ByteArray): IntArray {
        val bitmap = BitmapFactory.decodeByteArray(png, 0, png.size)
        return IntArray(bitmap.width * bitmap.height).also {
            bitmap.getPixels(it, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        }
    }
}
