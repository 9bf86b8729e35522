// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.FilterInputStream
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.charset.CharacterCodingException
import java.util.zip.ZipEntry

/** Passes a stream on and remembers its last [MAX_BYTES]: the directory of a zip file is there. */
internal class ZipTail(file: InputStream) : FilterInputStream(file) {
    private val kept = ByteArray(2 * MAX_BYTES)
    private var count = 0

    /** Of the whole stream so far. */
    var total = 0L
        private set

    override fun read(): Int {
        val one = ByteArray(1)
        return if (read(one, 0, 1) < 0) -1 else one[0].toInt() and 0xFF
    }

    override fun read(buffer: ByteArray, offset: Int, length: Int): Int {
        val read = super.read(buffer, offset, minOf(length, MAX_BYTES))
        if (read < 0) return read
        if (count + read > kept.size) {
            kept.copyInto(kept, 0, count - MAX_BYTES, count)
            count = MAX_BYTES
        }
        buffer.copyInto(kept, count, offset, offset + read)
        count += read
        total += read
        return read
    }

    override fun skip(bytes: Long): Long = throw UnsupportedOperationException("what is skipped is not remembered")

    override fun markSupported(): Boolean = false

    /** The last bytes, once the stream is read to its end, of which there may be [most] more. */
    fun rest(most: Int): ByteBuffer {
        val piece = ByteArray(1 shl 16)
        val end = total + most
        while (read(piece, 0, piece.size) >= 0) {
            if (total > end) throw ZipSource.damaged("too much behind its files")
        }
        return ByteBuffer.wrap(kept, 0, count).slice().order(ByteOrder.LITTLE_ENDIAN)
    }

    internal companion object {
        const val MAX_BYTES = 1 shl 20
    }
}

/** The directory at the end of a zip file (PKWARE's APPNOTE 6.3, sections 4.3.12 to 4.3.16). */
internal object ZipDirectory {
    private const val ENTRY = 0x02014B50
    private const val END = 0x06054B50
    private const val END64 = 0x06064B50
    private const val LOCATOR64 = 0x07064B50
    private const val END_BYTES = 22
    private const val ENTRY_BYTES = 46
    private const val END64_BYTES = 56
    private const val LOCATOR64_BYTES = 20
    private const val ELSEWHERE = 0xFFFFFFFFL // the number has 64 bits, and is in another place

    private data class Listed(val name: String, val checksum: Long, val packed: Long, val size: Long)

    /** Refuses the zip file that ends with [tail] unless its directory lists what was [read], and nothing else. */
    fun check(tail: ZipTail, read: List<ZipEntry>) {
        val bytes = tail.rest(ZipTail.MAX_BYTES)
        val before = tail.total - bytes.limit()
        val listed =
            try {
                entries(bytes, before)
            } catch (_: IndexOutOfBoundsException) {
                throw ZipSource.damaged("its directory is cut short")
            }
        val found = read.map { Listed(it.name, it.crc, minOf(it.compressedSize, ELSEWHERE), minOf(it.size, ELSEWHERE)) }
        if (found.groupingBy { it }.eachCount() != listed.groupingBy { it }.eachCount()) {
            throw ZipSource.damaged("its directory lists other files than it holds")
        }
    }

    /** Of the directory in [bytes], with so many more [before] them in the file. */
    private fun entries(bytes: ByteBuffer, before: Long): List<Listed> {
        val end = endRecord(bytes)
        val count = bytes.short(end + 10)
        val stop = directoryEnd(bytes, before, end)
        val start = stop - bytes.int(end + 12)
        val told = bytes.int(end + 16)
        if (start < 0 || (told != ELSEWHERE && told != before + start)) throw ZipSource.damaged("no directory")
        var at = start.toInt()
        val listed = List(count) { entryAt(bytes, at).also { (_, length) -> at += length }.first }
        if (at.toLong() != stop) throw ZipSource.damaged("its directory has another size")
        return listed
    }

    /** Where the end record is: before a comment of up to 65,535 bytes. */
    private fun endRecord(bytes: ByteBuffer): Int {
        for (at in bytes.limit() - END_BYTES downTo maxOf(0, bytes.limit() - END_BYTES - 0xFFFF)) {
            if (bytes.getInt(at) == END && bytes.short(at + 20) == bytes.limit() - at - END_BYTES) return at
        }
        throw ZipSource.damaged("it has no end")
    }

    /** Where the directory ends: at the [end] record, or at those that files of more than 4 GB have before it. */
    private fun directoryEnd(bytes: ByteBuffer, before: Long, end: Int): Long {
        val locator = end - LOCATOR64_BYTES
        if (locator < 0 || bytes.getInt(locator) != LOCATOR64) return end.toLong()
        val record = bytes.getLong(locator + 8) - before
        if (record !in 0..locator - END64_BYTES.toLong() || bytes.getInt(record.toInt()) != END64) {
            throw ZipSource.damaged("no directory")
        }
        return record
    }

    private fun entryAt(bytes: ByteBuffer, at: Int): Pair<Listed, Int> {
        if (bytes.getInt(at) != ENTRY) throw ZipSource.damaged("no entry where its directory should have one")
        val name = ByteArray(bytes.short(at + 28)) { bytes.get(at + ENTRY_BYTES + it) }
        val extras = bytes.short(at + 30) + bytes.short(at + 32)
        val text =
            try {
                name.decodeToString(throwOnInvalidSequence = true)
            } catch (_: CharacterCodingException) {
                throw ZipSource.damaged("a name that is not UTF-8")
            }
        val entry = Listed(text, checksum = bytes.int(at + 16), packed = bytes.int(at + 20), size = bytes.int(at + 24))
        return entry to ENTRY_BYTES + name.size + extras
    }

    private fun ByteBuffer.short(at: Int) = getShort(at).toInt() and 0xFFFF

    private fun ByteBuffer.int(at: Int) = getInt(at).toLong() and 0xFFFFFFFFL
}
