#!/bin/sh
# Builds dist/hlsd_VERSION-1_ARCHITECTURE.deb: the wheel and its locked dependencies in /usr/lib/hlsd, unit, configuration,
# manual, completions. deb.sh PYTHON, where PYTHON's environment has pip; needs dpkg-deb.
# The package fits the Python that builds it (3.11 on Debian 12): compiled packages are of one minor version.
set -eu
python=$1
command -v dpkg-deb > /dev/null || { echo "hlsd: make deb needs dpkg-deb (Debian and its like)" >&2; exit 1; }
umask 022
stage=build/deb home=usr/lib/hlsd
rm -rf "$stage"
mkdir -p "$stage/DEBIAN"
version=$("$python" -c 'import hlsd; print(hlsd.__version__)')
minor=$("$python" -c 'import sys; print("3.%d" % sys.version_info[1])')
next=$("$python" -c 'import sys; print("3.%d" % (sys.version_info[1] + 1))')
wheel=dist/hlsd-$version-py3-none-any.whl
# A file is as old as what was committed last, whenever it is built.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
export SOURCE_DATE_EPOCH

echo "hlsd: the environment of the package"
/usr/bin/python3 -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$minor')" ||
  { echo "hlsd: make deb wants the system's own python3; the environment here is of Python $minor" >&2; exit 1; }
/usr/bin/python3 -m venv --without-pip "$stage/$home"
target=$stage/$home/bin/python3
"$python" -m pip --python "$target" install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
"$python" -m pip --python "$target" install --quiet --disable-pip-version-check --no-compile --no-deps "$wheel"
# Of the programs only hlsd and python stay; what names the folder of the build shall name that of the package.
find "$stage/$home/bin" -type f ! -name hlsd -delete
sed -i "1s|.*|#!/$home/bin/python3|" "$stage/$home/bin/hlsd"
sed -i "/^command = /d" "$stage/$home/pyvenv.cfg"
rm -rf "$stage/$home/include" "$stage/$home/lib64" "$stage/$home/share"
find "$stage/$home" \( -name direct_url.json -o -name RECORD -o -name INSTALLER -o -name REQUESTED \) -delete
find "$stage/$home" -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$stage/$home/lib" -name '*.py' -exec sed -i '1{/^#!/d}' {} +   # nothing there is a program: an interpreter's name is a mistake
find "$stage/$home/lib" -type f -exec chmod 644 {} +

install -d "$stage/usr/bin" "$stage/usr/share/doc/hlsd" "$stage/usr/share/lintian/overrides"
ln -s "../lib/hlsd/bin/hlsd" "$stage/usr/bin/hlsd"
install -D -m 644 conf/hlsd.toml "$stage/etc/hlsd/hlsd.toml"
# The unit of the checkout, at the package's place and as the package's user.
install -d "$stage/lib/systemd/system"
sed -e '1d' -e 's|^ExecStart=[^ ]*/hlsd|ExecStart=/usr/bin/hlsd|' \
  -e 's|^DynamicUser=yes|User=hlsd\nGroup=hlsd|' conf/systemd/hlsd.service > "$stage/lib/systemd/system/hlsd.service"
install -d "$stage/usr/share/man/man1"
gzip -9n < docs/man/hlsd.1 > "$stage/usr/share/man/man1/hlsd.1.gz"
gzip -9n < CHANGELOG.md > "$stage/usr/share/doc/hlsd/changelog.gz"
printf 'hlsd (%s-1) unstable; urgency=medium\n\n  * Built from its checkout: changelog.gz says what changed.\n\n -- %s  %s\n' \
  "$version" "$(sed -n 's/^Maintainer: //p' packaging/deb/control)" "$(date -uRd "@$SOURCE_DATE_EPOCH")" |
  gzip -9n > "$stage/usr/share/doc/hlsd/changelog.Debian.gz"
"$python" scripts/copyright.py "$stage/$home" > "$stage/usr/share/doc/hlsd/copyright"
for shell in bash/bash-completion/completions/hlsd zsh/zsh/vendor-completions/_hlsd fish/fish/vendor_completions.d/hlsd.fish; do
  install -d "$stage/usr/share/$(dirname "${shell#*/}")"
  _HLSD_COMPLETE=source_${shell%%/*} "$(dirname "$python")/hlsd" > "$stage/usr/share/${shell#*/}"
done
install -m 644 packaging/deb/lintian-overrides "$stage/usr/share/lintian/overrides/hlsd"

install -m 644 packaging/deb/conffiles "$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "packaging/deb/$script" "$stage/DEBIAN/$script"; done
(cd "$stage" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) > "$stage/DEBIAN/md5sums"
sed -e "s/@VERSION@/$version-1/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" -e "s/@PYTHON@/$minor/" -e "s/@NEXT@/$next/" \
  -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$stage" | cut -f1)/" packaging/deb/control > "$stage/DEBIAN/control"
find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz -z3 --build "$stage" dist
if command -v lintian > /dev/null; then
  lintian --fail-on error "dist/hlsd_$version-1_$(dpkg --print-architecture).deb"
else
  echo "hlsd: no lintian here: it has not looked through the package"
fi
