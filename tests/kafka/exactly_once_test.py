#!/usr/bin/env python3
"""Exactly once on a real Kafka: kill -9 under load, a rebalance between two processes, restore on an empty disk.

The oracle is this script: it knows every alert it sent and computes what must come out, and reads the topics with a
reader of its own (kcat, read_committed). It never asks the daemon for its opinion. At the end kafka_replay_check repeats
every recorded step with a processor that never crashed, and compares state, events and documents byte for byte.

  exactly_once_test.py TRIAGED --replay-check PROGRAM [--cycles 20] [--seed N] [--hosts 60] [--keep]
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
APPLICATION = "exactly-once"
PARTITIONS = 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    """One triaged process with its own store."""

    def __init__(self, binary, bootstrap, folder, name):
        self.binary, self.name = binary, name
        self.folder = folder / name
        self.store = self.folder / "store"
        self.folder.mkdir()
        self.port = free_port()
        self.log = open(self.folder / "log", "ab")
        self.process = None
        policy = (ROOT / "configs/policies/soc-tiered.yaml").read_text()
        policy = re.sub(r"document_interval: \S+", "document_interval: 1s", policy)
        (self.folder / "policy.yaml").write_text(policy)
        (self.folder / "triaged.yaml").write_text(f"""
application_id: {APPLICATION}
instance: {name}
kafka:
  bootstrap_servers: {bootstrap}
  alert_topics: [alerts]
  partitions: {PARTITIONS}
  session_timeout: 6s
