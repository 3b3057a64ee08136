#!/usr/bin/env bash
# Installs the packages, builds triaged, and shows it at work: the real daemon on an embedded broker, fed with a
# stream of SIEM alerts (a few attacks in much noise). Escalations are printed with their Five Ws.
#
#   deploy/quickstart.sh             until Ctrl-C
#   deploy/quickstart.sh --for 20s   stops by itself (a number of seconds, or 90s, 5m)
#   deploy/quickstart.sh --rate 500  alerts a second (default 200)
#   deploy/quickstart.sh --with-prometheus   Debian's Prometheus and Alertmanager beside it, with our rules; the notifier
#                                    sends the escalations to Alertmanager. All on free loopback ports, printed at the start
#
# Metrics meanwhile: http://127.0.0.1:9464/metrics. Nothing is left behind but the build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds="" rate=200 with_prometheus=""
while [ $# -gt 0 ]; do
  case "$1" in
    --for)
      case "${2:-}" in
        *m) seconds=$(( ${2%m} * 60 )) ;;
        *s) seconds=$(( ${2%s} )) ;;
        [0-9]*) seconds=$2 ;;
        *) echo "--for takes a time: 20s, 5m" >&2; exit 2 ;;
      esac
      shift ;;
    --rate) rate=${2:?--rate takes a number}; shift ;;
    --with-prometheus) with_prometheus=1 ;;
    -h|--help) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "unknown option: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

"$root/deploy/packages.sh" "${with_prometheus:+monitoring-}demo"
echo "building (the first time this takes some minutes)"
mkdir -p "$root/.build"
# Tests need more packages; a tree that has them keeps them.
without_tests=(-DTRIAGED_TESTS=OFF)
[ ! -f "$root/.build/release/CMakeCache.txt" ] || without_tests=()
(cd "$root" && cmake --preset release "${without_tests[@]}" >"$root/.build/release.configure.log") ||
  { cat "$root/.build/release.configure.log"; exit 1; }
cmake --build "$root/.build/release" --target triaged ${with_prometheus:+triaged-notify} -j"$(nproc)"

scratch=$(mktemp -d)
daemon="" pids=()
stop() {
  trap '' INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
  fi
  wait
  rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 0' INT TERM

sed -e "s#@STORE@#$scratch/store#" -e "s#@CONFIGS@#$root/configs#" \
  "$root/deploy/quickstart/triaged.yaml" >"$scratch/triaged.yaml"
# Its own process group: Ctrl-C reaches the script, which stops the daemon in order.
setsid "$root/.build/release/daemon/triaged" --config.file="$scratch/triaged.yaml" >"$scratch/triaged.log" 2>&1 &
daemon=$!

bootstrap=""
for _ in $(seq 100); do
  bootstrap=$(sed -n 's/.*msg="embedded broker started".* bootstrap=\([0-9.:]*\).*/\1/p' "$scratch/triaged.log" | head -1)
  [ -n "$bootstrap" ] && curl -fsS -o /dev/null http://127.0.0.1:9464/-/ready 2>/dev/null && break
  kill -0 "$daemon" 2>/dev/null || { cat "$scratch/triaged.log" >&2; echo "triaged did not start" >&2; exit 1; }
  sleep 0.2
done
[ -n "$bootstrap" ] || { cat "$scratch/triaged.log" >&2; echo "triaged was not ready within 20 s" >&2; exit 1; }

echo
echo "triaged is running. Alerts: topic 'alerts' at $bootstrap, $rate a second. Metrics: http://127.0.0.1:9464/metrics"
echo "Escalations as they happen (Ctrl-C stops):"
echo
# Named pipes, so that each process has an id of its own to end it by.
mkfifo "$scratch/escalations" "$scratch/alerts"
kcat -C -q -u -b "$bootstrap" -t triaged.escalations -o beginning >"$scratch/escalations" 2>/dev/null &
pids+=($!)
python3 "$root/deploy/quickstart/watch.py" <"$scratch/escalations" &
pids+=($!)
kcat -P -b "$bootstrap" -t alerts <"$scratch/alerts" 2>/dev/null &
pids+=($!)
python3 "$root/deploy/quickstart/alert_stream.py" --rate "$rate" >"$scratch/alerts" &
pids+=($!)

if [ -n "$with_prometheus" ]; then
  # shellcheck source=deploy/quickstart/monitoring.sh
  . "$root/deploy/quickstart/monitoring.sh"
  start_monitoring
fi

# The sum of the series whose name and labels begin so.
figure() { awk -v begin="$1" 'index($1, begin) == 1 {sum += $2} END {printf "%d", sum}' <<<"$2"; }
begin=$SECONDS
while [ -z "$seconds" ] || [ $((SECONDS - begin)) -lt "$seconds" ]; do
  sleep 5 & wait $! || true
  kill -0 "$daemon" 2>/dev/null || { tail -20 "$scratch/triaged.log" >&2; echo "triaged stopped by itself" >&2; exit 1; }
  metrics=$(curl -fsS http://127.0.0.1:9464/metrics || true)
  printf -- '-- %3d s: %s alerts in, %s cases opened, %s escalations, %s dead letters\n' $((SECONDS - begin)) \
    "$(figure 'triaged_alerts_consumed_total{stage="intake"}' "$metrics")" \
    "$(grep -F 'outcome="opened"' <<<"$metrics" | awk '{s += $2} END {printf "%d", s}')" \
    "$(figure triaged_escalations_total "$metrics")" "$(figure triaged_dead_letters_total "$metrics")"
done
