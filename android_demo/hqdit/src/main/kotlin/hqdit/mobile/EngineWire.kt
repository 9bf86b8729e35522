// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import android.os.Parcel
import java.io.ByteArrayOutputStream
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.InputStream

/** How requests and answers look between an app and its engine's process. Both are of one version of one app. */
internal object EngineWire {
    const val OPEN = 1
    const val GENERATE = 2
    const val CLOSE = 3
    const val PROGRESS = 4

    /** Bytes that all names of classes may take. */
    const val MAX_INFO_BYTES = 64 shl 20

    private const val MAX_CLASSES = 100_000
    private const val MAX_SIDE = 1 shl 14

    fun write(to: Parcel, options: OpenOptions) {
        to.writeLong(options.memoryLimitBytes)
        to.writeInt(if (options.verifySha256) 1 else 0)
        to.writeInt(options.threads)
        to.writeInt(options.loadMode.ordinal)
        to.writeInt(options.publicKeys.size)
        options.publicKeys.forEach(to::writeString)
    }

    fun readOptions(from: Parcel) = OpenOptions(
        memoryLimitBytes = from.readLong(),
        verifySha256 = from.readInt() != 0,
        threads = from.readInt(),
        loadMode = LoadMode.entries[from.readInt()],
        publicKeys = List(from.readInt()) { from.readString().orEmpty() }
    )

    /** [request] without nulls. */
    fun write(to: Parcel, request: GenerationRequest) {
        val interval = checkNotNull(request.guidanceInterval)
        to.writeInt(request.label)
        to.writeLongArray(request.seeds.toLongArray())
        to.writeInt(checkNotNull(request.scheduler).ordinal)
        to.writeInt(checkNotNull(request.steps))
        to.writeFloat(checkNotNull(request.guidanceScale))
        to.writeFloat(interval.start)
        to.writeFloat(interval.endInclusive)
        to.writeFloat(request.eta)
        to.writeInt(request.previewInterval)
    }

    fun readRequest(from: Parcel) = GenerationRequest(
        label = from.readInt(),
        seeds = from.createLongArray()!!.asList(),
        scheduler = Scheduler.entries[from.readInt()],
        steps = from.readInt(),
        guidanceScale = from.readFloat(),
        guidanceInterval = from.readFloat()..from.readFloat(),
        eta = from.readFloat(),
        previewInterval = from.readInt()
    )

    /** The preview's pixels go another way. */
    fun write(to: Parcel, progress: Progress) {
        to.writeInt(progress.phase.ordinal)
        to.writeInt(progress.imageIndex)
        to.writeInt(progress.imageCount)
        to.writeInt(progress.step)
        to.writeInt(progress.stepCount)
        to.writeInt(progress.timestep)
        to.writeInt(if (progress.guided) 1 else 0)
        to.writeDouble(progress.stepMillis)
        to.writeDouble(progress.elapsedMillis)
        to.writeLong(progress.peakMemoryBytes)
        to.writeInt(progress.preview?.width ?: 0)
        to.writeInt(progress.preview?.height ?: 0)
    }

    /** [pixels] gives so many bytes of the preview. */
    fun relay(from: Parcel, to: ProgressRelay, pixels: (Int) -> ByteArray): Boolean {
        val numbers = IntArray(7) { from.readInt() }
        val (stepMillis, elapsedMillis) = DoubleArray(2) { from.readDouble() }
        val peak = from.readLong()
        val (width, height) = IntArray(2) { from.readInt() }
        require(width in 0..MAX_SIDE && height in 0..MAX_SIDE) { "a preview of $width x $height" }
        val preview = if (width > 0) pixels(Math.multiplyExact(3 * width, height)) else null
        val (phase, index, count, step, steps) = numbers
        return to.onProgress(
            phase, index, count, step, steps, numbers[5], numbers[6] != 0,
            stepMillis, elapsedMillis, peak, preview, width, height
        )
    }

    fun bytes(info: ModelInfo, memory: MemoryEstimate): ByteArray {
        val bytes = ByteArrayOutputStream()
        DataOutputStream(bytes).run {
            for (text in listOf(info.name, info.target)) write(text)
            writeInt(info.labels.size)
            info.labels.forEach { write(it) }
            for (number in listOf(info.imageWidth, info.imageHeight, info.nullLabel ?: -1, info.numTrainTimesteps)) {
                writeInt(number)
            }
            writeBoolean(info.hasPreview)
            writeInt(info.schedulers.size)
            info.schedulers.forEach { writeInt(it.ordinal) }
            writeInt(info.defaultScheduler.ordinal)
            writeInt(info.defaultSteps)
            writeFloat(info.defaultGuidanceScale)
            writeFloat(info.defaultGuidanceInterval.start)
            writeFloat(info.defaultGuidanceInterval.endInclusive)
            writeBoolean(info.decodesTiled)
            for (size in memory.run { listOf(weightsBytes, arenaBytes, peakBytes, fileBytes, tiledPeakBytes) }) {
                writeLong(size)
            }
        }
        return bytes.toByteArray()
    }

    /** What [bytes] gave. The other process may be at the mercy of its bundle: nothing is taken for granted. */
    fun readInfo(from: InputStream): Pair<ModelInfo, MemoryEstimate> = DataInputStream(from).run {
        val (name, target) = List(2) { readText() }
        val labels = List(readInt().also { require(it in 1..MAX_CLASSES) { "$it classes" } }) { readText() }
        val info = ModelInfo(
            name = name,
            target = target,
            labels = labels,
            imageWidth = readSide(),
            imageHeight = readSide(),
            nullLabel = readInt().takeIf { it >= 0 },
            numTrainTimesteps = readInt(),
            hasPreview = readBoolean(),
            schedulers = List(readInt().coerceIn(0, Scheduler.entries.size)) { Scheduler.entries[readInt()] },
            defaultScheduler = Scheduler.entries[readInt()],
            defaultSteps = readInt(),
            defaultGuidanceScale = readFloat(),
            defaultGuidanceInterval = readFloat()..readFloat(),
            decodesTiled = readBoolean()
        )
        info to MemoryEstimate(readLong(), readLong(), readLong(), readLong(), readLong())
    }

    private fun DataOutputStream.write(text: String) {
        val bytes = text.encodeToByteArray()
        writeInt(bytes.size)
        write(bytes)
    }

    private fun DataInputStream.readText(): String {
        val size = readInt()
        require(size in 0..available()) { "a text of $size bytes" }
        return ByteArray(size).also(::readFully).decodeToString()
    }

    private fun DataInputStream.readSide() = readInt().also { require(it in 1..MAX_SIDE) { "$it pixels" } }
}
