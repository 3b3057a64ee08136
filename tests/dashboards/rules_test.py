#!/usr/bin/env python3
"""The alerting rules of deploy/prometheus: promtool checks and tests them, each alert has a test and a runbook entry.

  rules_test.py ROOT
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1]).resolve()
HERE = pathlib.Path(__file__).resolve().parent
RULES = ROOT / "deploy" / "prometheus" / "triaged.rules.yml"


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout + done.stderr)
    return done.returncode == 0


def run_promtool(failures):
    if not promtool("check", "rules", RULES):
        failures.append("promtool check rules")
    # promtool looks for rule files beside the test.
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(RULES, folder)
        shutil.copy(HERE / "rules_test.yml", folder)
        if not promtool("test", "rules", pathlib.Path(folder) / "rules_test.yml"):
            failures.append("promtool test rules")


def main():
    failures = []
    run_promtool(failures)
    rules = RULES.read_text(encoding="utf-8")
    tests = (HERE / "rules_test.yml").read_text(encoding="utf-8")
    runbook = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    alerts = re.findall(r"^ +- alert: (\w+)$", rules, re.MULTILINE)
    entries = re.findall(r"^### (Triaged\w+)$", runbook, re.MULTILINE)
    for alert in alerts:
        if entries.count(alert) != 1:
            failures.append(f"deploy/README.md needs one runbook entry '### {alert}', and has {entries.count(alert)}")
        if f'deploy/README.md#{alert.lower()}"' not in rules:
            failures.append(f"{alert}: its runbook annotation does not point at its entry")
        if alert != "TriagedWatchdog" and f'alertname="{alert}"' not in tests:
            failures.append(f"{alert}: no test shows it firing")
    failures += [f"deploy/README.md: the entry '{entry}' belongs to no alert" for entry in entries if entry not in alerts]
    print(f"{len(alerts)} alerts, {len(entries)} runbook entries")
    for failure in failures:
        print("FAILED:", failure)
    sys.exit(1 if failures or not alerts else 0)


main()
