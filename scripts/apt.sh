#!/bin/sh
# Installs what the interop tests drive, and says what it leaves out. A line of the list: package [command that tells it is there]
set -eu
list=$1
missing=
while read -r package tell; do
  case $package in ''|'#'*) continue ;; esac
  if [ -n "$tell" ] && command -v "$tell" >/dev/null; then continue; fi
  if dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then continue; fi
  missing="$missing $package"
done < "$list"
[ -n "$missing" ] || exit 0

if [ "${APT:-yes}" = no ] || ! command -v apt-get >/dev/null; then as_root=none
elif [ "$(id -u)" = 0 ]; then as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"
else as_root=none
fi
if [ "$as_root" = none ]; then
  echo "hlsd: not installed, so the tests that need them are left out:$missing"
  exit 0
fi

install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >/dev/null; }

echo "hlsd: apt-get install$missing"
$as_root apt-get -qq update || true
# shellcheck disable=SC2086
if install $missing; then exit 0; fi
left=
for package in $missing; do install "$package" || left="$left $package"; done
[ -z "$left" ] || echo "hlsd: could not be installed, so the tests that need them are left out:$left"
