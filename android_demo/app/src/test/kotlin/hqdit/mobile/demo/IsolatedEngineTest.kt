// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Application
import android.content.Intent
import android.os.DeadObjectException
import android.os.IBinder
import android.os.Parcel
import hqdit.mobile.EngineService
import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import hqdit.mobile.HqDitException
import hqdit.mobile.OpenOptions
import hqdit.mobile.openIsolated
import java.io.File
import java.nio.file.Files
import java.util.concurrent.atomic.AtomicInteger
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** The service's code, in this process; what Android does around it, by Robolectric. */
@RunWith(RobolectricTestRunner::class)
@Config(shadows = [NamedServices::class])
class IsolatedEngineTest {
    @get:Rule
    val app = AppRule()

    @get:Rule
    val folder = TemporaryFolder()

    private val tiny = File(System.getProperty("hqdit.tiny"))
    private val request = GenerationRequest(2, listOf(7, 8), steps = 6, eta = 0.5f, previewInterval = 2)
    private val service: IBinder by lazy { Robolectric.setupService(EngineService::class.java).onBind(Intent()) }

    @Before
    fun bind() {
        NamedServices.names.clear()
        app.bindEngine(service)
    }

    private fun open(bundle: File = tiny, options: OpenOptions = OpenOptions(threads = 1)): HqDit =
        app.besideMain { HqDit.openIsolated(app.context, bundle, options) }

    /** A service of its own, and [after] each call of what it opened. */
    private fun process(after: () -> Unit): IBinder =
        Between(Robolectric.setupService(EngineService::class.java).onBind(Intent())) { reply ->
            val (status, size) = IntArray(2) { reply.readInt() }
            val session = reply.readStrongBinder()
            reply.setDataSize(0)
            reply.writeInt(status)
            reply.writeInt(size)
            reply.writeStrongBinder(Between(session) { after() })
            reply.setDataPosition(0)
        }

    private inline fun <reified T : Throwable> expect(word: String, crossinline action: () -> Unit) {
        val error = assertThrows(T::class.java) { action() }
        assertTrue("\"${error.message}\" must name $word", word in error.message.orEmpty())
    }

    private fun seen(model: HqDit): Pair<List<ByteArray>, List<String>> {
        val steps = mutableListOf<String>()
        val result = model.generate(request) { progress ->
            val preview = progress.preview?.run { "$width $height ${rgb.contentHashCode()}" }
            progress.run { steps.add("$phase $imageIndex/$imageCount $step/$stepCount $timestep $guided $preview") }
        }
        assertEquals(2 * 2 * 6, result.evaluations)
        assertTrue(result.totalMillis >= result.denoiseMillis && result.peakMemoryBytes > 10_000_000)
        return result.pictures.map { it.rgb } to steps
    }

    @Test
    fun drawsAsInTheAppsProcess() {
        open().use { there ->
            HqDit.open(tiny, OpenOptions(threads = 1)).use { here ->
                val (expected, steps) = seen(here)
                val (actual, reported) = seen(there)
                assertEquals(steps, reported)
                for (i in expected.indices) assertArrayEquals(expected[i], actual[i])
                assertEquals(here.memory, there.memory)
                assertEquals(HqDit.estimate(tiny), there.memory)
                val infos = listOf(here.info, there.info).map {
                    listOf(it.name, it.target, it.labels, it.imageWidth, it.imageHeight, it.nullLabel, it.hasPreview) +
                        listOf(it.numTrainTimesteps, it.defaultScheduler, it.defaultSteps, it.defaultGuidanceScale) +
                        listOf(it.schedulers, it.defaultGuidanceInterval, it.decodesTiled)
                }
                assertEquals(infos[0], infos[1])
            }
        }
        assertEquals(
            "nothing stays in the cache",
            emptyList<File>(),
            app.context.cacheDir.listFiles().orEmpty().toList()
        )
    }

    @Test
    fun stopsWhenAsked() = open().use { model ->
        var steps = 0
        expect<HqDitException.Cancelled>("") { model.generate(request) { ++steps < 3 } }
        assertEquals(3, steps)
        expect<HqDitException.Cancelled>("") {
            model.generate(request) {
                model.cancel()
                true
            }
        }
        val thrown = IllegalStateException("the listener's own")
        assertSame(thrown, assertThrows(IllegalStateException::class.java) { model.generate(request) { throw thrown } })
        assertEquals(2, model.generate(request).pictures.size)
    }

