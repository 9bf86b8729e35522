// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.EOFException
import java.io.InputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipException
import java.util.zip.ZipInputStream

/**
 * A zip file that the user picked. It comes from a stranger: whatever it says may be wrong.
 *
 * The system's reader goes from file to file and takes the first thing that is none for the end. So the directory
 * behind the files is held against what was read: a zip file that is cut short, or says one thing here and another
 * there, is refused.
 */
class ZipSource(private val open: () -> InputStream?) : BundleSource {
    override fun forEach(visit: (String, InputStream) -> Unit) {
        val file = open() ?: throw ImportException("the file cannot be opened")
        val tail = ZipTail(file)
        val read = ArrayList<ZipEntry>()
        ZipInputStream(tail.buffered()).use { zip ->
            while (true) {
                val entry = refusing { zip.nextEntry } ?: break
                if (read.size == MAX_ENTRIES) throw ImportException("more than $MAX_ENTRIES files and folders in it")
                if (entry.isDirectory) {
                    if (refusing { zip.read() } >= 0) throw damaged("a folder with content")
                } else {
                    visit(entry.name, Content(zip))
                }
                refusing { zip.closeEntry() } // which completes the entry's size and checksum
                read += entry
            }
            if (read.isEmpty()) throw ImportException("this is not a zip file")
            ZipDirectory.check(tail, read)
        }
    }

    /** The file at which [zip] stands. */
    private class Content(private val zip: InputStream) : InputStream() {
        override fun read(): Int = refusing { zip.read() }

        override fun read(buffer: ByteArray, offset: Int, length: Int): Int =
            refusing { zip.read(buffer, offset, length) }
    }

    internal companion object {
        /** Files and folders. */
        const val MAX_ENTRIES = 2 * BundleImporter.MAX_FILES

        fun damaged(what: String) = ImportException("the zip file cannot be read ($what): make it again")

        /** What the system's reader complains of is a reason to refuse; what the file's provider does is not. */
        private inline fun <T> refusing(read: () -> T): T = try {
            read()
        } catch (error: ZipException) {
            throw damaged(error.message ?: "damaged")
        } catch (_: EOFException) {
            throw damaged("cut short")
        } catch (_: IllegalArgumentException) {
            throw damaged("a name that is not UTF-8")
        }
    }
}
