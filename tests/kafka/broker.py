#!/usr/bin/env python3
"""A real Apache Kafka on loopback for the tests: one broker in KRaft mode, its jars through Maven.

  broker.py start DIR [--partitions N]   prints the bootstrap address once the broker answers
  broker.py stop DIR                     ends it (by its own process id)

The jars are fetched once into .build/kafka/libs. Ports are free ones; the heap is 512 MiB; every wait is bounded.
"""
import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
LIBS = HERE.parent.parent / ".build/kafka/libs"


def say(text):
    print(text, file=sys.stderr, flush=True)


def fetch_jars():
    if any(LIBS.glob("kafka_2.13-*.jar")) and (LIBS / ".complete").exists():
        return
    LIBS.mkdir(parents=True, exist_ok=True)
    say("fetching Kafka's jars through Maven (once)")
    subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
                    f"-DoutputDirectory={LIBS}"], check=True, timeout=600, stdout=sys.stderr)
    (LIBS / ".complete").touch()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def java(folder, heap, *arguments, **options):
    log4j = folder / "log4j.properties"
    log4j.write_text("log4j.rootLogger=WARN, stdout\nlog4j.appender.stdout=org.apache.log4j.ConsoleAppender\n"
                     "log4j.appender.stdout.layout=org.apache.log4j.PatternLayout\n"
                     "log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n\n")
    command = ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", f"-Dlog4j.configuration=file:{log4j}", "-cp", f"{LIBS}/*",
               *arguments]
    return subprocess.Popen(command, **options)


def start(folder, partitions):
    fetch_jars()
    folder.mkdir(parents=True, exist_ok=True)
    port, controller = free_ports(2)
    properties = folder / "server.properties"
    properties.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
num.partitions={partitions}
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
""")
    output = open(folder / "broker.log", "ab")
    formatting = java(folder, "128m", "kafka.tools.StorageTool", "format", "-t", str(uuid.uuid4()), "-c", str(properties),
                      stdout=output, stderr=output)
    if formatting.wait(timeout=60) != 0:
        raise SystemExit(f"formatting the storage failed: {(folder / 'broker.log').read_text()[-2000:]}")
    broker = java(folder, "768m", "kafka.Kafka", str(properties), stdout=output, stderr=output, start_new_session=True)
    (folder / "pid").write_text(str(broker.pid))
    bootstrap = f"127.0.0.1:{port}"
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if broker.poll() is not None:
            break
        answer = subprocess.run(["kcat", "-L", "-b", bootstrap, "-m", "2"], capture_output=True, check=False)
        if answer.returncode == 0:
            print(bootstrap, flush=True)
            return
        time.sleep(0.3)
    stop(folder)
    raise SystemExit(f"the broker did not start: {(folder / 'broker.log').read_text()[-2000:]}")


def stop(folder):
    try:
        pid = int((folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--partitions", type=int, default=4, help="of topics that are made on first use")
    options = parser.parse_args()
    if options.action == "start":
        start(options.folder.resolve(), options.partitions)
    else:
        stop(options.folder.resolve())


if __name__ == "__main__":
    main()
