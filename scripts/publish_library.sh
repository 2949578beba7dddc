#!/bin/sh
# Builds the publisher's library (web/publish), where its packages are installed and something has changed since.
# publish_library.sh VENV: where there is no node but the one that scripts/npm.sh has put there.
set -eu
PATH=$PATH:$(cd "$1" && pwd)/bin
cd "$(dirname "$0")/../web/publish"
[ -f node_modules/.hlsd ] || exit 0 # scripts/npm.sh has said why
if [ -f dist/publish.umd.js ] && [ -z "$(find src build.mjs package.json package-lock.json tsconfig.json -newer dist/publish.umd.js)" ]; then exit 0; fi
echo "hlsd: building the publisher's library"
node build.mjs || echo "hlsd: the publisher's library was not built: the page that publishes uses its plain script" >&2
