// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Activity
import android.app.AlertDialog
import android.content.ComponentCallbacks2
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.widget.Toast
import java.io.FileNotFoundException
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** Connects the screen, the [Studio] that outlives rotations, and the system: files, memory, heat. */
class MainActivity : Activity() {
    lateinit var studio: Studio
        private set
    private lateinit var screen: MainScreen
    private lateinit var thermal: ThermalWatch

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        val kept = lastNonConfigurationInstance as Studio?
        studio = kept ?: newStudio()
        screen =
            MainScreen(
                activity = this,
                choices = savedInstanceState?.let(Choices::restore) ?: Choices(),
                onDraw = studio::draw,
                onCancel = studio::cancel,
                onImport = ::askForBundle,
                onSave = ::askWhereToSave,
                onShare = ::share
            )
        studio.observer = screen::render
        screen.render(studio.state)
        if (kept == null) studio.load()
        thermal = ThermalWatch(this) { studio.pace = it }
        thermal.start()
    }

    override fun onDestroy() {
        thermal.stop()
        if (isChangingConfigurations) studio.observer = null else studio.close()
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any = studio

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        screen.choices.save(outState)
    }

    // From Android 14 on only UI_HIDDEN and BACKGROUND arrive; before, the RUNNING levels tell of need in time to act.
    @Suppress("DEPRECATION")
    override fun onTrimMemory(level: Int) {
        super.onTrimMemory(level)
        val background = level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND
        if (level == ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL || background) studio.releaseMemory()
    }

    @Deprecated("The framework's own callback for the results of startActivityForResult")
    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val uri = data?.data
        if (resultCode != RESULT_OK || uri == null) return
        when (requestCode) {
            PICK_ZIP -> studio.import(ZipSource { contentResolver.openInputStream(uri) })
            PICK_FOLDER -> studio.import(TreeSource(contentResolver, uri))
            SAVE -> studio.state.finished?.let { save(it, uri) }
        }
    }

    private fun newStudio() = Studio(
        store = BundleStore(applicationContext),
        main = mainExecutor(),
        worker = Executors.newSingleThreadExecutor { Thread(it, "studio") },
        memory = PhoneMemory(applicationContext)
    )

    private fun mainExecutor() = Handler(mainLooper).let { handler -> Executor { handler.post(it) } }

    private fun askForBundle() {
        AlertDialog
            .Builder(this)
            .setTitle(R.string.import_title)
            .setItems(R.array.import_sources) { _, which ->
                if (which == 0) {
                    val open = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
                    start(open.setType("application/zip"), PICK_ZIP)
                } else {
                    start(Intent(Intent.ACTION_OPEN_DOCUMENT_TREE), PICK_FOLDER)
                }
            }.show()
    }

    private fun askWhereToSave(finished: Finished) {
        val save = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(PNG)
        start(save.putExtra(Intent.EXTRA_TITLE, finished.wish.fileName()), SAVE)
    }

    private fun save(finished: Finished, uri: Uri) = try {
        val output = contentResolver.openOutputStream(uri) ?: throw FileNotFoundException(uri.toString())
        output.use(finished.picture::writePng)
    } catch (error: IOException) {
        Toast.makeText(this, getString(R.string.not_saved, error.message), Toast.LENGTH_LONG).show()
    }

    private fun share(finished: Finished) = startActivity(Intent.createChooser(shareIntent(this, finished), null))

    // The result API that replaces this one is a library of its own; the demo stays with the framework.
    @Suppress("DEPRECATION")
    private fun start(intent: Intent, request: Int) = startActivityForResult(intent, request)

    private companion object {
        const val PICK_ZIP = 1
        const val PICK_FOLDER = 2
        const val SAVE = 3
    }
}
