#!/usr/bin/env python3
"""Dashboards and rules in front of a real Prometheus that scrapes the daemon of the quick start.

  dashboards_test.py ROOT TRIAGED TRIAGECTL NOTIFIER [--seconds N] [--pictures FOLDER]

Starts the daemon (embedded broker) with a stream of alerts and a few commands, and Debian's Prometheus with the shipped
rules, both on free loopback ports. Then every query of every dashboard and every rule expression is run there and must
give data; alerts that do not fire are listed, and what they read must be there. Everything starts and ends with the test.
"""
import argparse
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import pictures

FEED = "\nfeeds:\n  - {name: demo, topic: alerts, silent_after: 1h, severity: high}\n"
VARIABLES = {"$__rate_interval": "10s", "$__range": "60s"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def wait_for(what, check, seconds):
    end = time.monotonic() + seconds
    error = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (OSError, ValueError, KeyError) as caught:
            error = caught
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what} within {seconds} s ({error})")


class Demo:
    """The daemon with its stream, and Prometheus; everything in one scratch folder."""

    def __init__(self, root, triaged, triagectl):
        self.root, self.triaged, self.triagectl = root, triaged, triagectl
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="dashboards-"))
        self.processes = []
        self.web, self.prometheus, self.notify = free_port(), free_port(), free_port()

    def start(self, command, log, **more):
        process = subprocess.Popen([str(part) for part in command], stdout=open(self.scratch / log, "w"),
                                   stderr=subprocess.STDOUT, **more)
        self.processes.append(process)
        return process

    def start_daemon(self):
        config = (self.root / "deploy/quickstart/triaged.yaml").read_text(encoding="utf-8")
        config = config.replace("@STORE@", str(self.scratch / "store")).replace("@CONFIGS@", str(self.root / "configs"))
        config = config.replace("127.0.0.1:9464", f"127.0.0.1:{self.web}")
        pack = self.scratch / "watched.yaml"  # the quick start's, with a feed that is watched
        pack.write_text((self.root / "configs/policies/soc-tiered.yaml").read_text(encoding="utf-8") + FEED, encoding="utf-8")
        config = re.sub(r'^policies: .*$', f'policies: "{pack}"', config, flags=re.MULTILINE)
        (self.scratch / "triaged.yaml").write_text(config, encoding="utf-8")
        self.start([self.triaged, f"--config.file={self.scratch / 'triaged.yaml'}"], "triaged.log")
        log = self.scratch / "triaged.log"
        found = wait_for("the embedded broker", lambda: re.search(r"bootstrap=([0-9.:]+)", log.read_text()), 30)
        self.bootstrap = found.group(1)
        wait_for("the daemon is ready", lambda: "ready" in get(f"http://127.0.0.1:{self.web}/-/ready"), 60)

    def start_notifier(self, notifier):
        config = (self.root / "deploy/quickstart/notify.yaml").read_text(encoding="utf-8")
        for name, value in {"@BOOTSTRAP@": self.bootstrap, "@MEMORY@": str(self.scratch / "notify"),
                            "@NOTIFY@": f"127.0.0.1:{self.notify}", "@ALERTMANAGER@": f"127.0.0.1:{free_port()}"}.items():
            config = config.replace(name, value)
        (self.scratch / "notify.yaml").write_text(config, encoding="utf-8")
        self.start([notifier, f"--config.file={self.scratch / 'notify.yaml'}"], "notify.log")
        wait_for("the notifier", lambda: "triaged_notify_records_total" in get(f"http://127.0.0.1:{self.notify}/metrics"), 30)

    def start_stream(self, seconds):
        stream = subprocess.Popen([sys.executable, str(self.root / "deploy/quickstart/alert_stream.py"), "--rate", "100",
                                   "--seconds", str(seconds)], stdout=subprocess.PIPE)
        self.processes.append(stream)
        self.start(["kcat", "-P", "-b", self.bootstrap, "-t", "alerts"], "kcat.log", stdin=stream.stdout)

    def start_prometheus(self):
        rules = (self.root / "deploy/prometheus/triaged.rules.yml").read_text(encoding="utf-8")
        (self.scratch / "triaged.rules.yml").write_text(rules.replace("interval: 30s", "interval: 1s"), encoding="utf-8")
        config = (self.root / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
        config = config.replace("127.0.0.1:9464", f"127.0.0.1:{self.web}").replace("15s", "1s").replace("127.0.0.1:9465", f"127.0.0.1:{self.notify}")
        config = re.sub(r"alerting:\n(?: .*\n)+\n", "", config)
        (self.scratch / "prometheus.yml").write_text(config, encoding="utf-8")
        self.start(["prometheus", f"--config.file={self.scratch / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.scratch / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.prometheus}"],
                   "prometheus.log")
        # Until it has read its log it answers queries with 503.
        wait_for("Prometheus is ready", lambda: get(f"http://127.0.0.1:{self.prometheus}/-/ready"), 60)
        # What is counted before the first scrape is no increase: the stream starts after it.
        wait_for("the first scrape", lambda: self.query("triaged_build_info"), 30)

    def acknowledge_some(self):
        """Acknowledges and resolves the first case that escalated: some figures need a person."""
        def escalated():
            out = subprocess.run(["kcat", "-C", "-e", "-q", "-b", self.bootstrap, "-t", "triaged.escalations", "-o",
                                  "beginning"], capture_output=True, text=True, timeout=30, check=False).stdout
            events = [json.loads(line) for line in out.splitlines()]
            return [event["subject"] for event in events if event["type"] == "io.triaged.case.escalated.v1"]
        case = wait_for("an escalation", escalated, 30)[0]
        client = self.scratch / "client.yaml"
        client.write_text((self.scratch / "triaged.yaml").read_text().replace(
            "embedded_broker: true", f"bootstrap_servers: {self.bootstrap}"), encoding="utf-8")
        for verb, more in (("ack", []), ("resolve", ["--reason", "rebuilt"])):
            done = subprocess.run([self.triagectl, f"--config.file={client}", verb, case, "--actor", "emi", "--role", "l2",
                                   *more], capture_output=True, text=True, timeout=30, check=False)
            if done.returncode != 0:
                raise SystemExit(f"FAILED: triagectl {verb}: {done.stdout}{done.stderr}")

    def get(self, path):
        return get(f"http://127.0.0.1:{self.prometheus}{path}")

    def query(self, expression):
        text = urllib.parse.urlencode({"query": expression})
        try:
            answer = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{text}"))
        except urllib.error.HTTPError as error:
            raise SystemExit(f"FAILED: {expression}: {error.read().decode()}") from error
        return answer["data"]["result"]

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)