    @Test
    fun itsErrorsAreTheEngines() {
        expect<HqDitException.NotFound>("nowhere") { open(File("nowhere")) }
        expect<HqDitException.MemoryLimit>("limit") { open(options = OpenOptions(memoryLimitBytes = 999_999)) }
        val key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        expect<HqDitException.InvalidSignature>("not signed") { open(options = OpenOptions(publicKeys = listOf(key))) }
        expect<HqDitException.InvalidArgument>("public key") { open(options = OpenOptions(publicKeys = listOf("00"))) }
        val damaged = folder.newFolder().also { tiny.copyRecursively(it) }
        File(damaged, "transformer.pte").run { writeBytes(readBytes().copyOf(100)) }
        expect<HqDitException.InvalidBundle>("transformer.pte") { open(damaged) }
        open().use { model ->
            expect<HqDitException.InvalidArgument>("steps") { model.generate(request.copy(steps = 1001)) }
            expect<HqDitException.InvalidArgument>("seed") { model.generate(request.copy(seeds = emptyList())) }
        }
    }

    @Test
    fun linksStayInTheBundle() {
        val bundle = folder.newFolder().also { tiny.copyRecursively(it) }
        Files.createSymbolicLink(File(bundle, "more.pte").toPath(), File(tiny, "transformer.pte").toPath())
        expect<HqDitException.InvalidBundle>("more.pte") { open(bundle) }
        repeat(256) { File(bundle, "$it").createNewFile() }
        expect<HqDitException.InvalidBundle>("256 files") { open(bundle) }
    }

    @Test
    fun theMainThreadMustNotWaitForItself() =
        expect<IllegalStateException>("main thread") { HqDit.openIsolated(app.context, tiny) }

    @Test
    fun aProcessThatDies() {
        app.bindEngine(Between(service) { throw DeadObjectException() })
        expect<HqDitException.ProcessDied>("open the bundle again") { open() }
        val calls = AtomicInteger()
        app.bindEngine(process { if (calls.incrementAndGet() == 2) throw DeadObjectException() })
        open().use { model ->
            assertEquals(2, model.generate(request).pictures.size)
            expect<HqDitException.ProcessDied>("has died") { model.generate(request) }
        }
        app.bindEngine(service)
        open().use { assertEquals(2, it.generate(request).pictures.size) }
    }

    @Test
    fun eachModelHasAProcessOfItsOwn() {
        val unbound = { shadowOf(app.context as Application).unboundServiceConnections.map(NamedServices.names::get) }
        var dead = false
        app.bindEngine(process { if (dead) throw DeadObjectException() })
        val first = open()
        app.bindEngine(process {})
        val second = open()
        val names = NamedServices.names.values.toList()
        assertEquals("one instance for each: $names", 2, names.toSet().size)
        dead = true
        expect<HqDitException.ProcessDied>("has died") { first.generate(request) }
        assertEquals(2, second.generate(request).pictures.size)
        first.close()
        assertEquals(names.take(1), unbound())
        assertEquals(2, second.generate(request).pictures.size)
        second.close()
        assertEquals(names, unbound())
    }

    @Test
    fun aProcessThatAnswersNonsense() {
        val answers = listOf<Parcel.() -> Unit>(
            { setDataSize(0) },
            { writeInt(Int.MAX_VALUE) },
            { writeInt(-1) },
            { writeInt(3) }
        )
        for (nonsense in answers) {
            app.bindEngine(
                Between(service) { reply ->
                    reply.setDataPosition(4)
                    reply.nonsense()
                    reply.setDataPosition(0)
                }
            )
            assertThrows(HqDitException.Internal::class.java) { open() }
        }
    }

    @Test
    fun theAppLivesOnWhenItDies() {
        app.start()
        app.draw()
        var dead = true
        app.bindEngine(Between(service) { if (dead) throw DeadObjectException() })
        app.studio.releaseMemory() // so that the next picture opens the model again
        app.tap(R.id.draw)
        app.waitFor("the error") { app.studio.state.notice is Notice.Problem }
        assertEquals(Stage.READY, app.studio.state.stage)
        dead = false
        app.draw()
    }
}
