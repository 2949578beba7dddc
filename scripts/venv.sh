#!/bin/sh
# Makes the virtual environment; where Debian has split off the venv module, fetches it first.
set -eu
venv=$1

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null; }

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then python=$candidate; break; fi
  done
fi
if [ -z "$python" ]; then
  echo "hlsd: needs Python 3.11 or newer; found $(python3 --version 2>&1 || true). Name one: make run PYTHON=/path/to/python3" >&2
  exit 1
fi
if ! fits "$python"; then
  echo "hlsd: $python is $("$python" --version 2>&1); Python 3.11 or newer is needed" >&2
  exit 1
fi

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ]; then as_root=
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"
  else
    echo "hlsd: $python has no venv module. As root: apt-get install python3-venv (or python$version-venv), then again" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null; then
    echo "hlsd: $python has no venv module; install it with the system's package tool, then again" >&2
    exit 1
  fi
  echo "hlsd: installing python$version-venv"
  $as_root apt-get -qq update
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "python$version-venv" >/dev/null
fi

if [ -e "$venv" ] && [ ! -e "$venv/.venv" ]; then
  # It is somebody's own, or was cut off while it was made; a copy is kept, for the first may be missed.
  mv "$venv" "$venv.$(date +%s)"
  echo "hlsd: the environment in $venv was not made here, or not to its end; it is kept beside it"
fi
rm -rf "$venv"
"$python" -m venv "$venv"
