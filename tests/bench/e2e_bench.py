#!/usr/bin/env python3
"""The real daemon on a real broker, exactly once, on a pre-filled topic, next to a bare librdkafka consumer of the same
topic in the same run; then the time from producing an alert to reading its escalation (read_committed), next to a bare
consumer that reads the alerts at the same time. Prints both rates, their ratio and the percentiles, and fails below the
floor.

  e2e_bench.py TRIAGED E2E_CLIENT [--alerts 800000] [--rounds 5] [--latency-alerts 2000]
"""
import argparse
import json
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BROKER = ROOT / "tests/kafka/broker.py"
PARTITIONS = 4
# Of the bare consumer's rate; the goal in direct routing is 0.5.
FLOOR = {"direct": 0.08, "repartition": 0.03}
WORKERS = 2  # one decides while the other waits for its commit
LATENCY_RATE = 200
LATENCY_LIMIT = 1000  # ms; on a machine too busy for that, so many times what the bare consumer took
LATENCY_RATIO = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def client(options, *words):
    return subprocess.run([options.client, *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=400,
                          check=True).stdout


class Daemon:
    """A daemon of its own application id, so that it begins at the start of the topic."""

    def __init__(self, binary, bootstrap, routing, folder, name, topic):
        self.port = free_port()
        config = folder / f"{name}.yaml"
        config.write_text(f"""
application_id: {name}
workers: {WORKERS}
kafka: {{bootstrap_servers: "{bootstrap}", alert_topics: [{topic}], routing: {routing}, partitions: {PARTITIONS}, session_timeout: 6s}}
storage: {{path: "{folder}/store-{name}"}}
web: {{listen_address: "127.0.0.1:{self.port}"}}
log: {{level: warn}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
""")
        self.process = subprocess.Popen([binary, f"--config.file={config}"], stdout=subprocess.DEVNULL)

    def get(self, path):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2).read().decode()
        except (urllib.error.URLError, OSError):
            return ""

    def wait_settled(self):
        """Ready for five seconds on end: its workers have joined one after the other and shared the partitions."""
        end, since = time.monotonic() + 60, time.monotonic()
        while time.monotonic() - since < 5:
            if time.monotonic() > end:
                raise SystemExit("FAILED: the daemon did not become ready")
            if not self.get("/-/ready"):
                since = time.monotonic()
            time.sleep(0.05)

    def decided(self):
        found = re.search(r'triaged_alerts_consumed_total\{stage="decide"\} (\S+)', self.get("/metrics"))
        return int(float(found.group(1))) if found else 0

    def rate(self, count):
        """Alerts a second from the first step on: starting and joining are not what is measured."""
        first, end = None, time.monotonic() + 300
        while time.monotonic() < end:
            time.sleep(0.1)  # writing the page of metrics costs the daemon time that is measured here
            done, now = self.decided(), time.monotonic()
            if done and not first:
                first = (now, done)
            if done >= count:
                return (count - first[1]) / max(now - first[0], 1e-9) if count > first[1] else float("nan")
        raise SystemExit("FAILED: the daemon did not finish in time")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def throughput(options, bootstrap, folder, routing):
    bare, whole = [], []
    for number in range(options.rounds):
        bare.append(float(client(options, "consume", bootstrap, "alerts", options.alerts)))
        daemon = Daemon(options.triaged, bootstrap, routing, folder, f"rate-{routing}-{number}", "alerts")
        try:
            whole.append(daemon.rate(options.alerts))
        finally:
            daemon.stop()
    ratio = statistics.median(w / b for w, b in zip(whole, bare))
    print(f"{routing}: {options.alerts} alerts, {options.rounds} rounds: bare consumer {statistics.median(bare):.0f}/s, "
          f"triaged exactly once {statistics.median(whole):.0f}/s, median ratio {ratio:.3f} (floor {FLOOR[routing]})", flush=True)
    return ratio >= FLOOR[routing]


def latency(options, bootstrap, folder, routing):
    topic = f"late-{routing}"
    client(options, "fill", bootstrap, topic, 1)
    daemon = Daemon(options.triaged, bootstrap, routing, folder, topic, topic)
    try:
        daemon.wait_settled()
        said = client(options, "latency", bootstrap, topic, f"{topic}.escalations", options.latency_alerts, LATENCY_RATE)
        (p50, p99, worst), (bare50, bare99, _) = [map(float, line.split()) for line in said.splitlines()]
        limit = max(LATENCY_LIMIT, LATENCY_RATIO * bare99)
        print(f"{routing}: produce to escalation, {options.latency_alerts} alerts at {LATENCY_RATE}/s: p50 {p50:.0f} ms, "
              f"p99 {p99:.0f} ms, worst {worst:.0f} ms; bare consumer p50 {bare50:.0f} ms, p99 {bare99:.0f} ms "
              f"(limit of p99 {limit:.0f} ms)", flush=True)
    finally:
        daemon.stop()
    return p99 <= limit


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("client")
    parser.add_argument("--alerts", type=int, default=800_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency-alerts", type=int, default=2000)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-e2e-"))
    started = subprocess.run([sys.executable, BROKER, "start", folder / "broker"], stdout=subprocess.PIPE, text=True,
                             timeout=300, check=False)
    if started.returncode:
        sys.exit(started.returncode)  # 77: no Java or Maven here, reported as skipped
    bootstrap = started.stdout.split()[-1]
    try:
        client(options, "fill", bootstrap, "alerts", options.alerts)
        held = [measure(options, bootstrap, folder, routing)
                for measure in (throughput, latency) for routing in ("direct", "repartition")]
    finally:
        subprocess.run([sys.executable, BROKER, "stop", folder / "broker"], check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
