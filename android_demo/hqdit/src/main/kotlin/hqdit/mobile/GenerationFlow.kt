// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.isActive

/** What [generationFlow] emits. */
public sealed interface GenerationEvent {
    /** A step is done. */
    public class Step internal constructor(public val progress: Progress) : GenerationEvent

    /** The last event. */
    public class Done internal constructor(public val result: GenerationResult) : GenerationEvent
}

/**
 * [HqDit.generate] as a cold flow: each collection draws. Cancelling the collector stops the engine within one step, a
 * slow collector does not hold it up, and errors are those of [HqDit.generate].
 */
public fun HqDit.generationFlow(request: GenerationRequest): Flow<GenerationEvent> = channelFlow {
    val result =
        try {
            generate(request) { progress ->
                trySend(GenerationEvent.Step(progress))
                isActive
            }
        } catch (stopped: HqDitException.Cancelled) {
            if (isActive) throw stopped
            throw CancellationException(stopped.message, stopped)
        }
    send(GenerationEvent.Done(result))
}.buffer(Channel.UNLIMITED).flowOn(Dispatchers.Default)
