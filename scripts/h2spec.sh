#!/bin/sh
# Builds h2spec, which tries HTTP/2 with the cases of others, into a virtual environment where there is Go: h2spec.sh VENV
set -eu
venv=$(cd "$1" && pwd)
[ -x "$venv/bin/h2spec" ] && exit 0
if ! command -v go > /dev/null; then
  echo "hlsd: no Go here: what h2spec tries is left out"
  exit 0
fi
echo "hlsd: go install h2spec"
GOBIN=$venv/bin GOFLAGS=-mod=mod go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible > /dev/null 2>&1 ||
  echo "hlsd: h2spec could not be built: what it tries is left out" >&2
