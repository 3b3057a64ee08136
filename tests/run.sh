#!/usr/bin/env bash
# Builds triaged and runs every test, ending in ctest's summary.
#
#   tests/run.sh                  everything
#   tests/run.sh --quick          without the long ones (real broker, simulation seeds, sanitizers, fuzzing, benchmarks)
#   tests/run.sh --only NAME      only tests whose name matches the regular expression NAME
#   tests/run.sh --no-install     does not look for missing packages
#
# With --only, for the long forms of the tests that tests/README.md lists (the report is in .build/report.txt):
#   --seed N        the seed of the one test, or of the one simulated life
#   --duration T    repeat for this long: 90s, 10m, 2h
#   --cycles N      of kill
#   --seeds N       of the simulation
#   --kafka V       on another release of Apache Kafka than 3.9, such as 4.0.1
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quick=0 only="" install=1 duration=""
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=1 ;;
    --only) only=${2:?--only takes a name}; shift ;;
    --no-install) install=0 ;;
    --seed) export TRIAGED_SEED=${2:?--seed takes a number} TRIAGED_SIM_SEED=${2}; shift ;;
    --seeds) export TRIAGED_SIM_SEEDS=${2:?--seeds takes a number}; shift ;;
    --cycles) export TRIAGED_CYCLES=${2:?--cycles takes a number}; shift ;;
    --kafka) export TRIAGED_KAFKA_VERSION=${2:?--kafka takes a release of Apache Kafka}; shift ;;
    --duration) duration=${2:?--duration takes a time such as 10m}; shift ;;
    -h|--help) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "unknown option: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

case "$duration" in
  "") seconds=0 ;;
  *s) seconds=${duration%s} ;;
  *m) seconds=$((${duration%m} * 60)) ;;
  *h) seconds=$((${duration%h} * 3600)) ;;
  *) echo "--duration takes 90s, 10m or 2h, not '$duration'" >&2; exit 2 ;;
esac
export TRIAGED_DURATION=$seconds TRIAGED_REPORT="$root/.build/report.txt"

[ "$install" -eq 0 ] || "$root/deploy/packages.sh" test

step() { printf '\n== %s\n' "$1"; }
build() {  # build PRESET TARGET: configures quietly, builds with progress
  (cd "$root" && cmake --preset "$1" -DTRIAGED_TESTS=ON -DTRIAGED_LONG_TIMEOUT=$((timeout)) >"$root/.build/$1.configure.log" 2>&1) ||
    { cat "$root/.build/$1.configure.log"; exit 1; }
  cmake --build "$root/.build/$1" --target "$2" -j2
}
mkdir -p "$root/.build"

# A long form ends by itself; the time-out is for one that hangs.
timeout=$((1500 + 2 * seconds + 30 * ${TRIAGED_CYCLES:-0} + ${TRIAGED_SIM_SEEDS:-0}))
: >"$TRIAGED_REPORT"

step "build (release)"
build release all

arguments=(--test-dir "$root/.build/release" --output-on-failure --no-tests=error)
[ -z "$only" ] || arguments+=(-R "$only")
if [ "$quick" -eq 1 ]; then
  arguments+=(-LE long)
elif [ -z "$only" ] || [[ sanitizer =~ $only ]] || [[ fuzz =~ $only ]]; then
  step "build (address and undefined-behaviour sanitizers)"
  build asan-ubsan sanitizer_tests
  step "build (thread sanitizer)"
  build tsan triaged
  step "build (fuzz targets)"
  build fuzz fuzzers
fi

step "tests"
status=0
ctest "${arguments[@]}" || status=$?
if [ -s "$TRIAGED_REPORT" ]; then
  step "report"
  cat "$TRIAGED_REPORT"
fi
exit "$status"
