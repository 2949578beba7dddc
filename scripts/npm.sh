#!/bin/sh
# Installs a folder's locked npm packages, if it has any and npm is there: npm.sh FOLDER "what happens without"
set -eu
folder=$1 without=$2
[ -f "$folder/package-lock.json" ] || exit 0
stamp=$folder/node_modules/.hlsd
if [ -f "$stamp" ] && [ ! "$folder/package-lock.json" -nt "$stamp" ]; then exit 0; fi
if ! command -v npm >/dev/null; then
  echo "hlsd: no npm here: $without"
  exit 0
fi
echo "hlsd: npm ci in $folder"
if (cd "$folder" && npm ci --no-fund --no-audit --loglevel=error); then
  touch "$stamp"
else
  echo "hlsd: npm ci failed in $folder: $without" >&2
fi
