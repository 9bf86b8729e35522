// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.ByteArrayOutputStream
import kotlin.random.Random

/**
 * A changed zip file and the only files that it may be read as. [Fate.READ]: it has to be, what was changed means
 * nothing. [Fate.REFUSED]: it must not be read at all.
 */
internal class Mutant(val bytes: ByteArray, val files: Map<String, ByteArray>, val fate: Fate, val kind: String)

internal enum class Fate { READ, REFUSED, EITHER }

/** Number n of a seed is always the same mutant. */
internal class ZipMutants(private val seed: Long) {
    private val content = Random(1).run { List(3) { nextBytes(40 + 300 * it) + ByteArray(600) } }
    private val plain = listOf("manifest.json", "weights/a.bin", "\u00E9t\u00E9.pte").zip(content, ::Part)
    private val bomb by lazy { Part("bomb.bin", ByteArray(64 shl 20)).also { it.packed } }

    fun make(number: Long): Mutant {
        val random = Random(seed * 0x1_0000_0001 + number)
        val parts = plain.map { vary(it, random) }
        if (random.nextInt(400) == 0) return bombs(random)
        return when (random.nextInt(5)) {
            0 -> bytes(parts, random)
            1 -> pieces(parts, random)
            2 -> numbers(parts, random)
            3 -> names(parts, random)
            else -> records(parts, random)
        }
    }

    /** The ways to write a file that all mean the same. */
    private fun vary(part: Part, random: Random): Part = when (random.nextInt(5)) {
        0 -> part.copy(deflated = false)
        1 -> part.copy(descriptor = true)
        2 -> part.copy(zip64 = true)
        3 -> part.copy(extra = byteArrayOf(0x55, 0x54, 5, 0, 1, 0, 0, 0, 0))
        else -> part
    }

    private fun filesOf(parts: List<Part>) = parts.associate { it.listed.decodeToString() to it.content }

    /** Any bits. If it is read, then under the names that the directory now has: each is there twice. */
    private fun bytes(parts: List<Part>, random: Random): Mutant {
        val zip = ZipFileWriter().write(parts)
        val bytes = zip.bytes.copyOf()
        repeat(listOf(1, 1, 4, 16).random(random)) {
            // The contents are most of all bytes, so aim at the records, too.
            val record = (zip.locals + zip.entries + zip.end).random(random) + random.nextInt(60)
            val at = if (random.nextBoolean()) random.nextInt(bytes.size) else record.coerceAtMost(bytes.size - 1)
            val flipped = bytes[at].toInt() xor (1 shl random.nextInt(8))
            bytes[at] = (if (random.nextBoolean()) random.nextInt() else flipped).toByte()
        }
        val names = zip.entries.zip(parts) { at, part -> bytes.copyOfRange(at + 46, at + 46 + part.name.size) }
        val files = names.zip(parts) { name, part -> name.decodeToString() to part.content }.toMap()
        return Mutant(bytes, files, if (bytes.contentEquals(zip.bytes)) Fate.READ else Fate.EITHER, "bytes")
    }

    /** A piece is cut out, repeated, zeroed or moved; or the file ends early, or goes on. */
    private fun pieces(parts: List<Part>, random: Random): Mutant {
        val zip = ZipFileWriter().write(parts)
        val all = zip.bytes
        val places = zip.locals + zip.entries + zip.end + List(6) { random.nextInt(all.size) }
        val (from, until) = listOf(places.random(random), places.random(random)).sorted()
        val piece = all.copyOfRange(from, until)
        fun mutant(bytes: ByteArray, otherwise: Fate, kind: String): Mutant =
            Mutant(bytes, filesOf(parts), if (bytes.contentEquals(all)) Fate.READ else otherwise, kind)
        return when (random.nextInt(6)) {
            0 -> mutant(all.copyOf(random.nextInt(all.size)), Fate.REFUSED, "cut short")
            1 -> mutant(all + random.nextBytes(1 + random.nextInt(100)), Fate.REFUSED, "goes on")
            2 -> mutant(all.copyOf(from) + all.drop(until), Fate.REFUSED, "piece cut out")
            3 -> mutant(all.copyOf(until) + piece + all.drop(until), Fate.EITHER, "piece repeated")
            4 -> mutant(all.copyOf(from) + ByteArray(until - from) + all.drop(until), Fate.EITHER, "piece zeroed")
            else -> mutant(piece + all.copyOf(from) + all.drop(until), Fate.EITHER, "piece moved")
        }
    }

