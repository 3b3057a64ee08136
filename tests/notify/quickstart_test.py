#!/usr/bin/env python3
"""`deploy/quickstart.sh --with-prometheus --for 25s`: the escalations arrive in Alertmanager, Prometheus scrapes both
daemons and evaluates our rules, and afterwards nothing is left running.

  quickstart_test.py ROOT
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(sys.argv[1]).resolve()


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def wait_for(what, check, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := check():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{what} within {seconds} s")


def main():
    if not shutil.which("prometheus") or not shutil.which("prometheus-alertmanager"):
        print("SKIPPED: Debian's prometheus and prometheus-alertmanager are not installed")
        sys.exit(77)
    process = subprocess.Popen([ROOT / "deploy/quickstart.sh", "--with-prometheus", "--for", "25s"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    address = lambda pattern: (re.search(pattern, "".join(lines)) or [None, None])[1]
    try:
        manager = wait_for("Alertmanager's address", lambda: address(r"Alertmanager, .*: (http://127\.0\.0\.1:\d+)/"), 240)
        prometheus = wait_for("Prometheus' address", lambda: address(r"Prometheus: (http://127\.0\.0\.1:\d+)/"), 5)
        alerts = wait_for("an escalation in Alertmanager",
                          lambda: [a for a in get(manager + "/api/v2/alerts") if a["labels"]["alertname"] == "TriagedEscalation"], 30)
        labels = alerts[0]["labels"]
        assert re.fullmatch(r"\d+-\d+", labels["case_id"]) and labels["level"] and labels["severity"], labels
        assert alerts[0]["status"]["state"] == "active" and labels["case_id"] in alerts[0]["annotations"]["summary"], alerts[0]
        wait_for("the watchdog alert in Alertmanager",
                 lambda: [a for a in get(manager + "/api/v2/alerts") if a["labels"]["alertname"] == "TriagedWatchdog"], 30)
        up = lambda: {r["metric"]["job"]: r["value"][1] for r in get(prometheus + "/api/v1/query?query=up")["data"]["result"]}
        wait_for("both daemons scraped", lambda: up() == {"triaged": "1", "triaged-notify": "1"}, 20)
        code = process.wait(60)
        assert code == 0, code
    except BaseException:
        print("".join(lines[-40:]))
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
    reader.join(5)
    listed = subprocess.run(["ps", "-o", "stat=,args=", "-s", str(process.pid)], capture_output=True, text=True, check=False).stdout
    left = [line for line in listed.splitlines() if not line.startswith("Z")]
    assert not left, f"still running: {left}"
    print(f"quick start: {len(alerts)} escalations in Alertmanager at first sight")


main()
