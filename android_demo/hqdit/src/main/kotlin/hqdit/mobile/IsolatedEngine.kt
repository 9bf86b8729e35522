// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import android.content.ComponentName
import android.content.Context
import android.content.Intent
import android.content.ServiceConnection
import android.os.Binder
import android.os.Build
import android.os.IBinder
import android.os.Looper
import android.os.Parcel
import android.os.ParcelFileDescriptor
import android.os.Parcelable
import android.os.RemoteException
import java.io.File
import java.io.IOException
import java.util.Optional
import java.util.UUID
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/**
 * [HqDit.open] in a process of its own, for bundles of strangers. That process has none of the app's rights and gets the
 * bundle's files as descriptors; should a bundle bring it down, calls throw [HqDitException.ProcessDied] and the app
 * lives on. From Android 10 on each call has a process of its own, which ends with [HqDit.close], so that no bundle can
 * change what another one draws; below, all bundles that are open this way share one. Everything else is as with a model
 * in the app's process; a step costs one call between processes more.
 *
 * Not for the main thread: it waits for the process to begin, which Android 9 and older report on that very thread.
 *
 * @throws HqDitException with the engine's message, or [HqDitException.ProcessDied]
 */
public fun HqDit.Companion.openIsolated(context: Context, bundle: File, options: OpenOptions = OpenOptions()): HqDit {
    check(Looper.myLooper() != Looper.getMainLooper()) { "openIsolated waits for a process: not on the main thread" }
    options.keyBytes() // a wrong one is better known before a process starts
    val files = bundleFiles(bundle)
    val connection = EngineConnection(context.applicationContext)
    try {
        return HqDit(IsolatedEngine.open(connection, files, options))
    } catch (error: Throwable) {
        connection.close()
        throw error
    }
}

private const val MAX_FILES = 256

/** The files by their names in the bundle. The engine there cannot see where a link leads, so it is looked at here. */
private fun bundleFiles(bundle: File): Map<String, File> {
    if (!File(bundle, "manifest.json").exists()) throw HqDitException.NotFound("$bundle has no manifest.json")
    val root = bundle.canonicalFile
    val files = root.walk().maxDepth(8).filter(File::isFile).take(MAX_FILES + 1).associateBy {
        it.relativeTo(root).path
    }
    if (files.size > MAX_FILES) throw HqDitException.InvalidBundle("$bundle: more than $MAX_FILES files are no bundle")
    for ((name, file) in files) {
        if (!file.canonicalFile.startsWith(root)) {
            throw HqDitException.InvalidBundle("$bundle: \"$name\" is a link that leads out of the bundle")
        }
    }
    return files
}

/** A process of [EngineService], bound until [close]. */
internal class EngineConnection(private val context: Context) : ServiceConnection {
    private val answers = LinkedBlockingQueue<Optional<IBinder>>()
    private var bound = false

    val cache: File get() = context.cacheDir

    fun connect(): IBinder {
        bound = true // even where the system says no, says its documentation
        if (!bind(Intent(context, EngineService::class.java))) {
            throw HqDitException.ProcessDied("the system does not start $SERVICE: is it in the app's manifest?")
        }
        val answer = answers.poll(START_SECONDS, TimeUnit.SECONDS)
        return answer?.orElse(null) ?: throw HqDitException.ProcessDied("$SERVICE did not start; try again")
    }

    /** Android tells instances apart by their names, and gives each a process since the service is an isolated one. */
    private fun bind(service: Intent): Boolean {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) {
            return context.bindService(service, this, Context.BIND_AUTO_CREATE)
        }
        val name = UUID.randomUUID().toString().replace('-', '_') // letters, digits, periods, underscores and no other
        return context.bindIsolatedService(service, Context.BIND_AUTO_CREATE, name, Runnable::run, this)
    }

    override fun onServiceConnected(name: ComponentName, service: IBinder) {
        answers.put(Optional.of(service))
    }

    /** What is in the middle of a call gets an exception from it. */
    override fun onServiceDisconnected(name: ComponentName) {
        answers.put(Optional.empty())
    }

    override fun onBindingDied(name: ComponentName) {
        answers.put(Optional.empty())
    }

    fun close() {
        if (bound) context.unbindService(this)
        bound = false
    }

    private companion object {
        const val SERVICE = "hqdit.mobile.EngineService"
        const val START_SECONDS = 30L
    }
}

