// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.app.ActivityManager;
import android.app.Service;
import android.content.ComponentName;
import android.content.Intent;
import android.content.ServiceConnection;
import android.graphics.Bitmap;
import android.graphics.drawable.BitmapDrawable;
import android.net.Uri;
import android.os.Build;
import android.os.IBinder;
import android.os.Looper;
import android.view.View;
import android.widget.ImageView;
import android.widget.TextView;
import java.io.File;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.concurrent.Executor;
import java.util.function.BooleanSupplier;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.Shadows;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.Implementation;
import org.robolectric.annotation.Implements;
import org.robolectric.shadows.ShadowContextImpl;

/** Runs the app as R8 leaves it: its classes are looked up by name, for all but those of the manifest have lost theirs. */
@RunWith(RobolectricTestRunner.class)
@Config(shadows = ShrunkAppTest.NamedServices.class)
public class ShrunkAppTest {
  private Activity activity;

  @Test
  public void itDrawsTurnsAndShares() throws Exception {
    assertThrows(ClassNotFoundException.class, () -> Class.forName("hqdit.mobile.demo.Studio"));
    Class<? extends Activity> type = Class.forName("hqdit.mobile.demo.MainActivity").asSubclass(Activity.class);
    ActivityController<? extends Activity> controller = Robolectric.buildActivity(type);
    activity = controller.get();
    install(new File(System.getProperty("hqdit.tiny")), new File(activity.getFilesDir(), "bundles/current"));
    ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
    memory.availMem = 1L << 30;
    Shadows.shadowOf(activity.getSystemService(ActivityManager.class)).setMemoryInfo(memory);
    Class<? extends Service> engine = Class.forName("hqdit.mobile.EngineService").asSubclass(Service.class);
    IBinder binder = Robolectric.setupService(engine).onBind(new Intent());
    Shadows.shadowOf(activity.getApplication())
        .setComponentNameAndServiceForBindService(new ComponentName(activity, engine), binder);
    controller.setup();
    waitFor("loading", () -> view("draw").isEnabled());
    assertTrue(view("draw").performClick());
    waitFor("drawing", () -> view("share").isShown());
    assertEquals(16, picture().getWidth());
    controller.recreate();
    activity = controller.get();
    assertEquals(16, picture().getWidth());
    assertTrue(view("share").performClick());
    Intent chooser = Shadows.shadowOf(activity).getNextStartedActivity();
    Intent send = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent.class);
    Uri uri = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri.class);
    try (InputStream png = activity.getContentResolver().openInputStream(uri)) {
      assertNotNull(png);
      assertEquals(0x89, png.read());
    }
    controller.pause().stop().destroy();
  }

  /** Binds services by a name, which Robolectric does not. */
  @Implements(className = ShadowContextImpl.CLASS_NAME)
  public static class NamedServices extends ShadowContextImpl {
    @Implementation(minSdk = Build.VERSION_CODES.Q)
    protected boolean bindIsolatedService(
        Intent service, int flags, String name, Executor executor, ServiceConnection connection) {
      return bindService(service, flags, executor, connection);
    }
  }

  private static void install(File bundle, File to) throws Exception {
    assertTrue(to.mkdirs());
    for (File file : bundle.listFiles()) {
      Files.copy(file.toPath(), new File(to, file.getName()).toPath());
    }
  }

  private View view(String name) {
    int id = activity.getResources().getIdentifier(name, "id", activity.getPackageName());
    return activity.findViewById(id);
  }

  private CharSequence status() {
    return ((TextView) view("status")).getText();
  }

  private Bitmap picture() {
    return ((BitmapDrawable) ((ImageView) view("picture")).getDrawable()).getBitmap();
  }

  private void waitFor(String what, BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + 60_000_000_000L;
    while (!condition.getAsBoolean()) {
      assertTrue(what + " takes too long: " + status(), System.nanoTime() < end);
      Shadows.shadowOf(Looper.getMainLooper()).idle();
      Thread.sleep(2);
    }
  }
}
