#!/usr/bin/env python3
"""The daemon built with ThreadSanitizer on a real broker: three workers under load, a second process that joins and
leaves, scrapes and reloads all the while. Fails on any report, and when the alerts did not all come through.

  threads_test.py TRIAGED_TSAN E2E_CLIENT [--alerts 20000]
"""
import argparse
import itertools
import os
import pathlib
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
BROKER = HERE / "broker.py"
SECONDS = 300  # for everything; the sanitizer makes each step some ten times slower


def startable(binary):
    """The command that starts a sanitized program here. The sanitizer needs its own place in the address space, which a
    kernel that randomises many bits does not leave it: then without randomising. None: it cannot start at all."""
    said = []
    for prefix in ([], ["setarch", "-R"]):
        tried = subprocess.run([*prefix, binary, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               timeout=60, check=False)
        if tried.returncode == 0:
            return [*prefix, binary]
        said.append(tried.stdout[-500:])
    if all("ThreadSanitizer" in one or "setarch" in one for one in said):
        print("SKIPPED: the thread sanitizer does not start on this machine:", *said)
        return None
    raise SystemExit(f"FAILED: {binary} --version: {said}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, command, bootstrap, folder, name, workers):
        self.port = free_port()
        config = folder / f"{name}.yaml"
        config.write_text(f"""
application_id: threads
instance: {name}
workers: {workers}
kafka: {{bootstrap_servers: "{bootstrap}", alert_topics: [alerts], partitions: 6, session_timeout: 10s}}
storage: {{path: "{folder}/store-{name}"}}
web: {{listen_address: "127.0.0.1:{self.port}"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
""")
        # Libraries that are not instrumented synchronise in ways the sanitizer cannot see.
        environment = dict(os.environ, TSAN_OPTIONS="ignore_noninstrumented_modules=1:exitcode=66")
        self.log_path = folder / f"{name}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*command, f"--config.file={config}"], stdout=log, stderr=log, env=environment)

    def get(self, path, data=None):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=data, timeout=10).read().decode()
        except (urllib.error.URLError, OSError):
            return ""

    def decided(self):
        found = re.search(r'triaged_alerts_consumed_total\{stage="decide"\} (\S+)', self.get("/metrics"))
        return int(float(found.group(1))) if found else 0

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "did not stop within 60 s"

    def reports(self):
        text = self.log_path.read_text(errors="replace")
        return text[text.index("WARNING: ThreadSanitizer"):][:6000] if "WARNING: ThreadSanitizer" in text else ""


def exercise(options, command, bootstrap, folder):
    end = time.monotonic() + SECONDS
    client = [options.client, "fill", bootstrap, "alerts"]
    subprocess.run([*client, str(options.alerts // 2)], timeout=120, check=True)
    first = Daemon(command, bootstrap, folder, "first", 3)
    daemons, over = [first], threading.Event()

    def disturb():
        for number in itertools.count():
            if over.wait(0.2):
                return
            first.get("/metrics")
            if number % 25 == 10:
                first.get("/-/reload", data=b"")
            if number % 25 == 20:
                first.process.send_signal(signal.SIGHUP)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        wait(lambda: first.decided() >= options.alerts // 4, end)
        daemons.append(Daemon(command, bootstrap, folder, "second", 1))
        wait(lambda: daemons[1].get("/-/ready"), end)
        subprocess.run([*client, str(options.alerts - options.alerts // 2)], timeout=120, check=True)
        wait(lambda: sum(d.decided() for d in daemons) >= options.alerts, end)
    except BaseException:
        for daemon in daemons:
            print(daemon.log_path.read_text(errors="replace")[-3000:], f"decided {daemon.decided()}")
        raise
    finally:
        over.set()
        disturber.join()
        codes = [daemon.stop() for daemon in reversed(daemons)]
    found = [report for report in (daemon.reports() for daemon in daemons) if report]
    for report in found:
        print(report)
    if found or any(codes):
        for daemon in daemons:
            print(daemon.log_path.read_text(errors="replace")[-6000:])
        raise SystemExit(f"FAILED: exit codes {codes}, {len(found)} processes with reports")
    print(f"{options.alerts} alerts, 4 workers in 2 processes, a rebalance, reloads and scrapes: no report")


def wait(condition, end):
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("FAILED: the alerts did not come through in time")
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("client")
    parser.add_argument("--alerts", type=int, default=20_000)
    options = parser.parse_args()
    command = startable(options.triaged)
    if not command:
        sys.exit(77)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-threads-"))
    started = subprocess.run([sys.executable, BROKER, "start", folder / "broker"], stdout=subprocess.PIPE, text=True,
                             timeout=300, check=False)
    if started.returncode:
        sys.exit(started.returncode)  # 77: no Java or Maven here, reported as skipped
    try:
        exercise(options, command, started.stdout.split()[-1], folder)
    finally:
        subprocess.run([sys.executable, BROKER, "stop", folder / "broker"], check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
