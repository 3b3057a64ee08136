"""What the tests of exactly-once share: daemons, a source that remembers what it sent, and an oracle that compares it with
what the topics say. The oracle reads the topics with a reader of its own (kcat, read_committed) and never asks the daemon
for its opinion; kafka_replay_check repeats every recorded step with a processor that never crashed.
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
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

    def __init__(self, binary, bootstrap, folder, name, more=""):
        self.binary, self.name = binary, name
        self.folder = folder / name
        self.store = self.folder / "store"
        self.folder.mkdir()
        self.port = free_port()
        self.log = open(self.folder / "log", "ab")
        self.process = None
        self.environment = {}
        self.started_at = 0  # of the log's bytes
        policy = (ROOT / "configs/policies/soc-tiered.yaml").read_text()
        policy = re.sub(r"document_interval: \S+", "document_interval: 1s", policy)
        if "retention:" in more:  # which must not be shorter than a window that looks back
            policy = re.sub(r"reopen: \w+", "reopen: 1s", policy)
        (self.folder / "policy.yaml").write_text(policy)
        (self.folder / "triaged.yaml").write_text(f"""
application_id: {APPLICATION}
instance: {name}
kafka:
  bootstrap_servers: {bootstrap}
  alert_topics: [alerts]
  partitions: {PARTITIONS}
  session_timeout: 6s
storage: {{path: {self.store}, memory: 64MiB, flush_interval: 2s}}
web: {{listen_address: "127.0.0.1:{self.port}"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {self.folder}/policy.yaml
{more}""")

    def start(self, *arguments):
        self.started_at = self.log_size()
        self.process = subprocess.Popen([self.binary, f"--config.file={self.folder}/triaged.yaml", *arguments],
                                        stdout=self.log, stderr=self.log, env=os.environ | self.environment)

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
        return len(self.partitions_running())

    def partitions_running(self):
        states = dict(re.findall(r"msg=partition worker=\d+ partition=(\d+) state=(\w+)", self.log_since(self.started_at)))
        return {partition for partition, state in states.items() if state == "running"}

    def resident(self):
        """Its memory in MiB."""
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

    def tail(self):
        self.log.flush()
        return "".join(open(self.folder / "log", errors="replace").readlines()[-30:])

    def log_size(self):
        return (self.folder / "log").stat().st_size

    def log_since(self, size):
        with open(self.folder / "log", "rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

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
        self.hosts, self.attacked, self.sent = [], set(), {}
        self.add_hosts(hosts)
        self.newest = hosts  # so many of the hosts have alerts at a time
        self.number = 0
        self.attack_sent = set()
        self.poisoned = 0  # records that cannot be read

    def add_hosts(self, count):
        """Every fifth of them will be attacked."""
        for number in range(len(self.hosts), len(self.hosts) + count):
            host = f"host-{number:03d}"
            if number % 5 == 0:
                self.attacked.add(host)
            self.sent[host] = 0
            self.hosts.append(host)

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
            host = self.rng.choice(self.hosts[-self.newest:])
            attack = host in self.attacked and host not in self.attack_sent and self.sent[host] >= 3
            if attack:
                self.attack_sent.add(host)
            lines.append(json.dumps(self.alert(host, attack)))
        self.write(lines)

    def derived(self, case):
        """Whether a case is made of alerts that the daemon derived, which the source never sent."""
        return False

    def write(self, lines):
        self.write_bytes(("\n".join(lines) + "\n").encode())

    def write_bytes(self, records, *arguments):
        # One producer per burst: kcat keeps the last lines of an open pipe in its own buffer. It waits for a broker that is away.
        subprocess.run(["kcat", "-P", "-E", "-q", "-b", self.bootstrap, "-t", "alerts", "-X", "acks=all", "-X",
                        "enable.idempotence=true", "-X", "linger.ms=1", "-X", "socket.timeout.ms=10000", "-X",
                        "message.timeout.ms=900000", *arguments], input=records, check=True, timeout=900)


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
    """Every committed (key, value) of a topic; see read_records."""
    for record in read_records(bootstrap, topic):
        yield record.get("key"), record.get("payload")


def read_records(bootstrap, topic):
    """Every committed record of a topic, as kcat's JSON, from the beginning to the end, one by one: a long run's do not fit at once."""
    with subprocess.Popen(["timeout", "900", "kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", f"{APPLICATION}.{topic}", "-o",
                           "beginning", "-X", "isolation.level=read_committed", "-J"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as reader:
        for line in reader.stdout:
            yield json.loads(line.decode(errors="replace"))  # a dead letter has its original's bytes
    if reader.returncode == 124:
        raise SystemExit(f"FAILED: {APPLICATION}.{topic} could not be read to its end in time")


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
    result = subprocess.run([program, daemon.folder / "triaged.yaml"], capture_output=True, text=True, timeout=1800,
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
        self.cases = {key: json.loads(value)["data"] if value else None
                      for key, value in dict(read_topic(bootstrap, "cases")).items()}
        self.derived = {key: case for key, case in self.cases.items() if case and source.derived(case)}
        self.cases = {key: case for key, case in self.cases.items() if key not in self.derived}
        self.dead = list(read_topic(bootstrap, "dead-letter"))
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
        opened = [e for e in events if e["type"] == "io.triaged.case.opened.v1" and e["subject"] not in self.derived]
        if len(opened) != len(expected_hosts):
            found.append(f"{len(opened)} opened events, expected {len(expected_hosts)}")
        escalated = sorted(e["subject"] for e in events if e["type"] == "io.triaged.case.escalated.v1"
                           and e["data"]["reason"] == "major_attack_indicators")
        self.escalated = len(escalated)
        wanted = sorted(hosts[h][0][0] for h in self.source.attack_sent if h in hosts)
        if escalated != wanted:
            found.append(f"{len(escalated)} escalations by the attack criterion, expected {len(wanted)}")
        if len(self.dead) != self.source.poisoned:
            found.append(f"{len(self.dead)} dead letters, expected {self.source.poisoned}")
        return found


def settle(bootstrap, source, daemons):
    """Waits until every alert sent is counted in the published cases (or a minute and a half has passed). What belongs
    to the same transactions may become visible a moment later in other partitions: the topics are then read anew."""
    end = time.monotonic() + 90
    while True:
        for daemon in daemons:
            daemon.died()
        seen = Outcome(bootstrap, source)
        if (seen.counted() >= source.number and len(seen.dead) >= source.poisoned) or time.monotonic() > end:
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
