#!/usr/bin/env bash
# Builds triaged and runs every test, ending in ctest's summary.
#
#   tests/run.sh                  everything
#   tests/run.sh --quick          without the long ones (real broker, simulation seeds, sanitizers, fuzzing, benchmarks)
#   tests/run.sh --only NAME      only tests whose name matches the regular expression NAME
#   tests/run.sh --no-install     does not look for missing packages
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quick=0 only="" install=1
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=1 ;;
    --only) only=${2:?--only takes a name}; shift ;;
    --no-install) install=0 ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "unknown option: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

[ "$install" -eq 0 ] || "$root/deploy/packages.sh" test

step() { printf '\n== %s\n' "$1"; }
build() {  # build PRESET TARGET: configures quietly, builds with progress
  (cd "$root" && cmake --preset "$1" -DTRIAGED_TESTS=ON >"$root/.build/$1.configure.log" 2>&1) ||
    { cat "$root/.build/$1.configure.log"; exit 1; }
  cmake --build "$root/.build/$1" --target "$2" -j2
}
mkdir -p "$root/.build"

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
ctest "${arguments[@]}"