    private operator fun ByteArray.plus(bytes: List<Byte>) = this + bytes.toByteArray()

    /** One number of a record is another. */
    private fun numbers(parts: List<Part>, random: Random): Mutant {
        val zip = ZipFileWriter().write(parts)
        val chosen = random.nextInt(parts.size)
        val (record, field) =
            when (random.nextInt(3)) {
                0 -> zip.locals[chosen] to LOCAL.random(random)
                1 -> zip.entries[chosen] to DIRECTORY.random(random)
                else -> zip.end to END.random(random)
            }
        val old = zip.number(record + field.at, field.width)
        val all = (1L shl 8 * field.width) - 1
        val others = listOf(0, 1, old + 1, old - 1, old * 2, all, all / 2, all / 2 + 1, random.nextLong())
        val value = others.random(random) and all
        // What comes in a descriptor, or in 64 bits, is not read before the content.
        val moved = field in CHECKS && record in zip.locals && (parts[chosen].descriptor || parts[chosen].zip64)
        val elsewhere = field == START && value == all
        val fate =
            when {
                value == old -> Fate.READ
                moved || elsewhere -> Fate.EITHER
                else -> field.fate
            }
        return Mutant(zip.with(record + field.at, field.width, value), filesOf(parts), fate, "number $field")
    }

    /** A file has another name, in both of its records or in one. */
    private fun names(parts: List<Part>, random: Random): Mutant {
        val chosen = random.nextInt(parts.size)
        val others = parts.filterIndexed { index, _ -> index != chosen }
        val (name, fate) =
            when (random.nextInt(4)) {
                0 -> BAD_NAMES.random(random).encodeToByteArray() to Fate.REFUSED

                1 -> byteArrayOf(-64, -81) to Fate.REFUSED

                // "/" in more bytes than it takes
                2 -> random.nextBytes(1 + random.nextInt(12)) to Fate.EITHER

                else -> List(1 + random.nextInt(6)) { random.nextSyllable() }.reduce(ByteArray::plus) to Fate.EITHER
            }
        val one = parts[chosen]
        val (renamed, where) =
            when (random.nextInt(3)) {
                0 -> one.copy(name = name, listed = one.name) to "before its content"
                1 -> one.copy(listed = name) to "in the directory"
                else -> one.copy(name = name, listed = name) to "twice"
            }
        val same = renamed.name.contentEquals(renamed.listed)
        val changed = parts.toMutableList().apply { set(chosen, renamed) }
        val twice = others.any { it.name.contentEquals(name) || it.name.contentEquals(name + '/'.code.toByte()) }
        val folder = name.lastOrNull() == '/'.code.toByte() // its content makes it no folder
        val told = if (same && !twice && !folder) fate else Fate.REFUSED
        return Mutant(ZipFileWriter().write(changed).bytes, filesOf(changed), told, "name $where")
    }

    private fun Random.nextSyllable(): ByteArray = SYLLABLES.random(this).encodeToByteArray()

