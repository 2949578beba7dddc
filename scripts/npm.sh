#!/bin/sh
# Installs a folder's locked npm packages, if it has any: npm.sh FOLDER "what happens without" [VENV]
# Where there is no npm, it comes from PyPI's wheel of Node.js, into the virtual environment VENV, locked by hash.
set -eu
folder=$1 without=$2 venv=${3:-}
[ -f "$folder/package-lock.json" ] || exit 0
stamp=$folder/node_modules/.hlsd
if [ -f "$stamp" ] && [ ! "$folder/package-lock.json" -nt "$stamp" ]; then exit 0; fi
if [ -n "$venv" ] && ! command -v npm >/dev/null; then
  PATH=$PATH:$(cd "$venv" && pwd)/bin
  if ! command -v npm >/dev/null; then
    echo "hlsd: no npm here: installing the locked one (60 MB)"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements-node.txt ||
      echo "hlsd: it could not be installed" >&2
  fi
fi
if ! command -v npm >/dev/null; then
  echo "hlsd: no npm here: $without"
  exit 0
fi
echo "hlsd: npm ci in $folder"
if (cd "$folder" && npm ci --no-fund --no-audit --no-update-notifier --loglevel=error); then
  touch "$stamp"
else
  echo "hlsd: npm ci failed in $folder: $without" >&2
fi