def check_layout(board, failures):
    """Fixed uid, the data source by variable everywhere, no panel over another."""
    name = board["uid"]
    if not name.startswith("triaged-") or "id" in board:
        failures.append(f"{name}: a provisioned dashboard has a fixed uid and no id")
    if [v["name"] for v in board["templating"]["list"] if v["type"] == "datasource"] != ["datasource"]:
        failures.append(f"{name}: no data source variable")
    ids, taken = set(), set()
    for panel in board["panels"]:
        ids.add(panel["id"])
        for holder in [panel, *panel["targets"]]:
            if holder["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
                failures.append(f"{name}, {panel['title']}: data source is not the variable")
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if cells & taken or at["x"] + at["w"] > 24:
            failures.append(f"{name}, {panel['title']}: lies over another panel or outside")
        taken |= cells
    if len(ids) != len(board["panels"]):
        failures.append(f"{name}: panel ids repeat")


def resolve(board, expression):
    """The expression with the dashboard's variables filled in."""
    text = expression.replace("$job", "triaged-notify" if board["uid"] == "triaged-delivery" else "triaged")
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    if "$" in text:
        raise SystemExit(f"FAILED: {board['uid']}: unknown variable in {text}")
    return text


def expressions(boards):
    for board in boards:
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{board['uid']}, {panel['title']}", resolve(board, target["expr"])


def check_queries(demo, boards, failures):
    count = 0
    for where, text in expressions(boards):
        count += 1
        if not demo.query(text):
            failures.append(f"{where}: no data: {text}")
    return count


def check_rules(demo, failures):
    """Every rule is evaluated without error; what is recorded is there; an alert that does not fire reads series that
    exist, so that no misspelt name keeps it quiet for ever."""
    groups = json.loads(get(f"http://127.0.0.1:{demo.prometheus}/api/v1/rules"))["data"]["groups"]
    count, quiet = 0, []
    for rule in (rule for group in groups for rule in group["rules"]):
        count += 1
        if rule["health"] != "ok":
            failures.append(f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        if demo.query(rule["query"]):
            continue
        if rule["type"] == "recording":
            failures.append(f"rule {rule['name']} records nothing")
        quiet.append(rule["name"])
        plain = re.sub(r"\[\w+\]", "", rule["query"])
        for selector in set(re.findall(r"(?:job\w*:)?triaged_[\w:]+(?:\{[^}]*\})?", plain)):
            if not demo.query(selector):
                failures.append(f"rule {rule['name']}: no series {selector}")
    return count, quiet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("triaged")
    parser.add_argument("triagectl")
    parser.add_argument("notifier")
    parser.add_argument("--seconds", type=int, default=15, help="how long Prometheus watches before it is asked")
    parser.add_argument("--pictures", help="folder to draw every panel into, one HTML page per dashboard")
    options = parser.parse_args()
    boards = [json.loads(path.read_text(encoding="utf-8"))
              for path in sorted((options.root / "deploy/grafana/dashboards").glob("*.json"))]
    failures = []
    for board in boards:
        check_layout(board, failures)
    demo = Demo(options.root, options.triaged, options.triagectl)
    try:
        demo.start_daemon()
        demo.start_notifier(options.notifier)
        demo.start_prometheus()
        demo.start_stream(options.seconds + 60)
        demo.acknowledge_some()
        seen = f'count_over_time(triaged_time_to_resolve_seconds_count{{job="triaged"}}[1h]) > {options.seconds}'
        wait_for("Prometheus has watched long enough", lambda: demo.query(seen), options.seconds + 20)
        asked = check_queries(demo, boards, failures)
        rules, quiet = check_rules(demo, failures)
        if options.pictures:
            pictures.draw(demo, boards, resolve, options.pictures, options.seconds + 20)
        for port in (demo.web, demo.notify):
            metrics = get(f"http://127.0.0.1:{port}/metrics")
            checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False)
            if checked.returncode != 0:
                failures.append("promtool check metrics:\n" + checked.stdout + checked.stderr)
    finally:
        demo.stop()
    print(f"{len(boards)} dashboards, {asked} queries; {rules} rules")
    print("alerts that do not fire:", ", ".join(quiet))
    for failure in failures:
        print("FAILED:", failure)
    sys.exit(1 if failures or asked < 50 or len(boards) < 5 else 0)


main()
