#!/bin/sh
# Runs the tests: those that share nothing in parallel, those that drive real programs one after the other.
# test.sh PYTHON [pytest arguments]
set -u
python=$1; shift
result=0
run() {
  "$python" -m pytest "$@"
  code=$?
  # 5: nothing was collected, as when -k chooses tests of the other half only
  if [ $code -ne 0 ] && [ $code -ne 5 ]; then result=$code; fi
}
run -n "${JOBS:-2}" tests --ignore tests/interop --ignore tests/fault "$@"
for folder in tests/interop tests/fault; do
  if [ -n "$(find $folder -name 'test_*.py' 2>/dev/null | head -1)" ]; then run "$folder" "$@"; fi
done
exit $result
