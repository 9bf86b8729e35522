// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import android.app.Service
import android.content.Intent
import android.os.Binder
import android.os.IBinder
import android.os.Parcel
import android.os.ParcelFileDescriptor
import android.os.RemoteException
import java.io.FileOutputStream
import java.nio.ByteBuffer

/**
 * The engine in a process of its own, without rights and without files: its manifest entry says isolatedProcess. What a
 * bundle does to it costs the app a [HqDitException.ProcessDied]. For [openIsolated], and for nobody else.
 */
public class EngineService : Service() {
    override fun onBind(intent: Intent): IBinder = EngineBinder()
}

/** Opens bundles: each becomes a [SessionBinder]. */
internal class EngineBinder : Binder() {
    override fun onTransact(code: Int, data: Parcel, reply: Parcel?, flags: Int): Boolean {
        if (code != EngineWire.OPEN || reply == null) return super.onTransact(code, data, reply, flags)
        answer(reply) {
            val answer = ParcelFileDescriptor.CREATOR.createFromParcel(data)
            val files = LinkedHashMap<String, ParcelFileDescriptor>()
            try {
                repeat(data.readInt()) {
                    files[data.readString().orEmpty()] = ParcelFileDescriptor.CREATOR.createFromParcel(data)
                }
                val engine = LocalEngine.open(files.mapValues { it.value.fd }, EngineWire.readOptions(data))
                val info = EngineWire.bytes(engine.info, engine.memory)
                answer.put(info, 0)
                reply.writeInt(0)
                reply.writeInt(info.size)
                reply.writeStrongBinder(SessionBinder(engine))
            } finally {
                for (file in files.values + answer) file.close()
            }
        }
        return true
    }
}

/** One opened bundle. The app makes one call at a time. */
internal class SessionBinder(private val engine: Engine) : Binder() {
    override fun onTransact(code: Int, data: Parcel, reply: Parcel?, flags: Int): Boolean {
        if (reply == null) return super.onTransact(code, data, null, flags)
        when (code) {
            EngineWire.GENERATE -> answer(reply) { generate(data, reply) }

            EngineWire.CLOSE -> answer(reply) {
                engine.close()
                reply.writeInt(0)
            }

            else -> return super.onTransact(code, data, reply, flags)
        }
        return true
    }

    private fun generate(data: Parcel, reply: Parcel) {
        ParcelFileDescriptor.CREATOR.createFromParcel(data).use { answer ->
            val listener = data.readStrongBinder()
            val relay = ProgressRelay({ progress -> report(listener, progress, answer) }) { false }
            val result = engine.generate(EngineWire.readRequest(data), relay)
            var end = 0L
            for (picture in result.pictures) {
                answer.put(picture.rgb, end)
                end += picture.rgb.size
            }
            reply.writeInt(0)
            reply.writeDoubleArray(
                result.run {
                    val counts = doubleArrayOf(evaluations.toDouble(), denoiseMillis, decodeMillis, totalMillis)
                    counts + peakMemoryBytes.toDouble()
                }
            )
        }
    }

    /** The app's process waits in [generate], and this call runs on the thread that waits there. */
    private fun report(listener: IBinder, progress: Progress, answer: ParcelFileDescriptor): Boolean {
        progress.preview?.let { answer.put(it.rgb, 0) }
        val data = Parcel.obtain()
        val reply = Parcel.obtain()
        try {
            EngineWire.write(data, progress)
            return listener.transact(EngineWire.PROGRESS, data, reply, 0) && reply.readInt() != 0
        } catch (_: RemoteException) {
            return false // the app is gone
        } finally {
            data.recycle()
            reply.recycle()
        }
    }
}

/** Runs [body]; what it throws becomes the whole of [reply]. */
private fun answer(reply: Parcel, body: () -> Unit) {
    try {
        body()
    } catch (error: Throwable) {
        reply.setDataSize(0)
        reply.setDataPosition(0)
        reply.writeInt(
            when (error) {
                is HqDitException -> error.status
                is OutOfMemoryError -> 7
                else -> 9
            }
        )
        reply.writeString(error.message ?: error.toString())
    }
}

private fun ParcelFileDescriptor.put(bytes: ByteArray, position: Long) {
    // Not closed: the descriptor is not the stream's.
    val channel = FileOutputStream(fileDescriptor).channel
    val buffer = ByteBuffer.wrap(bytes)
    while (buffer.hasRemaining()) channel.write(buffer, position + buffer.position())
}
