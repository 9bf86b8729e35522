// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/** What went wrong; the message is the engine's and names the file, field or value at fault. One kind per hqdit_status, and [ProcessDied]. */
public sealed class HqDitException(message: String) : Exception(message) {
    /** The generation was stopped before it was done. */
    public class Cancelled(message: String) : HqDitException(message)

    /** Another generation is running on this model. */
    public class Busy(message: String) : HqDitException(message)

    /** A value in the call. */
    public class InvalidArgument(message: String) : HqDitException(message)

    /** A file, a folder or a label does not exist. */
    public class NotFound(message: String) : HqDitException(message)

    /** The bundle is damaged, of another schema version or at odds with itself. */
    public class InvalidBundle(message: String) : HqDitException(message)

    /** The bundle needs more than [OpenOptions.memoryLimitBytes]. */
    public class MemoryLimit(message: String) : HqDitException(message)

    /** The system refused memory. */
    public class OutOfMemory(message: String) : HqDitException(message)

    /** The model runtime failed, or the model returned a value that is not finite. */
    public class RuntimeFailure(message: String) : HqDitException(message)

    /** A fault of the engine. */
    public class Internal(message: String) : HqDitException(message)

    /** The system refused a file that is there; the bundle may be whole. */
    public class IoError(message: String) : HqDitException(message)

    /** None of [OpenOptions.publicKeys] has signed the bundle. */
    public class InvalidSignature(message: String) : HqDitException(message)

    /**
     * The isolated process of the engine is gone: the bundle brought it down, or the system took its memory. The app is
     * as it was; open the bundle again, or another.
     */
    public class ProcessDied(message: String) : HqDitException(message)

    /** The hqdit_status that this stands for. */
    internal val status: Int get() = (1..11).firstOrNull { of(it, "").javaClass == javaClass } ?: 9

    internal companion object {
        /** Throws what [status], an hqdit_status that this thread just got, stands for. */
        fun check(status: Int) {
            if (status != 0) throw of(status, Native.lastError().decodeToString())
        }

        fun of(status: Int, message: String): HqDitException = when (status) {
            1 -> Cancelled(message)
            2 -> Busy(message)
            3 -> InvalidArgument(message)
            4 -> NotFound(message)
            5 -> InvalidBundle(message)
            6 -> MemoryLimit(message)
            7 -> OutOfMemory(message)
            8 -> RuntimeFailure(message)
            10 -> IoError(message)
            11 -> InvalidSignature(message)
            else -> Internal(message)
        }
    }
}
