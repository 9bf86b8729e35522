// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import com.sun.management.ThreadMXBean
import java.io.ByteArrayInputStream
import java.io.File
import java.io.FilterInputStream
import java.io.InputStream
import java.lang.management.ManagementFactory
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/**
 * Changed zip files, imported as the app does it: each is read to exactly its files or refused with [ImportException],
 * writes nothing outside the importer's folder, and takes little time, memory and storage. docs/security.md has the
 * command of a long run.
 */
class ZipMutationTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val seed = System.getProperty("hqdit.mutants.seed", "1").toLong()
    private val first = System.getProperty("hqdit.mutants.first", "0").toLong()
    private val count = System.getProperty("hqdit.mutants", "4000").toLong()
    private val root get() = File(folder.root, "app/files/bundles")
    private val thread = ManagementFactory.getThreadMXBean() as ThreadMXBean
    private val outcomes = sortedMapOf<String, Int>()

    @Test
    fun mutantsAreReadToTheirFilesOrRefused() {
        val mutants = ZipMutants(seed)
        import(mutants.make(0).bytes) // so that loading classes is nobody's time
        for (number in first until first + count) {
            val mutant = mutants.make(number)
            try {
                judge(mutant)
            } catch (error: Throwable) {
                throw AssertionError("mutant $seed-$number (${mutant.kind})", error)
            }
        }
        println("zip files of seed $seed: $outcomes")
        assertTrue("$outcomes", ended("read") > count / 10 && ended("refused") > count / 2)
    }

    private fun ended(outcome: String) = outcomes.filterKeys { it.endsWith(outcome) }.values.sum()

    private fun judge(mutant: Mutant) {
        val (time, memory) = thread.currentThreadCpuTime to thread.currentThreadAllocatedBytes
        val refusal = import(mutant.bytes)
        assertTrue("slow", thread.currentThreadCpuTime - time < SLOW_NANOSECONDS)
        assertTrue("memory", thread.currentThreadAllocatedBytes - memory < MOST_MEMORY)
        assertEquals("nothing outside", listOf("app", "app/files", "app/files/bundles"), outside())
        val outcome = if (refusal == null) "read" else "refused"
        outcomes.merge("${mutant.kind}: $outcome", 1, Int::plus)
        if (refusal != null) {
            assertTrue("refused though nothing is wrong: $refusal", mutant.fate != Fate.READ)
            assertEquals("nothing is left", emptyList<File>(), root.listFiles().orEmpty().toList())
        } else {
            assertTrue("read though it is wrong", mutant.fate != Fate.REFUSED)
            compare(mutant.files)
        }
    }

    /** The refusal, or null if the zip file was imported. Any other exception ends the test. */
    private fun import(bytes: ByteArray): ImportException? {
        root.deleteRecursively()
        val source = Counting(ZipSource { ByteArrayInputStream(bytes) })
        return try {
            BundleImporter(root, { STORAGE }) {}.import(source)
            null
        } catch (refusal: ImportException) {
            refusal
        } finally {
            assertTrue("more than the storage", source.bytes <= MOST_WRITTEN + (1 shl 16))
        }
    }

    private fun compare(files: Map<String, ByteArray>) {
        assertEquals(listOf("current"), root.list().orEmpty().toList())
        val current = File(root, "current")
        val found = current.walk().filter { it.isFile }.associateBy { it.relativeTo(current).path }
        assertEquals(files.keys, found.keys)
        for ((name, file) in found) assertArrayEquals(name, files[name], file.readBytes())
    }

    /** Whatever is in the folder around that of the bundles. */
    private fun outside(): List<String> = folder.root
        .walk()
        .onEnter { it != root }
        .map { it.relativeTo(folder.root).path }
        .filter { it.isNotEmpty() }
        .toList()
        .let { it + "app/files/bundles" }
        .distinct()
        .sorted()

    /** Counts what the importer reads, and so writes. */
    private class Counting(private val source: BundleSource) : BundleSource {
        var bytes = 0L

        override fun forEach(visit: (String, InputStream) -> Unit) = source.forEach { path, content ->
            visit(
                path,
                object : FilterInputStream(content) {
                    override fun read(buffer: ByteArray, offset: Int, length: Int) =
                        super.read(buffer, offset, length).also { bytes += maxOf(it, 0) }
                }
            )
        }
    }

    private companion object {
        const val MOST_WRITTEN = 1L shl 20
        const val STORAGE = (64L shl 20) + MOST_WRITTEN // the importer leaves 64 MB
        const val MOST_MEMORY = 16L shl 20
        const val SLOW_NANOSECONDS = 2_000_000_000L
    }
}
