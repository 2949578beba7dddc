#!/bin/sh
# Runs the tests in gears. test.sh [--fast] PYTHON [pytest arguments]; JOBS: processes that may keep a core busy each.
# --fast: those that are pure or have their own server on loopback (unit, property, arch), less the thorough ones.
set -u
fast=; if [ "$1" = --fast ]; then fast=yes; shift; fi
python=$1; shift
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
result=0
# A runner whose workers died may wait for them for ever. Interrupted it says what it had; the long forms take their time.
bound=2400; if [ -n "${HLSD_LONG:-}" ]; then bound=0; fi
bounded="timeout --foreground --signal INT --kill-after 60 $bound"
note() {
  # 5: nothing was collected, as when -k chooses tests of another part only
  if [ "$1" -ne 0 ] && [ "$1" -ne 5 ]; then result=$1; fi
}
# again CODE CACHE: of those that real clocks judge, a few that failed beside others are run once more, by themselves:
# what a browser on a busy machine does wrong it does each time. They are named, so that nobody takes them for sound.
again() {
  if [ "$1" -eq 0 ] || [ "$1" -eq 5 ]; then return; fi
  failed=$(grep -c '::' "$2/v/cache/lastfailed" 2> /dev/null)
  if [ "${failed:-0}" -lt 1 ] || [ "$failed" -gt 6 ]; then result=$1; return; fi
  echo "--- failed beside others, now by themselves:"
  grep '::' "$2/v/cache/lastfailed"
  HLSD_BROWSERS=1 $bounded "$python" -m pytest -n 1 -o cache_dir="$2" --lf --lfnf none tests/interop tests/fault
  note $?
}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
export TESTS_FILMS="$folder/films" # one film for all who want the same
# Python may keep what it has compiled: each of hundreds of servers would compile all of hlsd anew, each process the tests.
unset PYTHONDONTWRITEBYTECODE
if [ -n "$fast" ]; then
  export HLSD_FAST=1 # tests.support.gears
  # What pytest makes of a test's file it keeps beside it; on a fresh clone each process would make it of all of them.
  for half in "tests/unit/[a-m]* tests/arch" "tests/unit/[!a-m]* tests/property"; do
    # shellcheck disable=SC2086 - they are patterns
    "$python" -m pytest --collect-only -q $half > "$folder/collected" 2>&1 &
  done
  wait
  # They keep the cores busy, and none of them waits for another's long test; a third of their time they wait themselves.
  "$python" -m pytest -n "$((jobs * 2))" --dist worksteal -m "not thorough" tests/unit tests/property tests/arch "$@"
  note $?
else
  # The busy ones take what the others leave of the cores, from the beginning to the end; what they say comes last.
  # Ports of their own: two runs would hand out the same ones.
  # A test of five seconds takes a minute in what is left: its bound is against what hangs, and wider. A run that never
  # ends is ended too, and says what it had.
  TESTS_PORT_SHARES=24 $bounded nice -n 12 "$python" -m pytest -n "$jobs" --dist worksteal -o timeout=600 tests --ignore tests/interop \
    --ignore tests/fault "$@" > "$folder/busy" 2>&1 &
  busy=$!
  trap 'kill $busy 2> /dev/null; exit 130' INT TERM
  # Real encoders, players and browsers at the pace of the clock wait most of the time: more of them than cores. A file
  # stays in one process, and two processes have all the browsers: with more of either, what is judged by the clock is judged wrongly.
  HLSD_BROWSERS=2 $bounded "$python" -m pytest -n "$((jobs * 3))" --dist loadfile --no-loadscope-reorder -m "not alone" --durations 20 --durations-min 10 -o cache_dir="$folder/beside" tests/interop \
    tests/fault "$@"
  beside=$?
  # Stalls, latency and the pace of media are judged by who has the cores to itself, but for what is nice, and one line
  # of those that have no browser.
  HLSD_BROWSERS=1 $bounded "$python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m alone -o cache_dir="$folder/alone" tests/interop "$@"
  alone=$?
  wait $busy
  note $?
  cat "$folder/busy"
  again "$beside" "$folder/beside"
  again "$alone" "$folder/alone"
fi
"$python" -m tests.support.gears
exit $result
