#!/usr/bin/env python3
"""Reloads of all SigmaHQ rules under load, on a real Kafka. Run under broker.py.

  rules_reload_test.py TRIAGED [--reloads 6] [--rate 500] [--seed N]      (TRIAGED_TEST_BOOTSTRAP names the broker)

Each reload replaces one rule that matches every alert by another one, and the next comes when alerts have been decided
under it. In the end no alert is lost (oracle.py), and each was decided under exactly one of the two sets: their hits add
up to the alerts taken. A set with a wrong rule is refused under load, too, and changes nothing. Exits with 77 (skipped) where ../shared/sigma is absent.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

from oracle import ROOT, Daemon, Load, Source, report, settle, wait_for

ARCHIVE = ROOT / ".." / "shared" / "sigma" / "sigma_rules.tar.gz"
RULES = 3780


def marker(name, condition="s"):
    return (f"title: Marker {name}\nid: marker-{name}\ndetection:\n  s: {{event.kind: alert}}\n  condition: {condition}\n")


def configure(daemon, sigma):
    """The shipped rules, the marker and all of SigmaHQ, through the mapping table."""
    config = daemon.folder / "triaged.yaml"
    folders = ", ".join(f'"{path}"' for path in [ROOT / "configs/rules", daemon.folder / "marker.yaml", sigma])
    text = re.sub(r"^rules: .*$", f"rules: [{folders}]\nmapping: {ROOT}/configs/mappings/sigma-ecs.yaml",
                  config.read_text(), flags=re.MULTILINE)
    config.write_text(text)


def reload(daemon):
    """(applied, seconds)."""
    begin = time.monotonic()
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/-/reload", method="POST", data=b"")
        with urllib.request.urlopen(request, timeout=120) as answer:
            applied = answer.status == 200
    except urllib.error.HTTPError as error:
        applied = False
        assert error.code == 400 and b"marker.yaml" in error.read(), "refused for another reason"
    return applied, time.monotonic() - begin


def metrics(daemon):
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def hits_of(name, seen):
    return seen.get(f'triaged_rule_hits_total{{rule="marker-{name}"}}', 0)


def wait_for_hits(daemon, name):
    """Until alerts are decided under the set that was last applied."""
    before = hits_of(name, metrics(daemon))
    wait_for(lambda: hits_of(name, metrics(daemon)) > before, 60, f"alerts decided under the set with marker {name}")


def run(options, bootstrap, folder):
    sigma = folder / "sigma"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(sigma)
    daemon = Daemon(options.triaged, bootstrap, folder, "first")
    source = Source(bootstrap, random.Random(options.seed), hosts=40)
    configure(daemon, sigma)
    (daemon.folder / "marker.yaml").write_text(marker("a"))
    problems = []
    try:
        daemon.start()
        daemon.wait_ready(180)
        load = Load(source, options.rate)
        load.start()
        wait_for_hits(daemon, "a")
        seconds = []
        for number in range(options.reloads):
            name = "ab"[(number + 1) % 2]
            (daemon.folder / "marker.yaml").write_text(marker(name))
            applied, took = reload(daemon)
            seconds.append(took)
            if not applied:
                problems.append(f"reload {number} was refused")
            wait_for_hits(daemon, name)
            if number == options.reloads // 2:
                (daemon.folder / "marker.yaml").write_text(marker("c", "gone"))
                if reload(daemon)[0]:
                    problems.append("a wrong set was applied")
        load.stop()
        problems += report(f"{options.reloads} reloads of {RULES} rules and one wrong one",
                           settle(bootstrap, source, [daemon]), source, f"; each took {max(seconds):.1f} s at most")
        seen = metrics(daemon)
        hits = {name: hits_of(name, seen) for name in "abc"}
        taken = seen['triaged_alerts_consumed_total{stage="decide"}']
        known = sum(name.startswith("triaged_rule_hits_total") for name in seen)
        print(f"{taken:.0f} alerts: {hits['a']:.0f} under one set, {hits['b']:.0f} under the other; {known} rules", flush=True)
        if hits["a"] + hits["b"] != taken or taken != source.number or hits["c"]:
            problems.append("the hits of the two sets do not add up to the alerts taken")
        if not hits["a"] or not hits["b"] or known < RULES:
            problems.append("too little happened to show anything")
        daemon.stop()
    finally:
        if daemon.process and daemon.process.poll() is None:
            daemon.kill()
    if problems:
        print(daemon.tail())
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("--reloads", type=int, default=6)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    options = parser.parse_args()
    if not ARCHIVE.exists():
        print("no SigmaHQ rules here")
        sys.exit(77)
    print(f"seed {options.seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-rules-reload-"))
    problems = run(options, os.environ["TRIAGED_TEST_BOOTSTRAP"], folder)
    for problem in problems:
        print("FAILED:", problem)
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if problems else 0)


main()
