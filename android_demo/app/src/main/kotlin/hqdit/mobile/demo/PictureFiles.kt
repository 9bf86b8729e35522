// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.ClipData
import android.content.ContentProvider
import android.content.ContentResolver
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.graphics.Bitmap
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import hqdit.mobile.Picture
import java.io.File
import java.io.FileNotFoundException
import java.io.OutputStream

const val PNG = "image/png"

fun Picture.toBitmap(): Bitmap = Bitmap.createBitmap(toArgb(), width, height, Bitmap.Config.ARGB_8888)

fun Picture.writePng(output: OutputStream) {
    check(toBitmap().compress(Bitmap.CompressFormat.PNG, 100, output))
}

/** "heart-noto-7.png" */
fun Wish.fileName(): String {
    val name = listOfNotNull(subject, style, seed.toString()).joinToString("-")
    return name.replace(Regex("[^A-Za-z0-9]+"), "-") + ".png"
}

/** An intent that offers [finished] to other apps, through [SharedPictureProvider]. Writes a file. */
fun shareIntent(context: Context, finished: Finished): Intent {
    val folder = SharedPictureProvider.folder(context).apply { deleteRecursively() }
    folder.mkdirs()
    val file = File(folder, finished.wish.fileName())
    file.outputStream().use(finished.picture::writePng)
    val uri =
        Uri
            .Builder()
            .scheme(ContentResolver.SCHEME_CONTENT)
            .authority(SharedPictureProvider.authority(context))
            .appendPath(file.name)
            .build()
    return Intent(Intent.ACTION_SEND).apply {
        type = PNG
        putExtra(Intent.EXTRA_STREAM, uri)
        clipData = ClipData.newRawUri(null, uri)
        addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
    }
}

/** Read access to the pictures that the user chose to share, for the app they were given to. */
class SharedPictureProvider : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw SecurityException("shared pictures can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun getType(uri: Uri): String = PNG

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?
    ): Cursor {
        val file = file(uri)
        val columns = projection ?: arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)
        val known = mapOf<String, Any>(OpenableColumns.DISPLAY_NAME to file.name, OpenableColumns.SIZE to file.length())
        return MatrixCursor(columns).apply { addRow(columns.map { known[it] }) }
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? =
        throw UnsupportedOperationException("shared pictures can only be read")

    override fun update(uri: Uri, values: ContentValues?, selection: String?, selectionArgs: Array<String>?): Int =
        throw UnsupportedOperationException("shared pictures can only be read")

    override fun delete(uri: Uri, selection: String?, selectionArgs: Array<String>?): Int =
        throw UnsupportedOperationException("shared pictures can only be read")

    private fun file(uri: Uri): File {
        val name = uri.lastPathSegment.orEmpty()
        return folder(checkNotNull(context)).listFiles().orEmpty().find { it.name == name }
            ?: throw FileNotFoundException("$uri is not shared")
    }

    companion object {
        fun folder(context: Context): File = File(context.cacheDir, "shared")

        fun authority(context: Context): String = "${context.packageName}.pictures"
    }
}
