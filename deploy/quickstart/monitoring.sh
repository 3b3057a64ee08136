# Sourced by quickstart.sh --with-prometheus: Prometheus with our rules, Alertmanager, and the notifier between the
# escalations and Alertmanager. Uses root, scratch, bootstrap and pids of quickstart.sh, which ends what is started here.
# shellcheck shell=bash disable=SC2154

free_ports() {
  python3 -c 'import socket, sys
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(port.getsockname()[1] for port in ports))' "$1"
}

# wait_for_http NAME URL PID
wait_for_http() {
  for _ in $(seq 100); do
    curl -fsS -o /dev/null "$2" 2>/dev/null && return 0
    kill -0 "$3" 2>/dev/null || break
    sleep 0.2
  done
  echo "$1 did not start:" >&2
  tail -5 "$scratch/$1.log" >&2
  exit 1
}

start_monitoring() {
  local prometheus_port alertmanager_port notify_port
  read -r prometheus_port alertmanager_port notify_port < <(free_ports 3)
  cp "$root/deploy/prometheus/triaged.rules.yml" "$scratch/"
  sed -e "s#127.0.0.1:9093#127.0.0.1:$alertmanager_port#" -e "s#127.0.0.1:9465#127.0.0.1:$notify_port#" -e 's#: 15s#: 2s#' \
    "$root/deploy/prometheus/prometheus.yml" >"$scratch/prometheus.yml"
  cp "$root/deploy/quickstart/alertmanager.yml" "$scratch/"
  sed -e "s#@BOOTSTRAP@#$bootstrap#" -e "s#@MEMORY@#$scratch/notify#" -e "s#@NOTIFY@#127.0.0.1:$notify_port#" \
    -e "s#@ALERTMANAGER@#127.0.0.1:$alertmanager_port#" "$root/deploy/quickstart/notify.yaml" >"$scratch/notify.yaml"

  prometheus-alertmanager --config.file="$scratch/alertmanager.yml" --storage.path="$scratch/alertmanager" \
    --web.listen-address="127.0.0.1:$alertmanager_port" --cluster.listen-address= >"$scratch/alertmanager.log" 2>&1 &
  pids+=($!)
  wait_for_http alertmanager "http://127.0.0.1:$alertmanager_port/-/ready" $!
  # What fires before the first look for Alertmanagers is dropped, and sent again after this delay.
  prometheus --config.file="$scratch/prometheus.yml" --rules.alert.resend-delay=5s --storage.tsdb.path="$scratch/tsdb" \
    --web.listen-address="127.0.0.1:$prometheus_port" >"$scratch/prometheus.log" 2>&1 &
  pids+=($!)
  wait_for_http prometheus "http://127.0.0.1:$prometheus_port/-/ready" $!
  "$root/.build/release/daemon/notify/triaged-notify" --config.file="$scratch/notify.yaml" >"$scratch/notify.log" 2>&1 &
  pids+=($!)
  wait_for_http notify "http://127.0.0.1:$notify_port/-/healthy" $!
  echo "Prometheus: http://127.0.0.1:$prometheus_port/alerts"
  echo "Alertmanager, with the escalations: http://127.0.0.1:$alertmanager_port/#/alerts"
  echo "Notifier: http://127.0.0.1:$notify_port/metrics"
  echo
}
