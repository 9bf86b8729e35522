// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/** An opened bundle, here or in another process. Its owner makes one call at a time. */
internal interface Engine {
    val info: ModelInfo
    val memory: MemoryEstimate

    /** [request] without nulls. Throws [HqDitException]. */
    fun generate(request: GenerationRequest, progress: ProgressRelay): GenerationResult

    fun close()
}
