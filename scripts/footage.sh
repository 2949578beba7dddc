#!/bin/sh
# The long form of the footage rig. footage.sh PYTHON [arguments of `python -m tests.footage`]
# Without arguments: 200 fresh seeds of each kind, real encoders through a real server for minutes, and every test that
# draws, with fresh draws. What fails names its seed: it becomes an example of the test that found it.
set -u
python=$1; shift
if [ $# -gt 0 ]; then exec "$python" -m tests.footage "$@"; fi
HLSD_FRESH=1
HLSD_SEED=${HLSD_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
export HLSD_FRESH HLSD_SEED
echo "footage: HLSD_SEED=$HLSD_SEED"
result=0
"$python" -m tests.footage --seeds "$HLSD_SEED-$((HLSD_SEED + 199))" || result=1
"$python" -m tests.footage.on_air || result=1
"$python" -m pytest -n "${JOBS:-2}" tests/property || result=1
exit $result
