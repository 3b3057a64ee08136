#!/usr/bin/env bash
# Installs the Debian 12 packages that triaged is built, tested and shown with.
# Usage: packages.sh build | demo | monitoring-demo | test      (all include build). Does nothing when all are there.
set -euo pipefail

build_packages=(ccache cmake g++ ninja-build pkg-config
  librdkafka-dev libsimdjson-dev librocksdb-dev prometheus-cpp-dev libspdlog-dev libyaml-cpp-dev libre2-dev
  libcurl4-openssl-dev libssl-dev libcrypt-dev libkainjow-mustache-dev libhowardhinnant-date-dev libcli11-dev libboost-dev nlohmann-json3-dev libsystemd-dev zlib1g-dev tzdata curl)
demo_packages=(kcat python3)
monitoring_packages=(prometheus prometheus-alertmanager)
test_packages=("${demo_packages[@]}" doctest-dev libvalijson-dev librapidcheck-dev libbenchmark-dev clang-14 libclang-rt-14-dev
  clang-format-14 python3-yaml python3-jsonschema default-jre-headless maven prometheus prometheus-alertmanager openssl shellcheck
  tar valgrind)

case "${1:-}" in
  build) wanted=("${build_packages[@]}") ;;
  demo) wanted=("${build_packages[@]}" "${demo_packages[@]}") ;;
  monitoring-demo) wanted=("${build_packages[@]}" "${demo_packages[@]}" "${monitoring_packages[@]}") ;;
  test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  *) echo "usage: $0 build | demo | monitoring-demo | test" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "packages are missing (${missing[*]}): run as root, or install sudo" >&2; exit 1; }
  sudo=(sudo)
fi
echo "installing ${#missing[@]} packages: ${missing[*]}"
"${sudo[@]}" apt-get update -qq
# --no-install-recommends keeps Prometheus from being started as a service along the way.
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
