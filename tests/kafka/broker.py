#!/usr/bin/env python3
"""A real Apache Kafka (KRaft) on free loopback ports, for tests.

  broker.py start DIR [--brokers N] [--kafka VERSION] [--set key=value]... [--secure PEM]
                                                           starts, waits until ready, prints "bootstrap ADDRESS"
  broker.py stop DIR [--id N] [--kill]                     stops what `start DIR` started (or one broker of it)
  broker.py freeze|thaw DIR --id N                         one broker hangs: it answers nothing and closes nothing
  broker.py run [--brokers N] [--kafka …] [--set …] -- COMMAND…        runs COMMAND with TRIAGED_TEST_BOOTSTRAP set, then stops

The jars come once through Maven (pom.xml) and stay in .build/kafka. `start` on a folder that was stopped starts the
same brokers again, on the same ports and data. Where Java or Maven cannot be had: says so and exits with 77, which
ctest counts as skipped; with TRIAGED_REQUIRE_KAFKA=1 (CI) it is a failure. Only processes recorded in DIR, and whose
command line names DIR, are ever signalled.

--kafka VERSION, or TRIAGED_KAFKA_VERSION: another release than pom.xml names, such as 4.0.1; started brokers keep theirs.

--secure: one broker that listens with TLS and SASL/SCRAM-SHA-512, too, and prints "secure ADDRESS". PEM holds its key
and certificate; its only user is "triaged" with the password "triaged-secret".
"""
import argparse
import base64
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".build" / "kafka"
SKIPPED = 77
READY_SECONDS = 90
HEAP = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def unavailable(why):
    if os.environ.get("TRIAGED_REQUIRE_KAFKA") == "1":
        sys.exit(f"FAILED: no Kafka for the tests: {why}")
    print(f"SKIPPED: no Kafka for the tests: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def default_version():
    return os.environ.get("TRIAGED_KAFKA_VERSION") or re.search(r"<kafka.version>(.*)<", (HERE / "pom.xml").read_text())[1]


def jars(version):
    """The folder of a release's jars, made on first use. Renamed into place, so a broken download leaves nothing."""
    for program in ("java", "mvn"):
        if not shutil.which(program):
            unavailable(f"{program} is not installed (deploy/packages.sh test)")
    CACHE.mkdir(parents=True, exist_ok=True)
    stamp = hash_of((HERE / "pom.xml").read_bytes())
    target = CACHE / f"jars-{version}-{stamp}"
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        partial = CACHE / f"partial-{os.getpid()}"
        try:
            made = subprocess.run(["mvn", "-B", "-q", "-f", HERE / "pom.xml", f"-Dkafka.version={version}", "dependency:copy-dependencies",
                                   "-DincludeScope=runtime", f"-DoutputDirectory={partial}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
        except subprocess.TimeoutExpired:
            unavailable("Maven did not answer within 10 minutes")
        if made.returncode != 0 or not list(partial.glob("kafka_2.13-*.jar")):
            unavailable("Maven could not fetch it:\n" + made.stdout[-2000:])
        partial.rename(target)
        return target


def hash_of(data):
    value = 5381
    for byte in data:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def properties(node, ports, controllers, folder, count, extra, secure):
    replicas = min(count, 3)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(controllers)),
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[node - 1]},CONTROLLER://127.0.0.1:{controllers[node - 1]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[node - 1]}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": folder / f"data-{node}",
        # Topics nobody asked the Admin API for get this many partitions: the alert topics of the tests.
        "num.partitions": 4,
        "default.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": max(1, replicas - 1),
        # Quick turns: a test should wait for what it tests and for nothing else.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "message.max.bytes": 16777216,
    }
    if secure:
        port, pem = secure
        settings["listeners"] += f",SECURE://127.0.0.1:{port}"
        settings["advertised.listeners"] += f",SECURE://127.0.0.1:{port}"
        settings["listener.security.protocol.map"] += ",SECURE:SASL_SSL"
        settings |= {"listener.name.secure.ssl.keystore.type": "PEM", "listener.name.secure.ssl.keystore.location": pem,
                     "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                     "listener.name.secure.scram-sha-512.sasl.jaas.config":
                         "org.apache.kafka.common.security.scram.ScramLoginModule required;"}
    settings.update(extra)
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def brokers_known(port):
    """How many brokers the one at `port` names: a Metadata v1 request for no topic, by hand. 0: it does not answer."""
    request = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(2)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 12:
                part = connection.recv(4096)
                if not part:
                    return 0
                answer += part
            return struct.unpack(">i", answer[8:12])[0]
    except OSError:
        return 0


