// SPDX-License-Identifier: Apache-2.0
// hqdit.h for the JVM, call by call. Kotlin decides everything; here are only conversions. Nothing throws, and every
// reference made in a loop or a callback is deleted there.
#include <hqdit.h>
#include <jni.h>

#include <cstring>
#include <vector>

namespace {

hqdit_pipeline* pipeline(jlong handle) { return reinterpret_cast<hqdit_pipeline*>(handle); }

/// The elements of a Java array, seen from C++; what is written goes back on destruction. data is null when the JVM had
/// no memory, for these or for earlier ones, with an OutOfMemoryError pending.
template <typename Array, typename Element, Element* (JNIEnv::*kGet)(Array, jboolean*),
          void (JNIEnv::*kRelease)(Array, Element*, jint)>
class Elements {
 public:
  Elements(JNIEnv* env, Array array)
      : env_(env), array_(array), data(env->ExceptionCheck() ? nullptr : (env->*kGet)(array, nullptr)) {}
  ~Elements() {
    if (data != nullptr) (env_->*kRelease)(array_, data, 0);
  }
  Elements(const Elements&) = delete;
  Elements& operator=(const Elements&) = delete;

 private:
  JNIEnv* env_;
  Array array_;

 public:
  Element* const data;
};

using Bytes = Elements<jbyteArray, jbyte, &JNIEnv::GetByteArrayElements, &JNIEnv::ReleaseByteArrayElements>;
using Ints = Elements<jintArray, jint, &JNIEnv::GetIntArrayElements, &JNIEnv::ReleaseIntArrayElements>;
using Longs = Elements<jlongArray, jlong, &JNIEnv::GetLongArrayElements, &JNIEnv::ReleaseLongArrayElements>;

jbyteArray to_java(JNIEnv* env, const void* bytes, size_t count) {
  const jbyteArray array = env->NewByteArray(static_cast<jsize>(count));
  if (array != nullptr) env->SetByteArrayRegion(array, 0, static_cast<jsize>(count), static_cast<const jbyte*>(bytes));
  return array;
}

jbyteArray to_java(JNIEnv* env, const char* text) {
  const char* given = text != nullptr ? text : "";
  return to_java(env, given, std::strlen(given));
}

hqdit_info info_of(jlong handle, hqdit_status* status) {
  hqdit_info info{};
  info.struct_size = sizeof info;
  *status = hqdit_get_info(pipeline(handle), &info);
  return info;
}

void write_memory(JNIEnv* env, const hqdit_memory& memory, jlongArray bytes) {
  const jlong values[] = {static_cast<jlong>(memory.weights_bytes), static_cast<jlong>(memory.arena_bytes),
                          static_cast<jlong>(memory.peak_bytes), static_cast<jlong>(memory.file_bytes),
                          static_cast<jlong>(memory.tiled_peak_bytes)};
  env->SetLongArrayRegion(bytes, 0, 5, values);
}

hqdit_open_options open_options(jlong memory_limit_bytes, jboolean verify_sha256, jint threads, jint load_mode,
                                const Bytes& public_keys, jsize public_key_bytes) {
  hqdit_open_options options;
  hqdit_open_options_init(&options, sizeof options);
  options.memory_limit_bytes = static_cast<uint64_t>(memory_limit_bytes);
  options.verify_sha256 = verify_sha256 != JNI_FALSE;
  options.threads = threads;
  options.load_mode = load_mode;
  options.public_keys = reinterpret_cast<const uint8_t*>(public_keys.data);
  options.public_key_count = static_cast<size_t>(public_key_bytes) / 32;
  return options;
}

struct Listener {
  JNIEnv* env;
  jobject object;
  jmethodID method;
};

bool report(const hqdit_progress* progress, void* user_data) {
  const Listener& listener = *static_cast<Listener*>(user_data);
  JNIEnv* env = listener.env;
  jbyteArray preview = nullptr;
  if (progress->preview != nullptr) {
    const jint pixels = progress->preview_width * progress->preview_height;
    preview = to_java(env, progress->preview, static_cast<size_t>(pixels) * 3);
    if (preview == nullptr) return false;
  }
  const jboolean go_on = env->CallBooleanMethod(
      listener.object, listener.method, progress->phase, progress->image_index, progress->image_count, progress->step,
      progress->step_count, progress->timestep, static_cast<jboolean>(progress->guided), progress->step_ms,
      progress->elapsed_ms, static_cast<jlong>(progress->peak_memory_bytes), preview, progress->preview_width,
      progress->preview_height);
  if (preview != nullptr) env->DeleteLocalRef(preview);
  return !env->ExceptionCheck() && go_on;
}

bool find_listener(JNIEnv* env, jobject object, Listener* listener) {
  const jclass type = env->GetObjectClass(object);
  const jmethodID method = env->GetMethodID(type, "onProgress", "(IIIIIIZDDJ[BII)Z");
  env->DeleteLocalRef(type);
  *listener = {env, object, method};
  return method != nullptr;
}

}  // namespace

