#!/usr/bin/env python3
"""The daemon on a real broker that asks for TLS and SASL/SCRAM: with the right settings an alert becomes an escalation;
with a wrong authority, host or password the daemon says which, stays up without being ready, tries again with pauses, and
ends at once when asked.

  security_test.py TRIAGED
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BROKER = HERE / "broker.py"
ALERT = {"ecs": {"version": "8.11"}, "event": {"kind": "alert", "id": "a1", "severity": 99}, "host": {"name": "db7"},
         "rule": {"name": "Ransomware found"}, "@timestamp": "2026-03-02T08:00:00Z"}


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out",
                    folder / f"{name}.crt"], check=True, capture_output=True, timeout=60)
    (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())


class Daemon:
    def __init__(self, binary, folder, name, bootstrap, authority, password):
        (folder / f"{name}.secret").write_text(password + "\n")
        config = folder / f"{name}.yaml"
        config.write_text(f"""
application_id: secure
kafka:
  bootstrap_servers: "{bootstrap}"
  alert_topics: [alerts]
  partitions: 2
  properties:
    security.protocol: SASL_SSL
    ssl.ca.location: {folder / authority}.crt
    sasl.mechanism: SCRAM-SHA-512
    sasl.username: triaged
    sasl.password_file: {name}.secret
storage: {{path: store-{name}}}
web: {{listen_address: "127.0.0.1:0"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
""")
        self.log_path = folder / f"{name}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([binary, f"--config.file={config}"], stdout=log, stderr=log)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def ready(self):
        port = re.search(r"msg=listening .*port=(\d+)", self.log())
        try:
            return bool(port) and urllib.request.urlopen(f"http://127.0.0.1:{port.group(1)}/-/ready", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


def wait(what, condition, seconds, log):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what} within {seconds} s; the log:\n{log()[-3000:]}")
        time.sleep(0.1)
    return found


def kcat(bootstrap, *words, text=None):
    return subprocess.run(["kcat", "-b", bootstrap, *words], input=text, capture_output=True, text=True, timeout=60,
                          check=True).stdout


def works(options, folder, plain, secure):
    kcat(plain, "-P", "-t", "alerts", text=json.dumps(ALERT) + "\n")
    daemon = Daemon(options, folder, "right", secure, "broker", "triaged-secret")
    try:
        wait("the daemon is ready", daemon.ready, 90, daemon.log)

        def escalated():
            out = kcat(plain, "-C", "-e", "-q", "-t", "secure.escalations", "-o", "beginning")
            return [line for line in out.splitlines() if json.loads(line)["type"] == "io.triaged.case.escalated.v1"]
        wait("the escalation", escalated, 60, daemon.log)
    finally:
        code = daemon.stop()
    if code or "triaged-secret" in daemon.log():
        raise SystemExit(f"FAILED: exit code {code}, or the password is in the log")
    print("ok: TLS and SASL/SCRAM-SHA-512: ready, and the alert escalated")


def refused(options, folder, name, bootstrap, authority, password, said):
    daemon = Daemon(options, folder, name, bootstrap, authority, password)
    try:
        wait(f"{name}: the log says '{said}'", lambda: re.search(said, daemon.log(), re.I), 60, daemon.log)
        # Still there and trying, a few times a second at most.
        before, begun = len(daemon.log().splitlines()), time.monotonic()
        wait(f"{name}: it tries again", lambda: time.monotonic() - begun > 5, 10, daemon.log)
        lines = len(daemon.log().splitlines()) - before
        state = (daemon.process.poll(), daemon.ready(), lines < 60, password in daemon.log() and name == "password")
        if state != (None, False, True, False):
            raise SystemExit(f"FAILED: {name}: exit, ready, few lines ({lines}), secret told: {state}\n{daemon.log()[-3000:]}")
    finally:
        code = daemon.stop()
    if code:
        raise SystemExit(f"FAILED: {name}: stopped with {code}\n{daemon.log()[-2000:]}")
    print(f"ok: wrong {name}: told, not ready, {lines} lines in 5 s, ends when asked")


def main():
    triaged = sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-security-"))
    certificate(folder, "broker")
    certificate(folder, "stranger")
    started = subprocess.run([sys.executable, BROKER, "start", folder / "broker", "--secure", folder / "broker.pem"],
                             stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    if started.returncode:
        sys.exit(started.returncode)  # 77: no Java or Maven here, reported as skipped
    secure, plain = (line.split()[1] for line in started.stdout.splitlines())
    try:
        works(triaged, folder, plain, secure)
        refused(triaged, folder, "authority", secure, "stranger", "triaged-secret", "certificate verify failed")
        refused(triaged, folder, "host", secure.replace("127.0.0.1", "localhost"), "broker", "triaged-secret",
                "certificate verify failed|hostname mismatch")
        refused(triaged, folder, "password", secure, "broker", "wrong-password-7", "authentication fail")
    finally:
        subprocess.run([sys.executable, BROKER, "stop", folder / "broker"], check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


main()
