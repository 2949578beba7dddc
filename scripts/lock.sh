#!/bin/sh
# Writes the locks: versions and hashes for Linux, Python 3.11 and newer; never the address of an index.
# What stands in a lock stays, unless it is asked to move: UPGRADE=yes make lock
set -eu
uv=${UV:-uv}
command -v "$uv" >/dev/null || { echo "hlsd: make lock needs uv (pip install uv), or UV=/path/to/uv" >&2; exit 1; }
compile() {
  "$uv" pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
    --generate-hashes --universal --python-version 3.11 ${UPGRADE:+--upgrade} "$@"
}
compile pyproject.toml --extra cluster --extra h2 --extra store --extra vod --extra webrtc -o requirements.txt
compile pyproject.toml --extra cluster --extra h2 --extra store --extra vod --extra webrtc --group dev -c requirements.txt -o requirements-dev.txt
compile --group node -o requirements-node.txt
compile --group docs -c requirements-dev.txt -o requirements-docs.txt
compile --group fuzz -o requirements-fuzz.txt
compile --group build -c requirements-dev.txt -o requirements-build.txt
# pyproject.toml says already that the locks are for CPython: dbos has no wheels for another one.
sed -i "s/implementation_name == 'cpython' and platform_python_implementation == 'CPython' and //" requirements*.txt
