// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Intent
import android.content.pm.ProviderInfo
import android.net.Uri
import android.provider.DocumentsContract
import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** A folder picked with ACTION_OPEN_DOCUMENT_TREE, served by a documents provider as a phone's are. */
@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class FolderImportTest {
    @get:Rule
    val app = AppRule(bundle = null)

    private val tiny = File(System.getProperty("hqdit.tiny"))
    private val bundle = tiny.listFiles().orEmpty().associate { it.name to it.readBytes() }
    private val current get() = File(app.context.filesDir, "bundles/current")

    @Test
    fun aPickedFolderIsImportedAndDraws() {
        app.start()
        importFolder { bundle.forEach { (name, bytes) -> add(ROOT, name, bytes) } }
        assertEquals("The bundle is ready", app.text(R.id.status))
        assertEquals(bundle.keys, current.list().orEmpty().toSet())
        for ((name, bytes) in bundle) assertArrayEquals(name, bytes, File(current, name).readBytes())
        app.draw()
    }

    @Test
    fun theFolderAroundABundleWillDo() {
        app.start()
        importFolder {
            val emoji = add(ROOT, "emoji", null)
            bundle.forEach { (name, bytes) -> add(emoji, name, bytes) }
        }
        assertEquals("The bundle is ready", app.text(R.id.status))
        assertEquals(bundle.keys, current.list().orEmpty().toSet())
    }

    @Test
    fun aNameThatClimbsOutIsRefused() {
        app.start()
        importFolder {
            bundle.forEach { (name, bytes) -> add(ROOT, name, bytes) }
            add(add(ROOT, "..", null), "evil.xml", ByteArray(1))
        }
        refused("unsafe path")
        assertTrue(app.context.dataDir.walk().none { it.name == "evil.xml" })
    }

    @Test
    fun aFolderThatHoldsItselfIsRefused() {
        app.start()
        importFolder { addLink(ROOT, "again", ROOT) }
        refused("too deep")
    }

    @Test
    fun aProviderThatFailsIsNoCrash() {
        app.start()
        for (error in listOf(SecurityException("permission withdrawn"), IllegalStateException("cloud is gone"))) {
            importFolder { failure = error }
            refused(checkNotNull(error.message))
        }
    }

    private fun refused(word: String) {
        assertEquals(Stage.NO_BUNDLE, app.studio.state.stage)
        assertTrue(app.text(R.id.status), word in app.text(R.id.status))
        assertEquals("nothing is left", false, current.exists() || File(current.parentFile, "incoming").exists())
    }

    private fun importFolder(fill: MemoryDocumentsProvider.() -> Unit) {
        // What DocumentsProvider demands of its manifest entry.
        val entry = ProviderInfo().apply {
            authority = AUTHORITY
            exported = true
            grantUriPermissions = true
            readPermission = android.Manifest.permission.MANAGE_DOCUMENTS
            writePermission = android.Manifest.permission.MANAGE_DOCUMENTS
        }
        Robolectric.buildContentProvider(MemoryDocumentsProvider::class.java).create(entry).get().fill()
        val picked: Uri = DocumentsContract.buildTreeDocumentUri(AUTHORITY, ROOT)
        app.import(1, Intent.ACTION_OPEN_DOCUMENT_TREE, picked)
    }

    private companion object {
        const val AUTHORITY = "elsewhere.documents"
        const val ROOT = MemoryDocumentsProvider.ROOT
    }
}