/** A [SessionBinder] in the other process. */
internal class IsolatedEngine private constructor(
    private val connection: EngineConnection,
    private val session: IBinder,
    override val info: ModelInfo,
    override val memory: MemoryEstimate
) : Engine {
    override fun generate(request: GenerationRequest, progress: ProgressRelay): GenerationResult =
        AnswerFile(connection.cache).use { answer ->
            val listener = ListenerBinder(progress, answer)
            val write = { data: Parcel ->
                handOver(data, answer.forWriter)
                data.writeStrongBinder(listener)
                EngineWire.write(data, request)
            }
            val read = { reply: Parcel ->
                val totals = DoubleArray(5).also(reply::readDoubleArray)
                val size = Math.multiplyExact(request.seeds.size, info.imageWidth * info.imageHeight * 3)
                GenerationResult.of(info, answer.read(size, size), totals)
            }
            try {
                call(session, EngineWire.GENERATE, write, read)
            } finally {
                listener.failure?.let { throw it }
            }
        }

    override fun close() {
        try {
            call(session, EngineWire.CLOSE, {}) {}
        } catch (_: HqDitException.ProcessDied) {
            // Its memory is free, too.
        } finally {
            connection.close()
        }
    }

    companion object {
        fun open(connection: EngineConnection, files: Map<String, File>, options: OpenOptions): IsolatedEngine =
            AnswerFile(connection.cache).use { answer ->
                val write = { data: Parcel ->
                    handOver(data, answer.forWriter)
                    data.writeInt(files.size)
                    for ((name, file) in files) {
                        data.writeString(name)
                        handOver(data, ParcelFileDescriptor.open(file, ParcelFileDescriptor.MODE_READ_ONLY))
                    }
                    EngineWire.write(data, options)
                }
                call(connection.connect(), EngineWire.OPEN, write) { reply ->
                    val bytes = answer.read(reply.readInt(), EngineWire.MAX_INFO_BYTES)
                    val session = checkNotNull(reply.readStrongBinder()) { "no session" }
                    val (info, memory) = EngineWire.readInfo(bytes.inputStream())
                    IsolatedEngine(connection, session, info, memory)
                }
            }

        /** Puts a descriptor into a parcel, which has one of its own then, and closes it. */
        private fun handOver(data: Parcel, file: ParcelFileDescriptor) =
            file.writeToParcel(data, Parcelable.PARCELABLE_WRITE_RETURN_VALUE)

        /** A call of the other process, which may die, throw, or answer with nonsense. */
        private fun <T> call(to: IBinder, code: Int, write: (Parcel) -> Unit, read: (Parcel) -> T): T {
            val data = Parcel.obtain()
            val reply = Parcel.obtain()
            try {
                try {
                    write(data)
                } catch (error: IOException) {
                    throw HqDitException.IoError(error.message ?: error.toString())
                }
                to.transact(code, data, reply, 0)
                val status = reply.readInt()
                if (status != 0) throw HqDitException.of(status, reply.readString().orEmpty())
                return read(reply)
            } catch (error: RemoteException) {
                throw HqDitException.ProcessDied("the engine's process has died ($error); open the bundle again")
            } catch (error: IOException) {
                throw nonsense(error)
            } catch (error: RuntimeException) {
                throw nonsense(error)
            } finally {
                data.recycle()
                reply.recycle()
            }
        }

        private fun nonsense(error: Exception) =
            HqDitException.Internal("the engine's process answered with nonsense: ${error.message ?: error}")
    }
}

/** Hears of each step from the other process, on the thread that waits for it. */
private class ListenerBinder(private val relay: ProgressRelay, private val answer: AnswerFile) : Binder() {
    /** What the listener has thrown. */
    @Volatile
    var failure: Throwable? = null
        private set

    override fun onTransact(code: Int, data: Parcel, reply: Parcel?, flags: Int): Boolean {
        if (code != EngineWire.PROGRESS || reply == null) return super.onTransact(code, data, reply, flags)
        val goOn =
            try {
                EngineWire.relay(data, relay) { answer.read(it, it) }
            } catch (error: Throwable) {
                failure = error
                false
            }
        reply.writeInt(if (goOn) 1 else 0)
        return true
    }
}
