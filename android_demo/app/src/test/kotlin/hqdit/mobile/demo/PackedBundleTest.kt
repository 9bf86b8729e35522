// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.ContextWrapper
import android.content.res.AssetManager
import hqdit.mobile.HqDit
import java.io.File
import java.util.zip.CRC32
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** A bundle packed into the app: the app's AssetManager reads it from an APK, laid out as the Android plugin does. */
@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class PackedBundleTest {
    @get:Rule
    val app = AppRule(bundle = null)

    private val tiny = File(System.getProperty("hqdit.tiny")).listFiles().orEmpty().associate {
        it.name to it.readBytes()
    }
    private val bundles get() = File(app.context.filesDir, "bundles")
    private val current get() = File(bundles, "current")

    @Test
    fun itIsCopiedOnceAndDraws() {
        pack(tiny)
        app.start()
        assertEquals(tiny.keys, current.list().orEmpty().toSet())
        for ((name, bytes) in tiny) assertArrayEquals(name, bytes, File(current, name).readBytes())
        app.draw()
        for (file in current.listFiles().orEmpty()) assertTrue(file.setLastModified(1000))
        app.restart()
        assertEquals(setOf(1000L), current.listFiles().orEmpty().map { it.lastModified() }.toSet())
        app.draw()
    }

    @Test
    fun aCopyThatWasCutShortBeginsAnew() {
        pack(tiny)
        File(bundles, "incoming").mkdirs()
        File(bundles, "incoming/half.pte").writeBytes(ByteArray(10))
        app.start()
        assertEquals(tiny.keys, current.list().orEmpty().toSet())
        assertEquals(setOf("current", "packed.json"), bundles.list().orEmpty().toSet())
    }

    @Test
    fun aDamagedFileIsNamedAndAnotherBundleHelps() {
        pack(tiny.edit("transformer.pte") { it.copyOf(64) })
        app.start()
        refused("transformer.pte")
        app.importZip(tiny)
        app.restart()
        app.draw()
    }

    @Test
    fun aChangedByteIsFound() {
        pack(tiny.edit("vae_decoder.pte") { it.clone().also { bytes -> bytes[bytes.size / 2]++ } })
        app.start()
        refused("vae_decoder.pte")
    }

    @Test
    fun aMissingFileIsNamed() {
        pack(tiny - "vae_decoder.pte")
        app.start()
        refused("vae_decoder.pte")
    }

    @Test
    fun withoutAManifestTheAppAsksForABundle() {
        pack(tiny - "manifest.json")
        app.start()
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.text(R.id.placeholder), "Import a bundle" in app.text(R.id.placeholder))
        assertEquals("", app.text(R.id.status))
    }

    @Test
    fun lowStorageIsSaidAndLeavesNothing() {
        pack(tiny)
        val reserve = 64L shl 20
        val full = BundleStore(app.context) { reserve + tiny.getValue("transformer.pte").size }
        val error = assertThrows(ImportException::class.java) { full.find() }
        assertEquals("not enough free storage for this bundle", error.message)
        assertEquals(emptyList<String>(), bundles.list().orEmpty().toList())
        val roomy = BundleStore(app.context) { reserve + tiny.values.sumOf { it.size } }
        assertEquals(current, roomy.find())
    }

    @Test
    fun anImportedBundleStaysUntilTheAppIsBuiltWithANewOne() {
        pack(tiny)
        app.start()
        app.importZip(tiny.named("mine"))
        app.restart()
        assertTrue(app.text(R.id.subtitle), app.text(R.id.subtitle).startsWith("mine · "))
        val packedAnew = AssetManager::class.java.getConstructor().newInstance()
        pack(tiny.named("newer"), packedAnew)
        val rebuilt = object : ContextWrapper(app.context) {
            override fun getAssets() = packedAnew
        }
        val found = checkNotNull(BundleStore(rebuilt).find())
        assertEquals("newer", HqDit.open(found).use { it.info.name })
    }

    private fun Map<String, ByteArray>.edit(file: String, change: (ByteArray) -> ByteArray) =
        this + (file to change(getValue(file)))

    private fun Map<String, ByteArray>.named(name: String) = edit("manifest.json") { bytes ->
        val text = bytes.decodeToString()
        text.replace("\"tiny\"", "\"$name\"").also { check(it != text) }.encodeToByteArray()
    }

    private fun refused(file: String) {
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.text(R.id.status), file in app.text(R.id.status))
        assertEquals("nothing is left", emptyList<String>(), bundles.list().orEmpty().toList())
    }

    /** Packs [files] as assets/bundle, the model files uncompressed as build.gradle.kts asks. */
    private fun pack(files: Map<String, ByteArray>, assets: AssetManager = app.context.assets) {
        val apk = File.createTempFile("packed", ".apk", app.context.cacheDir)
        ZipOutputStream(apk.outputStream()).use { zip ->
            for ((name, bytes) in files) {
                val entry = ZipEntry("assets/bundle/$name")
                if (name.endsWith(".pte")) {
                    entry.method = ZipEntry.STORED
                    entry.size = bytes.size.toLong()
                    entry.crc = CRC32().apply { update(bytes) }.value
                }
                zip.putNextEntry(entry)
                zip.write(bytes)
            }
        }
        // What the system does with an app's own APK.
        val add = AssetManager::class.java.getMethod("addAssetPath", String::class.java)
        assertTrue("$apk", add.invoke(assets, apk.path) as Int > 0)
    }
}
