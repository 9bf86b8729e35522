#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs a bundle of hqdit-export into the demo app: build and run the app in Xcode afterwards.
#   install_bundle.sh BUNDLE
# Without a Mac at hand, send the bundle's folder, or a zip file of it, to the phone and import it in the app.
set -eu

if [ $# -ne 1 ]; then
  sed -n '3,5s/^# *//p' "$0" >&2
  exit 2
fi
bundle=${1%/}
if [ ! -f "$bundle/manifest.json" ]; then
  echo "$bundle has no manifest.json: give the folder that hqdit-export wrote" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
target=$here/Bundle
part=$here/build/Bundle
rm -rf "$part"
mkdir -p "$part"
# The model files, and the card with the licences, are all that the app needs; reports and pictures stay here.
for file in "$bundle"/manifest.json "$bundle"/manifest.json.sig "$bundle"/README.md "$bundle"/*.pte; do
  if [ -f "$file" ]; then cp "$file" "$part/"; fi
done
rm -rf "$target"
mv "$part" "$target"
echo "packed into $target: now run HqDitDemo.xcodeproj"
