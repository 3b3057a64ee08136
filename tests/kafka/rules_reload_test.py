#!/usr/bin/env python3
"""Reloads of all SigmaHQ rules under load, on a real Kafka. Run under broker.py.

  rules_reload_test.py TRIAGED [--reloads 6] [--rate 500] [--seed N]      (TRIAGED_TEST_BOOTSTRAP names the broker)

Each reload replaces one rule that matches every alert by another one, and the next comes when alerts have been decided
under it. In the end no alert is lost (oracle.py), and each was decided under exactly one of the two sets: their hits add
up to the alerts taken. A set with a wrong rule is refused under load, too, and changes nothing.

Every account appears in PER_USER alerts of changing hosts. A correlation groups by account, while cases are grouped by
host: it counts through the signals topic, and goes on counting across the reloads. In the end it has fired exactly once
for each account that had so many alerts, and each firing is an alert of its own. How long workers held still for a
reload is compared with their steps. Exits with 77 (skipped) where ../shared/sigma is absent.
"""
import argparse
import collections
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

from oracle import ROOT, Daemon, Load, Outcome, Source, report, settle, wait_for

ARCHIVE = ROOT / ".." / "shared" / "sigma" / "sigma_rules.tar.gz"
RULES = 3780


USERS, PER_USER = 400, 3  # accounts that alerts go round, and how many each gets before others follow
CORRELATION = f"""title: From a host
id: from-a-host
name: from_a_host
detection: {{s: {{host.name|startswith: host-}}, condition: s}}
---
title: Account on many hosts
id: spread
level: low
correlation:
  type: event_count
  rules: [from_a_host]
  group-by: [user.name]
  timespan: 2h
  condition: {{gte: {PER_USER}}}
"""


def marker(name, condition="s"):
    return (f"title: Marker {name}\nid: marker-{name}\ndetection:\n  s: {{host.name|startswith: host-}}\n"
            f"  condition: {condition}\n")


class UserSource(Source):
    """Alerts with an account each."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.users = collections.Counter()

    def alert(self, host, attack=False):
        alert = super().alert(host, attack)
        number = self.number - 1
        user = f"user-{number // (USERS * PER_USER) * USERS + number % USERS}"
        self.users[user] += 1
        return alert | {"user": {"name": user}}

    def complete(self):
        return {user for user, count in self.users.items() if count == PER_USER}

    def derived(self, case):
        return not case["five_ws"]["where"].get("hosts", [])


def configure(daemon, sigma):
    """The shipped rules, the marker and all of SigmaHQ, through the mapping table."""
    config = daemon.folder / "triaged.yaml"
    folders = ", ".join(f'"{path}"' for path in [ROOT / "configs/rules", daemon.folder / "marker.yaml",
                                                 daemon.folder / "correlation.yaml", sigma])
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


def correlation_problems(daemon, bootstrap, source):
    """Each account with enough alerts fired once, in a case that nobody sent an alert of."""
    expected = source.complete()
    fired = lambda: metrics(daemon).get('triaged_rule_hits_total{rule="spread"}', 0)
    wait_for(lambda: fired() >= len(expected), 60, f"{len(expected)} accounts to fire")
    wait_for(lambda: len(Outcome(bootstrap, source).derived) >= len(expected), 60, "the cases of all accounts")
    derived = Outcome(bootstrap, source).derived.values()
    alerts = sum(case["counts"]["alerts"] for case in derived)
    print(f"correlation by account: {len(source.users)} accounts, {len(expected)} with {PER_USER} alerts; fired {fired():.0f} "
          f"times, {alerts} derived alerts in {len(derived)} cases", flush=True)
    if fired() == len(expected) == alerts == len(derived) and len(expected) > USERS:
        return []
    return ["the correlation did not fire exactly once for each account with enough alerts"]


def pause_problems(daemon, reloads):
    """The longest pause of a worker that took new rules over, beside its steps."""
    pauses = [float(found) for found in re.findall(r"msg=\"rules taken over\".* pause_ms=(\S+)", (daemon.folder / "log").read_text())]
    seen = metrics(daemon)
    steps = seen["triaged_step_duration_seconds_count"]
    mean = 1e3 * seen["triaged_step_duration_seconds_sum"] / steps
    print(f"pauses: {len(pauses)}, at most {max(pauses, default=0):.1f} ms; {steps:.0f} steps of {mean:.1f} ms in the mean", flush=True)
    return [] if len(pauses) >= reloads else ["a reload left no trace in the log"]


def run(options, bootstrap, folder):
    sigma = folder / "sigma"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(sigma)
    daemon = Daemon(options.triaged, bootstrap, folder, "first")
    source = UserSource(bootstrap, random.Random(options.seed), hosts=40)
    configure(daemon, sigma)
    (daemon.folder / "marker.yaml").write_text(marker("a"))
    (daemon.folder / "correlation.yaml").write_text(CORRELATION)
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
        problems += correlation_problems(daemon, bootstrap, source)
        problems += pause_problems(daemon, options.reloads)
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
