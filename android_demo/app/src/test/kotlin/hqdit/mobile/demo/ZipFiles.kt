// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32
import java.util.zip.Deflater

/** A file of a zip file, and how it is written there. */
internal data class Part(
    val name: ByteArray,
    val content: ByteArray,
    val deflated: Boolean = true,
    /** Sizes and checksum behind the content, as programs write that write into a pipe. */
    val descriptor: Boolean = false,
    /** Sizes of 64 bits, in an extra field before the content. */
    val zip64: Boolean = false,
    val extra: ByteArray = ByteArray(0),
    /** What the directory calls it. */
    val listed: ByteArray = name
) {
    constructor(name: String, content: ByteArray) : this(name.encodeToByteArray(), content)

    val packed: ByteArray by lazy { if (deflated) deflate(content) else content }
    val checksum: Long = CRC32().apply { update(content) }.value

    private fun deflate(content: ByteArray): ByteArray {
        val deflater = Deflater(Deflater.BEST_SPEED, true)
        deflater.setInput(content)
        deflater.finish()
        val output = ByteArrayOutputStream()
        val piece = ByteArray(1 shl 16)
        while (!deflater.finished()) output.write(piece, 0, deflater.deflate(piece))
        deflater.end()
        return output.toByteArray()
    }
}

/** A zip file, and where its records begin. */
internal class ZipFile(val bytes: ByteArray, val locals: List<Int>, val entries: List<Int>, val end: Int) {
    fun with(at: Int, width: Int, value: Long): ByteArray =
        bytes.copyOf().also { for (i in 0 until width) it[at + i] = (value shr 8 * i).toByte() }

    fun number(at: Int, width: Int): Long =
        (0 until width).fold(0L) { sum, i -> sum or (bytes[at + i].toLong() and 0xFF shl 8 * i) }
}

/** Writes zip files record by record (PKWARE's APPNOTE 6.3, section 4.3). */
internal class ZipFileWriter {
    private val output = ByteArrayOutputStream()

    /** [listed] has the parts that the directory lists, by their number, in its order. */
    fun write(
        parts: List<Part>,
        listed: List<Int> = parts.indices.toList(),
        comment: ByteArray = ByteArray(0),
        between: ByteArray = ByteArray(0),
        zip64: Boolean = false
    ): ZipFile {
        val locals = parts.map { part -> output.size().also { local(part) } }
        output.write(between)
        val start = output.size()
        val entries = listed.map { number -> output.size().also { entry(parts[number], locals[number]) } }
        val size = output.size() - start
        if (zip64) end64(entries.size, size, start)
        val end = output.size()
        val told = if (zip64) -1 else start
        record(END, 22) {
            putShort(0).putShort(0).putShort(entries.size).putShort(entries.size)
            putInt(size).putInt(told)
        }
        output.write(byteArrayOf(comment.size.toByte(), (comment.size shr 8).toByte()))
        output.write(comment)
        return ZipFile(output.toByteArray(), locals, entries, end)
    }

    private fun local(part: Part) {
        val sizes64 = numbers(20) { putShort(1).putShort(16).long(part.content).long(part.packed) }
        val extra = if (part.zip64) part.extra + sizes64 else part.extra
        record(LOCAL, 30) {
            putShort(if (part.zip64) 45 else 20).putShort(flags(part)).putShort(method(part)).putInt(DATE)
            if (part.descriptor) putInt(0).putInt(0).putInt(0) else checks(part, part.zip64)
            putShort(part.name.size).putShort(extra.size)
        }
        output.write(part.name + extra + part.packed)
        if (part.descriptor) record(DESCRIPTOR, 16) { checks(part, false) }
    }

    private fun entry(part: Part, offset: Int) {
        record(ENTRY, 46) {
            putShort(20).putShort(20).putShort(flags(part)).putShort(method(part)).putInt(DATE)
            checks(part, false)
            putShort(part.listed.size).putShort(0).putShort(0).putShort(0).putShort(0).putInt(0).putInt(offset)
        }
        output.write(part.listed)
    }

    private fun end64(count: Int, size: Int, start: Int) {
        val at = output.size().toLong()
        record(END64, 56) {
            putLong(44).putShort(45).putShort(45).putInt(0).putInt(0)
            putLong(count.toLong()).putLong(count.toLong()).putLong(size.toLong()).putLong(start.toLong())
        }
        record(LOCATOR64, 20) { putInt(0).putLong(at).putInt(1) }
    }

    private fun flags(part: Part) = UTF8 or if (part.descriptor) 8 else 0

    private fun method(part: Part) = if (part.deflated) 8 else 0

    private fun ByteBuffer.checks(part: Part, elsewhere: Boolean) {
        putInt(part.checksum.toInt())
        putInt(if (elsewhere) -1 else part.packed.size).putInt(if (elsewhere) -1 else part.content.size)
    }

    private fun ByteBuffer.long(bytes: ByteArray) = putLong(bytes.size.toLong())

    private fun ByteBuffer.putShort(value: Int) = putShort(value.toShort())

    private fun record(signature: Int, size: Int, fill: ByteBuffer.() -> Unit) =
        output.write(numbers(size) { putInt(signature).fill() })

    /** Those that [fill] puts into up to [most] bytes. */
    private fun numbers(most: Int, fill: ByteBuffer.() -> Unit): ByteArray {
        val buffer = ByteBuffer.allocate(most).order(ByteOrder.LITTLE_ENDIAN)
        buffer.fill()
        return buffer.array().copyOf(buffer.position())
    }

    private companion object {
        const val LOCAL = 0x04034B50
        const val DESCRIPTOR = 0x08074B50
        const val ENTRY = 0x02014B50
        const val END64 = 0x06064B50
        const val LOCATOR64 = 0x07064B50
        const val END = 0x06054B50
        const val UTF8 = 1 shl 11
        const val DATE = 0x5B7D_6000 // some day of 2025
    }
}
