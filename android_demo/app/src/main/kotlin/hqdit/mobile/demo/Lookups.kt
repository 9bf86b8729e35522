// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.Activity
import android.content.Context
import android.view.View

// What the framework declares as nullable and this app knows to be there.

fun <T : View> View.child(id: Int): T = checkNotNull(findViewById<T>(id))

fun <T : View> Activity.child(id: Int): T = checkNotNull(findViewById<T>(id))

inline fun <reified T : Any> Context.service(): T = checkNotNull(getSystemService(T::class.java))
