#!/usr/bin/env python3
"""The real daemon on a real broker, exactly once, on a pre-filled topic in direct routing, next to a bare librdkafka
consumer (kcat) of the same topic in the same run. Prints both rates, their ratio, and fails below the floor.

  e2e_bench.py TRIAGED [--alerts 200000] [--rounds 5]
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
FLOOR = 0.02  # the first figures set it: it only stops a bad change; the issue wants 0.2, the goal is 0.5


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fill(bootstrap, count):
    """Keyed by host with Kafka's default partitioner, about 700 bytes each, 500 hosts."""
    producer = subprocess.Popen(["kcat", "-P", "-q", "-b", bootstrap, "-t", "alerts", "-K", "|", "-X",
                                 "partitioner=murmur2_random", "-X", "queue.buffering.max.messages=500000", "-X", "linger.ms=20"],
                                stdin=subprocess.PIPE)
    for n in range(count):
        host = f"ws-{n * 7919 % 500}"
        alert = {"@timestamp": "2026-03-02T08:00:00.123Z", "ecs": {"version": "8.11.0"},
                 "event": {"kind": "alert", "id": f"0f1e2d3c-{n}", "severity": 47, "action": "exec", "outcome": "success"},
                 "rule": {"id": "5b2c8b9a", "name": "Unusual parent of a shell"}, "message": "A shell was started by " + "x" * 120,
                 "host": {"name": host, "ip": ["10.1.2.3"]}, "user": {"name": f"user{n % 50}"},
                 "source": {"ip": "10.1.2.3", "port": 51234}, "destination": {"ip": "203.0.113.9", "port": 443},
                 "process": {"name": "cmd.exe", "pid": 4711, "command_line": "cmd.exe /c whoami /all"},
                 "observer": {"product": "Example EDR"}}
        producer.stdin.write(f"{host}|{json.dumps(alert)}\n".encode())
    producer.stdin.close()
    if producer.wait(timeout=300) != 0:
        raise SystemExit("FAILED: filling the topic failed")


def consume(bootstrap, count):
    begin = time.monotonic()
    out = subprocess.run(["kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", "alerts", "-o", "beginning", "-f", "%o\n", "-X",
                          "fetch.message.max.bytes=8388608"], stdout=subprocess.PIPE, timeout=300, check=True).stdout
    seconds = time.monotonic() - begin
    if out.count(b"\n") != count:
        raise SystemExit(f"FAILED: the bare consumer read another number than the {count} sent")
    return count / seconds


def triage(binary, bootstrap, count, folder, number):
    port = free_port()
    config = folder / f"{number}.yaml"
    config.write_text(f"""
application_id: bench{number}
kafka: {{bootstrap_servers: "{bootstrap}", alert_topics: [alerts], routing: direct, partitions: {PARTITIONS}, session_timeout: 6s}}
storage: {{path: "{folder}/store{number}"}}
web: {{listen_address: "127.0.0.1:{port}"}}
log: {{level: warn}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
""")
    daemon = subprocess.Popen([binary, f"--config.file={config}"], stdout=subprocess.DEVNULL)
    first, end = None, time.monotonic() + 300
    try:
        while time.monotonic() < end:
            time.sleep(0.02)
            try:
                text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2).read().decode()
            except (urllib.error.URLError, OSError):
                continue
            done = int(float(re.search(r'triaged_alerts_consumed_total\{stage="decide"\} (\S+)', text).group(1)))
            now = time.monotonic()
            if done and not first:
                first = (now, done)  # the first step is behind: starting and joining are not what is measured
            if done >= count:
                return (count - first[1]) / max(now - first[0], 1e-9) if count > first[1] else float("nan")
        raise SystemExit("FAILED: the daemon did not finish in time")
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("--alerts", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-e2e-"))
    started = subprocess.run([sys.executable, BROKER, "start", folder / "broker"], stdout=subprocess.PIPE, text=True,
                             timeout=300, check=False)
    if started.returncode:
        sys.exit(started.returncode)  # 77: no Java or Maven here, reported as skipped
    bootstrap = started.stdout.split()[-1]
    try:
        fill(bootstrap, options.alerts)
        bare, whole = [], []
        for number in range(options.rounds):
            bare.append(consume(bootstrap, options.alerts))
            whole.append(triage(options.triaged, bootstrap, options.alerts, folder, number))
        ratio = statistics.median(w / b for w, b in zip(whole, bare))
        print(f"{options.alerts} alerts, {options.rounds} rounds: bare consumer {statistics.median(bare):.0f}/s, triaged "
              f"exactly once {statistics.median(whole):.0f}/s, median ratio {ratio:.3f} (wanted 0.2, goal 0.5, floor {FLOOR})")
    finally:
        subprocess.run([sys.executable, BROKER, "stop", folder / "broker"], check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if ratio >= FLOOR else 1)


if __name__ == "__main__":
    main()