extern "C" {

JNIEXPORT jbyteArray JNICALL Java_hqdit_mobile_Native_version(JNIEnv* env, jclass) {
  return to_java(env, hqdit_version());
}

JNIEXPORT jbyteArray JNICALL Java_hqdit_mobile_Native_lastError(JNIEnv* env, jclass) {
  return to_java(env, hqdit_last_error());
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_estimate(JNIEnv* env, jclass, jbyteArray bundle, jlongArray bytes) {
  const Bytes path(env, bundle);
  if (path.data == nullptr) return HQDIT_OUT_OF_MEMORY;
  hqdit_memory memory{};
  memory.struct_size = sizeof memory;
  const hqdit_status status = hqdit_estimate(reinterpret_cast<const char*>(path.data), &memory);
  write_memory(env, memory, bytes);
  return status;
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_open(JNIEnv* env, jclass, jbyteArray bundle, jlong memory_limit_bytes,
                                                     jboolean verify_sha256, jint threads, jint load_mode,
                                                     jbyteArray public_keys, jlongArray handle) {
  const Bytes path(env, bundle), keys(env, public_keys);
  if (path.data == nullptr || keys.data == nullptr) return HQDIT_OUT_OF_MEMORY;
  const hqdit_open_options options =
      open_options(memory_limit_bytes, verify_sha256, threads, load_mode, keys, env->GetArrayLength(public_keys));
  hqdit_pipeline* opened = nullptr;
  const hqdit_status status = hqdit_open(reinterpret_cast<const char*>(path.data), &options, &opened);
  const jlong value = reinterpret_cast<jlong>(opened);
  env->SetLongArrayRegion(handle, 0, 1, &value);
  return status;
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_openFiles(JNIEnv* env, jclass, jbyteArray names, jintArray descriptors,
                                                          jlong memory_limit_bytes, jboolean verify_sha256,
                                                          jint threads, jint load_mode, jbyteArray public_keys,
                                                          jlongArray handle) {
  const Bytes texts(env, names), keys(env, public_keys);
  const Ints numbers(env, descriptors);
  if (texts.data == nullptr || keys.data == nullptr || numbers.data == nullptr) return HQDIT_OUT_OF_MEMORY;
  std::vector<hqdit_file> files(static_cast<size_t>(env->GetArrayLength(descriptors)));
  const char* name = reinterpret_cast<const char*>(texts.data);
  for (size_t i = 0; i < files.size(); ++i) {
    files[i] = {name, numbers.data[i]};
    name += std::strlen(name) + 1;
  }
  const hqdit_open_options options =
      open_options(memory_limit_bytes, verify_sha256, threads, load_mode, keys, env->GetArrayLength(public_keys));
  hqdit_pipeline* opened = nullptr;
  const hqdit_status status = hqdit_open_files(files.data(), files.size(), &options, &opened);
  const jlong value = reinterpret_cast<jlong>(opened);
  env->SetLongArrayRegion(handle, 0, 1, &value);
  return status;
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_memory(JNIEnv* env, jclass, jlong handle, jlongArray bytes) {
  hqdit_memory memory{};
  memory.struct_size = sizeof memory;
  const hqdit_status status = hqdit_get_memory(pipeline(handle), &memory);
  write_memory(env, memory, bytes);
  return status;
}

JNIEXPORT jboolean JNICALL Java_hqdit_mobile_Native_close(JNIEnv*, jclass, jlong handle) {
  return hqdit_close(pipeline(handle)) == HQDIT_OK;
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_info(JNIEnv* env, jclass, jlong handle, jintArray whole,
                                                     jfloatArray real) {
  hqdit_status status;
  const hqdit_info info = info_of(handle, &status);
  const jint integers[] = {info.image_width,         info.image_height,
                           info.num_classes,         info.null_label,
                           info.num_train_timesteps, info.has_preview,
                           info.default_scheduler,   info.default_steps,
                           info.decodes_tiled,       static_cast<jint>(info.schedulers)};
  const jfloat floats[] = {info.default_guidance_scale, info.default_guidance_low, info.default_guidance_high};
  env->SetIntArrayRegion(whole, 0, 10, integers);
  env->SetFloatArrayRegion(real, 0, 3, floats);
  return status;
}

JNIEXPORT jbyteArray JNICALL Java_hqdit_mobile_Native_name(JNIEnv* env, jclass, jlong handle) {
  hqdit_status status;
  return to_java(env, info_of(handle, &status).name);
}

JNIEXPORT jbyteArray JNICALL Java_hqdit_mobile_Native_target(JNIEnv* env, jclass, jlong handle) {
  hqdit_status status;
  return to_java(env, info_of(handle, &status).target);
}

JNIEXPORT jbyteArray JNICALL Java_hqdit_mobile_Native_labelName(JNIEnv* env, jclass, jlong handle, jint label) {
  return to_java(env, hqdit_label_name(pipeline(handle), label));
}

JNIEXPORT jint JNICALL Java_hqdit_mobile_Native_generate(JNIEnv* env, jclass, jlong handle, jint label,
                                                         jlongArray seeds, jint scheduler, jint steps, jfloat eta,
                                                         jfloat guidance_scale, jfloat guidance_low,
                                                         jfloat guidance_high, jint preview_interval, jobject progress,
                                                         jbyteArray rgb, jdoubleArray totals) {
  const Longs seed(env, seeds);
  const Bytes pixels(env, rgb);
  Listener listener;
  if (seed.data == nullptr || pixels.data == nullptr || !find_listener(env, progress, &listener)) {
    return HQDIT_OUT_OF_MEMORY;
  }
  hqdit_request request;
  const hqdit_status ready = hqdit_request_init(pipeline(handle), &request, sizeof request);
  if (ready != HQDIT_OK) return ready;
  request.label = label;
  request.seeds = reinterpret_cast<const uint64_t*>(seed.data);
  request.seed_count = static_cast<size_t>(env->GetArrayLength(seeds));
  request.scheduler = scheduler;
  request.steps = steps;
  request.eta = eta;
  request.guidance_scale = guidance_scale;
  request.guidance_low = guidance_low;
  request.guidance_high = guidance_high;
  request.preview_interval = preview_interval;
  request.progress = report;
  request.user_data = &listener;
  hqdit_result result;
  hqdit_result_init(&result, sizeof result);
  result.rgb = reinterpret_cast<uint8_t*>(pixels.data);
  result.rgb_bytes = static_cast<size_t>(env->GetArrayLength(rgb));
  const hqdit_status status = hqdit_generate(pipeline(handle), &request, &result);
  if (env->ExceptionCheck()) return status;
  const jdouble values[] = {static_cast<jdouble>(result.evaluations), result.denoise_ms, result.decode_ms,
                            result.total_ms, static_cast<jdouble>(result.peak_memory_bytes)};
  env->SetDoubleArrayRegion(totals, 0, 5, values);
  return status;
}

}  // extern "C"
