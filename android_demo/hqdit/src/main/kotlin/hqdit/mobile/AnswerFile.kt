// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import android.os.ParcelFileDescriptor
import java.io.Closeable
import java.io.EOFException
import java.io.File
import java.io.RandomAccessFile

/**
 * What the engine's process has to say and a binder transaction has no room for: pixels, names of classes. A file in the
 * app's cache that loses its name at once, so the two descriptors are all that is left of it, and that stays in memory.
 *
 * Not android.os.SharedMemory: Android 8.0 has none, and this side reads and never maps, so a hostile process that cuts
 * the file off causes an exception here and not a SIGBUS.
 */
internal class AnswerFile(folder: File) : Closeable {
    private val file: RandomAccessFile

    /** For the other process; whoever writes it into a parcel closes it. */
    val forWriter: ParcelFileDescriptor

    init {
        val path = File.createTempFile("answer", null, folder)
        try {
            file = RandomAccessFile(path, "r")
            forWriter = ParcelFileDescriptor.open(path, ParcelFileDescriptor.MODE_READ_WRITE)
        } finally {
            path.delete()
        }
    }

    /** The first [size] bytes; throws EOFException if there are fewer, or more asked for than [limit]. */
    fun read(size: Int, limit: Int): ByteArray {
        if (size !in 0..limit || size > file.length()) throw EOFException("an answer of $size bytes")
        file.seek(0)
        return ByteArray(size).also(file::readFully)
    }

    override fun close() = file.close()
}
