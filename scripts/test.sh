#!/bin/sh
# Runs the tests: those that need nobody's attention side by side, those where somebody must keep up one by one.
# test.sh PYTHON [pytest arguments]
set -u
python=$1; shift
result=0
run() {
  "$python" -m pytest "$@"
  code=$?
  # 5: nothing was collected, as when -k chooses tests of another part only
  if [ $code -ne 0 ] && [ $code -ne 5 ]; then result=$code; fi
}
# Pure, or their own server on loopback: they keep the cores busy, and none of them waits for another's long test.
run -n "${JOBS:-2}" --dist worksteal tests --ignore tests/interop --ignore tests/fault "$@"
# Real encoders and players at the pace of the clock, which leave the cores idle for two thirds of the time: twice as
# many as cores. A file stays in one process.
alone=$(grep -rlE '^from tests\.support import browser|^from tests\.support\.browser|pytest\.mark\.alone' tests/interop)
for file in $alone; do leave="${leave:-} --ignore $file"; done
# shellcheck disable=SC2086
run -n "$((${JOBS:-2} * 2))" --dist loadfile tests/interop tests/fault ${leave:-} "$@"
# A browser that has to share the cores stalls, and a client that measures comes late, for reasons that are not ours.
# shellcheck disable=SC2086
run ${alone:-tests/interop} "$@"
exit $result
