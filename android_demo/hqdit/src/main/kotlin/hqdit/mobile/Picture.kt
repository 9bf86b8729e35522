// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * Pixels without any view system.
 *
 * @property rgb red, green and blue of each pixel, row by row: [height] * [width] * 3 bytes
 */
public class Picture(public val width: Int, public val height: Int, public val rgb: ByteArray) {
    init {
        require(rgb.size == width * height * 3) {
            "$width x $height pixels need three bytes each, not ${rgb.size} in all"
        }
    }

    /** One opaque 0xAARRGGBB number a pixel, as android.graphics.Bitmap.createBitmap takes them. */
    public fun toArgb(): IntArray = IntArray(width * height) { pixel ->
        val (red, green, blue) = IntArray(3) { rgb[3 * pixel + it].toInt() and 0xff }
        (0xff shl 24) or (red shl 16) or (green shl 8) or blue
    }
}
