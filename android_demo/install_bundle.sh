#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts a bundle of hqdit-export where the demo app looks for it.
#   install_bundle.sh BUNDLE            copies it into the app on the connected phone (adb; a debug build)
#   install_bundle.sh --assets BUNDLE   packs it into the app: build the app afterwards
set -eu

app=hqdit.mobile.demo
here=$(cd "$(dirname "$0")" && pwd)
assets=no
if [ "${1:-}" = --assets ]; then
  assets=yes
  shift
fi
if [ $# -ne 1 ]; then
  sed -n '3,5s/^# *//p' "$0" >&2
  exit 2
fi
bundle=${1%/}
if [ ! -f "$bundle/manifest.json" ]; then
  echo "$bundle has no manifest.json: give the folder that hqdit-export wrote" >&2
  exit 2
fi

# The model files are all that the app needs; reports and pictures stay here.
files="manifest.json $(cd "$bundle" && ls | grep -e '\.pte$' -e '^manifest\.json\.sig$')"

if [ "$assets" = yes ]; then
  target=$here/app/src/main/assets/bundle
  part=$here/build/bundle
  rm -rf "$part"
  mkdir -p "$part" "$(dirname "$target")"
  for file in $files; do
    cp "$bundle/$file" "$part/$file"
  done
  rm -rf "$target"
  mv "$part" "$target"
  echo "packed into $target"
  exit 0
fi

if ! command -v adb >/dev/null; then
  echo "adb is not on the PATH: it is in the Android SDK's platform-tools" >&2
  exit 2
fi
staging=/data/local/tmp/hqdit-bundle
adb shell "rm -rf $staging && mkdir -p $staging"
for file in $files; do
  adb push "$bundle/$file" "$staging/$file"
done
# Only the app itself may write to its private storage; run-as borrows its identity, for debug builds.
adb shell am force-stop $app
copy="mkdir -p files/bundles && cd files/bundles && rm -rf incoming && cp -r $staging incoming"
adb shell "run-as $app sh -c '$copy && rm -rf current && mv incoming current'"
adb shell "rm -rf $staging"
echo "installed in $app; open the app"