    /** Whole records come in another order, are missing, come twice, or have something between them. */
    private fun records(parts: List<Part>, random: Random): Mutant {
        val order = parts.indices.shuffled(random)
        val folder = Part("weights/", ByteArray(0)).copy(deflated = random.nextBoolean())
        val (zip, fate) =
            when (random.nextInt(12)) {
                0 -> ZipFileWriter().write(parts, order) to Fate.READ

                1 -> ZipFileWriter().write(parts, order.drop(1)) to Fate.REFUSED

                2 -> ZipFileWriter().write(parts, order + order[0]) to Fate.REFUSED

                3 -> ZipFileWriter().write(parts, order.map { order[0] }) to Fate.REFUSED

                4 -> ZipFileWriter().write(parts + parts[order[0]]) to Fate.REFUSED

                5 -> ZipFileWriter().write(parts.shuffled(random) + folder) to Fate.READ

                6 -> ZipFileWriter().write(parts, comment = COMMENT.encodeToByteArray()) to Fate.READ

                7 -> ZipFileWriter().write(parts, between = ByteArray(random.nextInt(9000))) to Fate.READ

                8 -> ZipFileWriter().write(parts, zip64 = true) to Fate.READ

                9 -> ZipFileWriter().write(listOf(folder.copy(content = ByteArray(9))) + parts) to Fate.REFUSED

                // Which of the two directories is it?
                10 -> ZipFileWriter().write(parts, comment = ZipFileWriter().write(parts).bytes) to Fate.REFUSED

                else -> {
                    // A file in place of the folder that another one lies in.
                    val both = (parts + Part("weights", ByteArray(3))).shuffled(random)
                    ZipFileWriter().write(both) to Fate.REFUSED
                }
            }
        return Mutant(zip.bytes, filesOf(parts), fate, "records")
    }

    /** A few bytes that become many, files or folders. */
    private fun bombs(random: Random): Mutant {
        val folders = List(20_000) { Part("f$it/", ByteArray(0)) }
        val zip =
            when (random.nextInt(4)) {
                0 -> ZipFileWriter().write(plain + bomb)
                1 -> ZipFileWriter().write(listOf(bomb.copy(descriptor = true)) + plain)
                2 -> ZipFileWriter().write(plain + bomb.copy(name = "bomb/".encodeToByteArray()))
                else -> ZipFileWriter().write(plain + folders)
            }
        return Mutant(zip.bytes, emptyMap(), Fate.REFUSED, "bomb")
    }

    private data class Field(val at: Int, val width: Int, val fate: Fate)

    private companion object {
        /** Of a local file header: flags, method, checksum, both sizes, both lengths; version and time mean nothing. */
        val CHECKS = listOf(14, 18, 22).map { Field(it, 4, Fate.REFUSED) }
        val LENGTHS = listOf(26, 28).map { Field(it, 2, Fate.REFUSED) }
        val LOCAL =
            CHECKS + LENGTHS + listOf(6, 8).map { Field(it, 2, Fate.EITHER) } +
                Field(4, 2, Fate.READ) + Field(10, 4, Fate.READ)

        /** Of an entry of the directory: the same, and a comment's length; where its file is, is where it was read. */
        val DIRECTORY =
            listOf(16, 20, 24).map { Field(it, 4, Fate.REFUSED) } +
                listOf(28, 30, 32).map { Field(it, 2, Fate.REFUSED) } +
                listOf(4, 6, 8, 10, 34, 36).map { Field(it, 2, Fate.EITHER) } +
                listOf(12, 38, 42).map { Field(it, 4, Fate.EITHER) }

        /** Of the end: number of entries, size and place of the directory, a comment's length; disks mean nothing. */
        val START = Field(16, 4, Fate.REFUSED)
        val END =
            listOf(START, Field(10, 2, Fate.REFUSED), Field(12, 4, Fate.REFUSED), Field(20, 2, Fate.REFUSED)) +
                listOf(4, 6, 8).map { Field(it, 2, Fate.READ) }

        /** None of which may become a file. */
        val BAD_NAMES =
            listOf("..", ".", "", "/", "//", "../a", "a/../../b", "../../../../../../tmp/a", "/etc/a", "/tmp/a") +
                listOf("./a", "a/.", "a/../a", "a//b", "a\\b", "..\\a", "C:\\a", "1/2/3/4/5", "manifest.json/b") +
                listOf("a\u0000b", "a\u0000", "a\nb", "\u001B[31m", "a\u007F", "a\u0085b") +
                listOf("x".repeat(201), "\u00E9".repeat(101), "a/" + "x".repeat(4000))

        val SYLLABLES =
            listOf("..", ".", "/", "/", "a", "b", "weights", "a.bin") +
                listOf("\\", "\u0001", " ", "\u00E9", "\u202E", "\uD83D\uDE42")

        const val COMMENT = "PK\u0005\u0006 as a comment"
    }
}
