// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.File
import java.io.IOException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BundleImporterTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val root get() = File(folder.root, "bundles")
    private val roomy = 1L shl 40

    private fun source(vararg files: Pair<String, String>) = BundleSource { visit ->
        for ((path, text) in files) visit(path, text.byteInputStream())
    }

    private fun importer(freeBytes: Long = roomy, check: (File) -> Unit = {}) =
        BundleImporter(root, { freeBytes }, check)

    private fun files(): List<String> =
        root.walk().filter { it.isFile }.map { it.relativeTo(root).path }.sorted().toList()

    @Test
    fun filesArriveUnchanged() {
        importer().import(source("manifest.json" to "{}", "weights/a.bin" to "abc"))
        assertEquals(listOf("current/manifest.json", "current/weights/a.bin"), files())
        assertEquals("abc", File(root, "current/weights/a.bin").readText())
    }

    @Test
    fun oneFolderAroundTheBundleIsFine() {
        importer().import(source("emoji/manifest.json" to "{}", "emoji/a.pte" to "abc"))
        assertEquals(listOf("current/a.pte", "current/manifest.json"), files())
    }

    @Test
    fun whatMacOsPutsBesideTheFilesIsLeftOut() {
        val added = arrayOf("emoji/.DS_Store" to "x", "__MACOSX/emoji/._manifest.json" to "x")
        importer().import(source("emoji/manifest.json" to "{}", *added))
        assertEquals(listOf("current/manifest.json"), files())
    }

    @Test
    fun pathsThatLeaveTheFolderAreRefused() {
        val long = "\u00E9".repeat(101) // 202 bytes
        val climbing = listOf("../a", "a/../../b", "a\\..\\b", "..", "a/./b")
        val bad = climbing + listOf("/etc/a", "a//b", "", "a\u0000b", "1/2/3/4/5", long)
        for (path in bad) {
            val error = assertThrows(path, ImportException::class.java) {
                importer().import(source("manifest.json" to "{}", path to "evil"))
            }
            assertTrue(error.message!!, "unsafe path" in error.message!!)
            assertEquals("nothing is left of $path", emptyList<String>(), files())
        }
        assertEquals(listOf("bundles"), folder.root.list()!!.toList())
    }

    @Test
    fun aRefusedBundleLeavesTheOldOne() {
        importer().import(source("manifest.json" to "old"))
        val refusing = importer(check = { throw IOException("damaged") })
        assertThrows(IOException::class.java) { refusing.import(source("manifest.json" to "new", "b" to "b")) }
        assertEquals(listOf("current/manifest.json"), files())
        assertEquals("old", File(root, "current/manifest.json").readText())
    }

    @Test
    fun aNewBundleReplacesTheOldOneWhole() {
        importer().import(source("manifest.json" to "old", "old.pte" to "x"))
        importer { assertEquals("new", File(it, "manifest.json").readText()) }.import(source("manifest.json" to "new"))
        assertEquals(listOf("current/manifest.json"), files())
        assertEquals("new", File(root, "current/manifest.json").readText())
    }

    /** A process can die between the two renames of a replacement. */
    @Test
    fun theOldBundleComesBackAfterADeath() {
        importer().import(source("manifest.json" to "old"))
        File(root, "current").renameTo(File(root, "replaced"))
        importer().recover()
        assertEquals(listOf("current/manifest.json"), files())
        importer().import(source("manifest.json" to "new"))
        importer().recover()
        assertEquals("new", File(root, "current/manifest.json").readText())
    }

    @Test
    fun whatIsNoBundleIsRefused() {
        expect("manifest.json", source("a.txt" to "a"))
        expect("manifest.json", source())
        expect("twice", source("manifest.json" to "a", "manifest.json" to "b"))
        expect("cannot be written", source("manifest.json" to "a", "b" to "b", "b/c" to "c"))
        expect("256 files", BundleSource { visit -> repeat(257) { visit("f$it", "".byteInputStream()) } })
    }

    /** A zip of zeros grows without end; the copy must stop when the storage is used up. */
    @Test
    fun aCopyStopsBeforeTheStorageIsFull() {
        val endless = BundleSource { visit ->
            val zeros = object : java.io.InputStream() {
                override fun read() = 0
            }
            visit("manifest.json", zeros)
        }
        val error = assertThrows(ImportException::class.java) { importer(freeBytes = 65L shl 20).import(endless) }
        assertTrue("storage" in error.message!!)
        assertFalse(File(root, "incoming").exists())
    }

    private fun expect(word: String, source: BundleSource) {
        val error = assertThrows(ImportException::class.java) { importer().import(source) }
        assertTrue("\"${error.message}\" must name $word", word in error.message!!)
        assertEquals(emptyList<String>(), files())
    }
}
