// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.widget.TextView

/** Shows a text that no translator will ever see: lint must say so. */
fun TextView.greet() {
    text = "Hello"
}
