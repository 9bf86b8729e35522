// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.io.File

/** A pipeline of hqdit.h in this process. */
internal class LocalEngine private constructor(private val handle: Long) : Engine {
    override val info: ModelInfo = ModelInfo.read(handle)

    override val memory: MemoryEstimate =
        LongArray(5).let { bytes ->
            HqDitException.check(Native.memory(handle, bytes))
            estimateOf(bytes)
        }

    override fun generate(request: GenerationRequest, progress: ProgressRelay): GenerationResult {
        val size = info.imageWidth * info.imageHeight * 3
        val rgb = ByteArray(Math.multiplyExact(request.seeds.size, size))
        val totals = DoubleArray(5)
        val interval = checkNotNull(request.guidanceInterval)
        val status =
            Native.generate(
                handle,
                request.label,
                request.seeds.toLongArray(),
                checkNotNull(request.scheduler).ordinal,
                checkNotNull(request.steps),
                request.eta,
                checkNotNull(request.guidanceScale),
                interval.start,
                interval.endInclusive,
                request.previewInterval,
                progress,
                rgb,
                totals
            )
        HqDitException.check(status)
        return GenerationResult.of(info, rgb, totals)
    }

    override fun close() = check(Native.close(handle))

    companion object {
        fun estimate(bundle: File): MemoryEstimate {
            val bytes = LongArray(5)
            HqDitException.check(Native.estimate(cString(bundle.path), bytes))
            return estimateOf(bytes)
        }

        fun open(bundle: File, options: OpenOptions): LocalEngine = opened { handle ->
            Native.open(
                cString(bundle.path),
                options.memoryLimitBytes,
                options.verifySha256,
                options.threads,
                options.loadMode.ordinal,
                options.keyBytes(),
                handle
            )
        }

        /** [files]: descriptors by the files' names in the bundle. They stay the caller's, who may close them after. */
        fun open(files: Map<String, Int>, options: OpenOptions): LocalEngine = opened { handle ->
            Native.openFiles(
                files.keys.fold(ByteArray(0)) { names, name -> names + cString(name) },
                files.values.toIntArray(),
                options.memoryLimitBytes,
                options.verifySha256,
                options.threads,
                options.loadMode.ordinal,
                options.keyBytes(),
                handle
            )
        }

        private fun opened(open: (LongArray) -> Int): LocalEngine {
            val handle = LongArray(1)
            HqDitException.check(open(handle))
            try {
                return LocalEngine(handle[0])
            } catch (error: Throwable) {
                Native.close(handle[0])
                throw error
            }
        }

        private fun estimateOf(bytes: LongArray): MemoryEstimate {
            val (weights, arena, peak, file, tiledPeak) = bytes
            return MemoryEstimate(weights, arena, peak, file, tiledPeak)
        }

        private fun cString(text: String): ByteArray {
            require('\u0000' !in text) { "a path must not hold a zero character" }
            return text.encodeToByteArray() + 0
        }
    }
}