storage: {{path: {self.store}, memory: 64MiB}}
web: {{listen_address: "127.0.0.1:{self.port}"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {self.folder}/policy.yaml
""")

    def start(self):
        self.process = subprocess.Popen([self.binary, f"--config.file={self.folder}/triaged.yaml"], stdout=self.log,
                                        stderr=self.log)

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self, seconds=60):
        wait_for(lambda: self.ready() or self.died(), seconds, f"{self.name} to be ready")

    def died(self):
        if self.process.poll() is not None:
            raise SystemExit(f"FAILED: {self.name} ended by itself with {self.process.returncode}; its log:\n{self.tail()}")
        return False

    def running(self):
        """How many partitions it runs, by its log since it last started."""
        states = {}
        for line in open(self.folder / "log", errors="replace"):
            if "msg=listening" in line:
                states = {}
            found = re.search(r"msg=partition worker=\d+ partition=(\d+) state=(\w+)", line)
            if found:
                states[found[1]] = found[2]
        return sum(1 for state in states.values() if state == "running")

    def tail(self):
        self.log.flush()
        return "".join(open(self.folder / "log", errors="replace").readlines()[-30:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        if code != 0:
            raise SystemExit(f"FAILED: {self.name} stopped with {code}; its log:\n{self.tail()}")


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.2)
    raise SystemExit(f"FAILED: waited {seconds} s for {what}")


class Source:
    """Sends alerts and remembers them: the oracle's own record."""

    def __init__(self, bootstrap, rng, hosts):
        self.rng, self.bootstrap = rng, bootstrap
        self.hosts = [f"host-{n:03d}" for n in range(hosts)]
        self.attacked = set(self.hosts[::5])
        self.sent = {host: 0 for host in self.hosts}
        self.number = 0
        self.attack_sent = set()
    def alert(self, host, attack=False):
        self.number += 1
        self.sent[host] += 1
        return {
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "ecs": {"version": "8.11"},
            "event": {"kind": "alert", "id": f"alert-{self.number}", "severity": 30},
            "rule": {"name": "Ransomware found" if attack else "Unusual thing"},
            "host": {"name": host},
        }

    def send(self, count):
        lines = []
        for _ in range(count):
            host = self.rng.choice(self.hosts)
            attack = host in self.attacked and host not in self.attack_sent and self.sent[host] >= 3
            if attack:
                self.attack_sent.add(host)
            lines.append(json.dumps(self.alert(host, attack)))
        self.write(lines)

    def write(self, lines):
        # One producer per burst: kcat keeps the last lines of an open pipe in its own buffer.
        subprocess.run(["kcat", "-P", "-q", "-b", self.bootstrap, "-t", "alerts", "-X", "acks=all", "-X",
                        "enable.idempotence=true", "-X", "linger.ms=1"], input=("\n".join(lines) + "\n").encode(),
                       check=True, timeout=60)


class Load(threading.Thread):
    """Keeps sending until stopped."""

    def __init__(self, source, rate):
        super().__init__(daemon=True)
        self.source, self.rate, self.done, self.error = source, rate, threading.Event(), None

    def run(self):
        try:
            while not self.done.wait(0.1):
                self.source.send(self.rate // 10)
        except (OSError, subprocess.SubprocessError) as error:
            self.error = error

    def stop(self):
        self.done.set()
        self.join()
        if self.error:
            raise SystemExit(f"FAILED: the oracle could not send: {self.error}")


def read_topic(bootstrap, topic):
    """Every committed (key, value) of a topic, from the beginning to the end."""
    result = subprocess.run(["kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", f"{APPLICATION}.{topic}", "-o", "beginning",
                             "-X", "isolation.level=read_committed", "-J"], capture_output=True, timeout=120, check=False)
    records = []
    for line in result.stdout.splitlines():
        record = json.loads(line)
        records.append((record.get("key"), record.get("payload")))
    return records


def intake_problems(bootstrap, source):
    """Stage one, by id: each alert sent passed it exactly once."""
    seen = {}
    for _, value in read_topic(bootstrap, "intake"):
        name = json.loads(value)["event"]["id"]
        seen[name] = seen.get(name, 0) + 1
    sent = {f"alert-{n}" for n in range(1, source.number + 1)}
    lost, twice = sent - set(seen), [name for name, count in seen.items() if count > 1]
    print(f"intake: {len(seen)} of {len(sent)} alert ids; lost {len(lost)}, duplicated {len(twice)}", flush=True)
    found = [f"{len(lost)} alerts never reached intake: {sorted(lost)[:5]}"] if lost else []
    return found + ([f"{len(twice)} alerts reached intake more than once: {twice[:5]}"] if twice else [])


def replay_problems(program, daemon, source):
    """The clean replay. No daemon may be running."""
    result = subprocess.run([program, daemon.folder / "triaged.yaml"], capture_output=True, text=True, timeout=600,
                            check=False)
    print(f"clean replay: {result.stdout.strip()}", flush=True)
    if result.returncode != 0:
        return [f"the clean replay differs (exit status {result.returncode}): {result.stderr.strip()[-500:]}"]
    figures = json.loads(result.stdout)
    hosts = sum(1 for count in source.sent.values() if count)
    wanted = {"consumed": source.number, "opened": hosts, "merged": source.number - hosts, "duplicate": 0}
    return [f"balance: {name} is {figures[name]}, expected {count}" for name, count in wanted.items()
            if figures[name] != count]


class Outcome:
    """What the topics say, compared with what the source sent."""

    def __init__(self, bootstrap, source):
        self.events = [json.loads(value) for _, value in read_topic(bootstrap, "escalations")]
        self.cases = {}
        for key, value in read_topic(bootstrap, "cases"):
            self.cases[key] = json.loads(value)["data"] if value else None
        self.dead = read_topic(bootstrap, "dead-letter")
        self.source = source

    def counted(self):
        return sum(case["counts"]["alerts"] for case in self.cases.values() if case)

    def problems(self):
        found = []
        events = [e for e in self.events if e["type"].startswith("io.triaged.case.")]
        ids = [event["id"] for event in events]
        self.duplicates = len(ids) - len(set(ids))
        if self.duplicates:
            found.append(f"{self.duplicates} event ids occur more than once")
        by_case = {}
        for event in events:
            by_case.setdefault(event["subject"], set()).add(int(event["sequence"]))
        gaps = [case for case, seen in by_case.items() if seen != set(range(len(seen)))]
        self.lost = len(gaps)
        if gaps:
            found.append(f"events are missing in cases {gaps[:5]}")
        hosts = {}
        for key, case in self.cases.items():
            host = next((o["value"] for o in case["five_ws"]["where"].get("hosts", []) if o["field"] == "host.name"), None)
            hosts.setdefault(host, []).append((key, case["counts"]["alerts"]))
        expected_hosts = {host for host, count in self.source.sent.items() if count}
        if set(hosts) != expected_hosts:
            found.append(f"cases for {len(hosts)} hosts, alerts were sent for {len(expected_hosts)}")
        self.mismatches = 0
        for host in expected_hosts & set(hosts):
            total = sum(count for _, count in hosts[host])
            if total != self.source.sent[host] or len(hosts[host]) != 1:
                self.mismatches += 1
                found.append(f"{host}: sent {self.source.sent[host]}, counted {total} in {len(hosts[host])} cases")
        opened = [e for e in events if e["type"] == "io.triaged.case.opened.v1"]
        if len(opened) != len(expected_hosts):
            found.append(f"{len(opened)} opened events, expected {len(expected_hosts)}")
        escalated = sorted(e["subject"] for e in events if e["type"] == "io.triaged.case.escalated.v1"
                           and e["data"]["reason"] == "major_attack_indicators")
        wanted = sorted(hosts[h][0][0] for h in self.source.attack_sent if h in hosts)
        if escalated != wanted:
            found.append(f"{len(escalated)} escalations by the attack criterion, expected {len(wanted)}")
        if self.dead:
            found.append(f"{len(self.dead)} dead letters, none was expected")
        return found


def settle(bootstrap, source, daemons):
    """Waits until every alert sent is counted in the published cases (or a minute and a half has passed). What belongs
    to the same transactions may become visible a moment later in other partitions: the topics are then read anew."""
    end = time.monotonic() + 90
    while True:
        for daemon in daemons:
            daemon.died()
        if Outcome(bootstrap, source).counted() >= source.number or time.monotonic() > end:
            break
        time.sleep(1)
    time.sleep(1)
    return Outcome(bootstrap, source)


def report(title, outcome, source, extra=""):
    problems = outcome.problems()
    print(f"{title}: {source.number} alerts sent, {outcome.counted()} counted in {len(outcome.cases)} cases, "
          f"{len(outcome.events)} events, {len(source.attack_sent)} escalations expected; lost {outcome.lost}, "
          f"duplicated {outcome.duplicates}, mismatches {outcome.mismatches}{extra}", flush=True)
    for problem in problems[:20]:
        print("  " + problem)
    return problems


def kill_phase(options, rng, bootstrap, source, daemon):
    load = Load(source, rate=1500)
    load.start()
    recovery = []
    for cycle in range(options.cycles):
        daemon.start()
        begin = time.monotonic()
        if cycle % 4 == 3:  # also while it starts, joins and restores
            time.sleep(rng.uniform(0.005, 1.5))
        else:
            daemon.wait_ready()
            recovery.append(time.monotonic() - begin)
            time.sleep(rng.uniform(0.005, 0.5))
        daemon.kill()
    load.stop()
    daemon.start()
    daemon.wait_ready()
    outcome = settle(bootstrap, source, [daemon])
    recovery.sort()
    middle = recovery[len(recovery) // 2] if recovery else 0
    return report(f"kill -9, {options.cycles} cycles", outcome, source,
                  f"; start to ready: median {middle:.1f} s, worst {max(recovery, default=0):.1f} s")


def rebalance_phase(bootstrap, source, first, second):
    """A second process joins, the first is killed in the middle of a transaction or between two, the second takes all
    over, the first comes back: twice, under load."""
    load = Load(source, rate=1000)
    load.start()
    second.start()
    second.wait_ready()
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the partitions to be shared")
    takeovers = []
    for _ in range(2):
        first.kill()
        begin = time.monotonic()
        wait_for(lambda: second.died() or second.running() == PARTITIONS, 60, "the second process to take over")
        takeovers.append(time.monotonic() - begin)
        first.start()
        first.wait_ready()
        wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the first process to get its share again")
    load.stop()
    outcome = settle(bootstrap, source, [first, second])
    return report("rebalance between two processes", outcome, source,
                  f"; taken over after {max(takeovers):.1f} s at most")


def empty_disk_phase(bootstrap, source, daemons):
    for daemon in daemons:
        daemon.stop()
    for daemon in daemons:
        shutil.rmtree(daemon.store)
    daemon = daemons[0]
    daemon.start()
    begin = time.monotonic()
    daemon.wait_ready(90)
    seconds = time.monotonic() - begin
    source.write([json.dumps(source.alert(host)) for host in source.hosts])
    outcome = settle(bootstrap, source, [daemon])
    problems = report("restore on an empty disk", outcome, source, f"; ready after {seconds:.1f} s")
    daemon.stop()
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("--replay-check", required=True, metavar="PROGRAM", help="kafka_replay_check")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--hosts", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    # Stopped from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAILED: stopped from outside"))
    rng = random.Random(options.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-exactly-once-"))
    broker = subprocess.run([sys.executable, HERE / "broker.py", "start", folder / "broker"], stdout=subprocess.PIPE,
                            text=True, timeout=900, check=False)
    if broker.returncode != 0:
        raise SystemExit(broker.returncode)  # 77: skipped, and it has said why
    bootstrap = broker.stdout.split()[-1]
    daemons = []
    try:
        source = Source(bootstrap, rng, options.hosts)
        first = Daemon(options.triaged, bootstrap, folder, "first")
        second = Daemon(options.triaged, bootstrap, folder, "second")
        daemons = [first, second]
        problems = kill_phase(options, rng, bootstrap, source, first)
        problems += rebalance_phase(bootstrap, source, first, second)
        problems += empty_disk_phase(bootstrap, source, daemons)
        problems += intake_problems(bootstrap, source)
        problems += replay_problems(options.replay_check, first, source)
        if source.number < 1000 or not source.attack_sent:
            problems.append("too little was sent to show anything")
    finally:
        for daemon in daemons:
            if daemon.process and daemon.process.poll() is None:
                daemon.kill()
        subprocess.run([sys.executable, HERE / "broker.py", "stop", folder / "broker"], check=False, timeout=60)
    if problems:
        for daemon in daemons:
            print(f"--- end of {daemon.name}'s log\n{daemon.tail()}")
        print(f"kept: {folder}")
        raise SystemExit(f"FAILED with {len(problems)} problems (seed {options.seed})")
    if options.keep:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print("passed: 0 lost, 0 duplicated, 0 mismatches")


if __name__ == "__main__":
    main()
