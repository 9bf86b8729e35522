// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Activity
import android.app.ActivityManager
import android.app.AlertDialog
import android.app.Application
import android.content.ComponentName
import android.content.Context
import android.content.Intent
import android.graphics.drawable.BitmapDrawable
import android.net.Uri
import android.os.IBinder
import android.os.Looper
import android.view.View
import android.widget.AdapterView
import android.widget.Button
import android.widget.ImageView
import android.widget.ListView
import android.widget.TextView
import hqdit.mobile.EngineService
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ExecutionException
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.rules.ExternalResource
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadows.ShadowDialog

/** The app with a bundle installed as install_bundle.sh leaves it, and what a person would do with it. */
class AppRule(private val bundle: File? = File(System.getProperty("hqdit.tiny"))) : ExternalResource() {
    lateinit var controller: ActivityController<MainActivity>
    val activity: MainActivity get() = controller.get()
    val studio: Studio get() = activity.studio
    val context: Context get() = RuntimeEnvironment.getApplication()

    override fun after() {
        if (::controller.isInitialized) controller.pause().stop().destroy()
    }

    /** What the system says of its memory. */
    fun setMemory(free: Long, low: Boolean = false) {
        val memory = ActivityManager.MemoryInfo()
        memory.availMem = free
        memory.lowMemory = low
        shadowOf(context.service<ActivityManager>()).setMemoryInfo(memory)
    }

    fun start(freeMemory: Long = 1L shl 30) {
        setMemory(freeMemory)
        bundle?.copyRecursively(File(context.filesDir, "bundles/current"))
        launch()
    }

    /** Ends the app and opens it again. */
    fun restart() {
        controller.pause().stop().destroy()
        launch()
    }

    private fun launch() {
        bindEngine()
        controller = Robolectric.buildActivity(MainActivity::class.java).setup()
        waitFor("loading") { studio.state.stage != Stage.LOADING }
    }

    /** What the system answers whoever binds the engine's service. */
    fun bindEngine(binder: IBinder = Robolectric.setupService(EngineService::class.java).onBind(Intent())) {
        val name = ComponentName(context, EngineService::class.java)
        shadowOf(context as Application).setComponentNameAndServiceForBindService(name, binder)
    }

    /** Runs [body] beside the main thread, which goes on with its work, and gives what it gives or throws. */
    fun <T> besideMain(body: () -> T): T {
        val result = CompletableFuture.supplyAsync(body)
        waitFor("the call", result::isDone)
        return try {
            result.get()
        } catch (error: ExecutionException) {
            throw checkNotNull(error.cause)
        }
    }

    fun waitFor(what: String, condition: () -> Boolean) {
        val end = System.nanoTime() + 60_000_000_000
        while (!condition()) {
            assertTrue("$what takes too long", System.nanoTime() < end)
            idle()
            Thread.sleep(2)
        }
        idle()
    }

    fun idle() = shadowOf(Looper.getMainLooper()).idle()

    fun <T : View> view(id: Int): T = activity.child(id)

    fun text(id: Int): String = view<TextView>(id).text.toString()

    fun tap(id: Int) = assertTrue(view<View>(id).performClick())

    fun draw(): Finished {
        tap(R.id.draw)
        waitFor("drawing") { studio.state.stage == Stage.READY }
        return checkNotNull(studio.state.finished) { "${studio.state.notice}" }
    }

    /** The pixels that the screen shows. */
    fun pixels(): IntArray {
        val bitmap = (view<ImageView>(R.id.picture).drawable as BitmapDrawable).bitmap
        return IntArray(bitmap.width * bitmap.height).also {
            bitmap.getPixels(it, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        }
    }

    val drawText: String get() = view<Button>(R.id.draw).text.toString()

    fun dialogList(): ListView =
        checkNotNull(checkNotNull(ShadowDialog.getLatestDialog().window).decorView).child(R.id.list)

    fun pick(subject: String) {
        tap(R.id.subject)
        val list = dialogList()
        val position = (0 until list.adapter.count).first { list.adapter.getItem(it) == subject }
        (list.onItemClickListener as AdapterView.OnItemClickListener).onItemClick(
            list,
            View(context),
            position,
            position.toLong()
        )
        assertEquals(subject, text(R.id.subject))
    }

    /** Imports a zip file of [files], by their paths. */
    fun importZip(files: Map<String, ByteArray>) {
        val zip = ByteArrayOutputStream()
        ZipOutputStream(zip).use { output ->
            for ((name, bytes) in files) {
                output.putNextEntry(ZipEntry(name))
                output.write(bytes)
            }
        }
        importFile(zip.toByteArray())
    }

    /** Picks a file that holds [bytes]. */
    fun importFile(bytes: ByteArray) {
        val picked = Uri.parse("content://elsewhere/picked")
        shadowOf(context.contentResolver).registerInputStream(picked, ByteArrayInputStream(bytes))
        import(0, Intent.ACTION_OPEN_DOCUMENT, picked)
    }

    /** Taps through the dialog and the system's file picker, asked for [action], which answers with [picked]. */
    fun import(item: Int, action: String, picked: Uri) {
        tap(R.id.import_bundle)
        shadowOf(ShadowDialog.getLatestDialog() as AlertDialog).clickOnItem(item)
        idle()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(action, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(picked))
        assertEquals(Stage.LOADING, studio.state.stage)
        waitFor("the import") { studio.state.stage != Stage.LOADING && studio.state.notice != null }
    }
}
