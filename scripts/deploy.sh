#!/usr/bin/env bash
# Compiles a guest and puts its component into a functions folder, as a whole: a running host sees the
# old file or the new one.
set -euo pipefail
folder=$1 package=$2
cd "$(dirname "$0")/.."
components=$(scripts/build-guests.sh --package "$package" | tail -n 1)
file=${package//-/_}.wasm
mkdir -p "$folder"
if ! cmp --silent "$components/$file" "$folder/$file"; then
  cp "$components/$file" "$folder/.$file.new"
  mv "$folder/.$file.new" "$folder/$file"
fi
echo "deployed $folder/$file"