def ours(pid, folder):
    try:
        return str(folder).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Cluster:
    """Brokers whose settings, data, logs and process ids are in one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.state = self.folder / "cluster.json"
        self.saved = json.loads(self.state.read_text()) if self.state.exists() else None

    def save(self):
        self.state.write_text(json.dumps(self.saved))

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.saved["ports"])

    def prepare(self, count, extra, pem, version):
        self.folder.mkdir(parents=True, exist_ok=True)
        *ports, secure_port = free_ports(2 * count + 1)
        self.saved = {"ports": ports[:count], "pids": {}, "secure": secure_port if pem else None, "version": version}
        secure = (secure_port, pathlib.Path(pem).resolve()) if pem else None
        users = ["--add-scram", "SCRAM-SHA-512=[name=triaged,password=triaged-secret]"] if pem else []
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        for node in range(1, count + 1):
            config = self.folder / f"server-{node}.properties"
            config.write_text(properties(node, ports[:count], ports[count:], self.folder, count, extra, secure))
            made = self.java(["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", config, *users])
            if made.returncode != 0:
                sys.exit("FAILED: formatting the broker's storage:\n" + made.stdout[-2000:])
        self.save()

    def java(self, arguments):
        return subprocess.run(["java", *HEAP, "-cp", f"{jars(self.saved['version'])}/*", *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)

    def start(self, count=1, extra=None, pem=None, version=None):
        if not self.saved:
            self.prepare(count, extra or {}, pem, version or default_version())
        pids = self.saved["pids"]
        for node in range(1, len(self.saved["ports"]) + 1):
            if ours(pids.get(str(node), -1), self.folder):
                continue
            with open(self.folder / f"broker-{node}.log", "ab") as log:
                process = subprocess.Popen(
                    ["java", *HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                     "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", f"{jars(self.saved['version'])}/*", "kafka.Kafka",
                     self.folder / f"server-{node}.properties"],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            pids[str(node)] = process.pid
        self.save()
        self.wait_ready()

    def wait_ready(self):
        ports, end = self.saved["ports"], time.monotonic() + READY_SECONDS
        while not all(brokers_known(port) == len(ports) for port in ports):
            dead = [node for node, pid in self.saved["pids"].items() if not alive(pid)]
            if dead or time.monotonic() > end:
                logs = "".join((self.folder / f"broker-{node}.log").read_text(errors="replace")[-3000:]
                               for node in dead or self.saved["pids"])
                self.stop()
                sys.exit(f"FAILED: the broker did not become ready; its log:\n{logs}")
            time.sleep(0.2)

    def signal(self, node, what):
        pid = self.saved["pids"].get(str(node), -1)
        if ours(pid, self.folder):
            os.kill(pid, what)

    def stop(self, node=None, kill=False):
        nodes = [str(node)] if node else list(self.saved["pids"] if self.saved else {})
        waiting = {}
        for name in nodes:
            pid = self.saved["pids"].pop(name, -1)
            if ours(pid, self.folder):
                os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
                waiting[name] = pid
        end = time.monotonic() + 20
        for pid in waiting.values():
            while ours(pid, self.folder) and alive(pid):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    end += 5
                time.sleep(0.1)
        if self.saved:
            self.save()


def alive(pid):
    try:
        os.waitpid(pid, os.WNOHANG)  # a child that ended is no longer there
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


def run(options, extra):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-kafka-"))
    cluster = Cluster(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        cluster.start(options.brokers, extra, version=options.kafka)
        command = [part for part in options.command if part != "--"]
        return subprocess.run(command, env=os.environ | {"TRIAGED_TEST_BOOTSTRAP": cluster.bootstrap},
                              check=False).returncode
    finally:
        cluster.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("start", "run"):
        action = actions.add_parser(name)
        if name == "start":
            action.add_argument("folder")
            action.add_argument("--secure", metavar="PEM", help="a listener with TLS and SASL, too")
        action.add_argument("--brokers", type=int, default=1)
        action.add_argument("--kafka", metavar="VERSION", help="a release of Kafka, such as 4.0.1")
        action.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a broker setting")
        if name == "run":
            action.add_argument("command", nargs=argparse.REMAINDER)
    action = actions.add_parser("stop")
    action.add_argument("folder")
    action.add_argument("--id", type=int)
    action.add_argument("--kill", action="store_true", help="SIGKILL: the broker crashes")
    for name in ("freeze", "thaw"):
        action = actions.add_parser(name)
        action.add_argument("folder")
        action.add_argument("--id", type=int, required=True)
    options = parser.parse_args()
    if options.action in ("freeze", "thaw"):
        Cluster(options.folder).signal(options.id, signal.SIGSTOP if options.action == "freeze" else signal.SIGCONT)
        return 0
    if options.action == "stop":
        Cluster(options.folder).stop(options.id, options.kill)
        return 0
    extra = dict(one.split("=", 1) for one in options.set)
    if options.action == "run":
        return run(options, extra)
    cluster = Cluster(options.folder)
    cluster.start(options.brokers, extra, options.secure, options.kafka)
    if options.secure:
        print(f"secure 127.0.0.1:{cluster.saved['secure']}")
    print("bootstrap", cluster.bootstrap)
    return 0


if __name__ == "__main__":
    sys.exit(main())
