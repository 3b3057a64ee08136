#!/usr/bin/env python3
"""Exactly once on a real Kafka, under what a production machine does to a daemon. Each fault is a phase that can be run
alone; after each one the oracle (oracle.py) compares what it sent with what the topics say, and at the end
kafka_replay_check repeats every recorded step with a processor that never crashed: state, events and documents byte for
byte.

  exactly_once_test.py TRIAGED --replay-check PROGRAM [--phases kill,rebalance,…] [--cycles 50] [--seed N] [--brokers N] [--kafka 4.0.1]

  kill        kill -9 under load, --cycles times: at random times, at named points, while partitions move
  hang        a call of the Kafka client never returns: the watchdog ends the process
  rebalance   a second process joins, the first is killed, the second takes over, the first comes back; twice
  standby     each process follows the other's partitions: a takeover replays only their tail; no other phase beside it
  upgrade     two releases in one group (--next): the newer one opens what the older one wrote, the older one stops
              before it writes where the newer one wrote; no phase after it
  storm       a second process joins and leaves again and again
  zombie      the owner is stopped past its session time-out, its partitions are taken over, it wakes
  broker      the broker is stopped, killed, and frozen, under load, and comes back; of several brokers, one at a time
  reload      reloads under load, one in ten of them wrong
  damage      stores with a flipped byte, a missing file, an unreadable MANIFEST: set aside, reported, restored
  empty-disk  restore on an empty disk
  disk-full   the disk of the stores fills up under load, and there is room again; twice
  clock       the wall clock jumps by an hour and a day, there and back; alerts stamped 2099
  backup      `triagectl backup` under load, the disk lost, `triagectl restore`
  retention   cases are closed and leave, archived, while the daemon is killed; no other phase beside it
  hot         a backlog in one partition beside a trickle in another one
  poison      one record in a hundred cannot be read
  topic-lost  alerts are deleted before they were taken, then the alert topic and the state topic under the daemon: a
              clear stop each time; only as the last phase

TRIAGED_SEED, TRIAGED_DURATION (seconds: each phase is repeated until they have passed), TRIAGED_CYCLES and TRIAGED_REPORT (a
file that the report is added to) stand for the arguments of the same names.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import crashes
import faults
from oracle import PARTITIONS, Daemon, Load, Source, intake_problems, replay_problems, report, settle, wait_for
from upgrade import upgrade

HERE = pathlib.Path(__file__).resolve().parent
SESSION_SECONDS = 6  # the daemons' session time-out


class Trial:
    """One broker, one source, two daemons; the phases run on it one after another."""

    def __init__(self, options, folder, bootstrap):
        self.options, self.folder, self.bootstrap = options, folder, bootstrap
        self.rng = random.Random(options.seed)
        self.source = Source(bootstrap, self.rng, options.hosts)
        more = faults.RETENTION if "retention" in options.phases else ""
        more += "standby: true\n" if "standby" in options.phases else ""
        more += crashes.WATCHDOG if "hang" in options.phases else ""
        self.first = Daemon(options.triaged, bootstrap, folder, "first", more)
        self.second = Daemon(options.triaged, bootstrap, folder, "second", more)
        self.problems = []
        self.lines = []     # of the report in plain words
        self.final = False  # a phase after which nothing goes on

    def daemons(self):
        return [d for d in (self.first, self.second) if d.process and d.process.poll() is None]

    def only_first(self):
        """Where each phase begins: the first daemon runs everything."""
        if self.second in self.daemons():
            self.second.stop()
        if self.first not in self.daemons():
            self.first.start()
        self.first.wait_ready(90)
        wait_for(lambda: self.first.died() or self.first.running() == PARTITIONS, 60, "the first process to run everything")

    def load(self, rate):
        load = Load(self.source, rate)
        load.start()
        return load

    def report(self, title, extra="", cycles=1, recovery=()):
        """`recovery`: seconds that it took to work again, once per time that it had to."""
        seconds = sorted(recovery)
        if seconds:
            extra += f"; works again after {seconds[len(seconds) // 2]:.1f} s (median), {seconds[-1]:.1f} s (worst)"
        outcome = settle(self.bootstrap, self.source, self.daemons())
        self.problems += report(title, outcome, self.source, extra)
        self.lines.append(f"{title}: {cycles} cycles, {self.source.number} alerts so far, {outcome.escalated} of "
                          f"{len(self.source.attack_sent)} escalations, {outcome.lost} lost, {outcome.duplicates} duplicated, "
                          f"{outcome.mismatches} mismatches{extra}")

    def expect(self, what, held):
        if not held:
            self.problems.append(what)
            print(f"  {what}", flush=True)


def kill(trial):
    trial.first.stop()
    trial.source.newest = trial.options.hosts
    load = trial.load(rate=1500)
    recovery, met, rebalances = [], dict.fromkeys(crashes.POINTS, 0), 0
    for cycle in range(trial.options.cycles):
        trial.source.add_hosts(4)  # so that there are cases to open and to escalate to the end
        if cycle % 20 == 10:
            met[crashes.while_shared(trial, cycle // 20)] += 1
            rebalances += 1
        elif cycle % 2:
            point = crashes.at_a_point(trial, cycle // 2)
            if point:
                met[point] += 1
        else:
            recovery += crashes.at_random(trial, cycle)
    load.stop()
    trial.only_first()
    points = [point for point, times in met.items() if times]
    trial.expect(f"too few deaths at named points: {met}", sum(met.values()) >= trial.options.cycles // 4)
    missed = [point for point in crashes.POINTS if not met[point]]
    trial.expect(f"never died at {missed}", not missed or trial.options.cycles < 8 * len(crashes.POINTS))
    trial.report(f"kill -9, {trial.options.cycles} cycles, {sum(met.values())} at {len(points)} named points, {rebalances} while "
                 "partitions moved", cycles=trial.options.cycles, recovery=recovery)
    print("  deaths at named points: " + ", ".join(f"{point} {times}" for point, times in met.items() if times), flush=True)


def rebalance(trial):
    load = trial.load(rate=1000)
    first, second = trial.first, trial.second
    second.start()
    second.wait_ready()
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the partitions to be shared")
    takeovers = []
    for _ in range(2):
        first.kill()
        begin = time.monotonic()
        wait_for(lambda: second.died() or second.running() == PARTITIONS, 60, "the second process to take over")
        takeovers.append(time.monotonic() - begin)
        first.start()
        first.wait_ready()
        wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the first process to get its share again")
    load.stop()
    trial.report("rebalance between two processes", cycles=2, recovery=takeovers)


def standby(trial):
    """Both processes follow the partitions that the other one owns. The owner of some is killed under load: the other one
    replays only what came last, far less than is in their changelogs."""
    first, second = trial.first, trial.second
    second.start()
    second.wait_ready()
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the partitions to be shared")
    load = trial.load(rate=500)
    time.sleep(3)  # what a changelog is made of: steps, not alerts
    load.stop()
    own = second.partitions_running()
    wait_for(lambda: second.died() or (faults.metric(second, "triaged_standby_partitions") == PARTITIONS - len(own)
                                       and faults.metric(second, "triaged_standby_remaining_records") == 0), 60,
             "the second process to follow the partitions that it does not own")

    def said():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{second.port}/-/ready", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    wait_for(lambda: f"standby of {PARTITIONS - len(own)} partitions" in said(), 60, "/-/ready to tell of the standby")
    before = second.log_size()
    load = trial.load(rate=200)
    time.sleep(trial.rng.uniform(0.2, 1.0))
    first.kill()
    begin = time.monotonic()
    wait_for(lambda: second.died() or second.running() == PARTITIONS, 60, "the second process to take over")
    seconds = time.monotonic() - begin
    load.stop()
    taken = [(int(records), int(end)) for partition, records, end in re.findall(
        r"msg=restored partition=(\d+) records=(\d+) from=\d+ end=(\d+)", second.log_since(before)) if partition not in own]
    replayed, total = sum(records for records, _ in taken), sum(end for _, end in taken)
    trial.expect(f"a standby replayed {replayed} of {total} records: that is no tail", 0 < replayed * 4 < total)
    trial.report("takeover by a standby", f"; replayed {replayed} of {total} records", recovery=[seconds])


def storm(trial):
    load = trial.load(rate=500)
    for _ in range(trial.options.rounds):
        trial.second.start()
        trial.second.wait_ready()
        time.sleep(trial.rng.uniform(0.0, 1.0))
        if trial.rng.random() < 0.5:
            trial.second.stop()
        else:
            trial.second.kill()
    load.stop()
    trial.only_first()
    trial.report(f"rebalance storm, {trial.options.rounds} joins and leaves", cycles=trial.options.rounds)


def zombie(trial):
    first, second = trial.first, trial.second
    second.start()
    second.wait_ready()
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the partitions to be shared")
    load = trial.load(rate=500)
    time.sleep(trial.rng.uniform(0.2, 1.0))
    first.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: second.died() or second.running() == PARTITIONS, 60, "the second process to take over")
    first.process.send_signal(signal.SIGCONT)
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the woken process to join again")
    load.stop()
    trial.report("a stopped owner that wakes after the takeover")


def broker_phase(trial):
    """With several brokers the others go on, and each fault meets another one; with one there is none meanwhile. A broker
    that is frozen keeps its connections and answers nothing."""
    load = trial.load(rate=300)
    folder, options = trial.folder / "broker", trial.options

    def broker(*arguments):
        subprocess.run([sys.executable, HERE / "broker.py", arguments[0], folder, *arguments[1:]], check=True, timeout=200,
                       stdout=subprocess.DEVNULL)

    told, recovery, resident = [], [], trial.first.resident()
    faults_of_one = [(["stop"], "start"), (["stop", "--kill"], "start"), (["freeze"], "thaw")]
    first_node = trial.rng.randrange(options.brokers)
    for number, (fault, cure) in enumerate(faults_of_one):
        node = (first_node + number) % options.brokers + 1
        begin = time.monotonic()
        broker(*fault, "--id", str(node))
        if options.brokers == 1:
            wait_for(lambda: not trial.first.ready(), 60, "the daemon to say that it is not ready without a broker")
            told.append(time.monotonic() - begin)
        time.sleep(options.outage or trial.rng.uniform(1, 3))
        broker(cure, *(["--id", str(node)] if cure == "thaw" else []))
        begin = time.monotonic()
        trial.first.wait_ready(90)
        recovery.append(time.monotonic() - begin)
    load.stop()
    words = f"; not ready after {max(told):.1f} s at most" if told else ""
    trial.report(f"{len(recovery)} outages of a broker out of {options.brokers}", words, cycles=len(recovery), recovery=recovery)
    grown = trial.first.resident()
    trial.expect(f"memory grew from {resident} to {grown} MiB over the outages", grown < resident * 1.5 + 64)


def reload_phase(trial):
    daemon = trial.first
    policy = daemon.folder / "policy.yaml"
    good = policy.read_text()
    load = trial.load(rate=500)
    applied = refused = 0
    before = daemon.resident()
    for number in range(trial.options.reloads):
        wrong = number % 10 == 7
        # A right one is the same text: the clean replay at the end knows no other policy.
        policy.write_text(good.replace("levels:", "levles:", 1) if wrong else good)
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/-/reload", method="POST", data=b"")
            with urllib.request.urlopen(request, timeout=60) as answer:
                applied += answer.status == 200
                trial.expect(f"reload {number} was wrong and was applied", not wrong)
        except urllib.error.HTTPError as error:
            refused += error.code == 400 and b"policy.yaml" in error.read()
            trial.expect(f"reload {number} was right and was refused", wrong)
    after = daemon.resident()
    policy.write_text(good)
    load.stop()
    # An engine and what its loading takes are some 6 MiB: a few of those replaced may be kept, not fifty of them.
    trial.expect(f"memory grew from {before} to {after} MiB", after < before + 64)
    trial.report(f"{trial.options.reloads} reloads, {applied} applied, {refused} refused",
                 f"; resident before {before} MiB, after {after} MiB", cycles=trial.options.reloads)


def damage(trial):
    """A damaged file is found when it is read: at the start, or later while it runs. Either way the store is set aside
    and restored, and what it held is right."""
    kinds = {"a byte of the newest SST": lambda store: flip(newest(store, "*.sst")),
             "the end of the MANIFEST": lambda store: flip(newest(store, "MANIFEST-*")),
             "CURRENT": lambda store: (store / "CURRENT").write_text("MANIFEST-999999\n"),
             "a missing SST": lambda store: newest(store, "*.sst").unlink()}
    for number, (what, harm) in enumerate(kinds.items()):
        trial.first.stop()
        store = trial.first.store / str(number % PARTITIONS)
        harm(store)
        before = trial.first.log_size()
        trial.first.start()
        trial.first.wait_ready(90)
        trial.source.write([json.dumps(trial.source.alert(host)) for host in trial.source.hosts])
        trial.report(f"damaged: {what}")
        aside = list(trial.first.store.glob(f"{store.name}.*"))
        said = "corrupt" in trial.first.log_since(before)
        trial.expect(f"{what}: neither told nor set aside ({[p.name for p in aside]})", said and aside)
        for one in aside:
            shutil.rmtree(one)


def newest(store, pattern):
    return max(store.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def flip(path):
    """Every 64th byte of the second half: a checksum must notice."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)


def empty_disk(trial):
    for daemon in trial.daemons():
        daemon.stop()
    for daemon in (trial.first, trial.second):
        shutil.rmtree(daemon.store, ignore_errors=True)
    trial.first.start()
    begin = time.monotonic()
    trial.first.wait_ready(90)
    seconds = time.monotonic() - begin
    trial.source.write([json.dumps(trial.source.alert(host)) for host in trial.source.hosts])
    trial.report("restore on an empty disk", recovery=[seconds])


PHASES = {"kill": kill, "hang": crashes.hang, "rebalance": rebalance, "standby": standby, "upgrade": upgrade, "storm": storm, "zombie": zombie, "broker": broker_phase,
          "reload": reload_phase, "damage": damage, "empty-disk": empty_disk, "disk-full": faults.disk_full,
          "clock": faults.clock, "backup": faults.backup, "poison": faults.poison, "hot": faults.hot, "retention": faults.retention, "topic-lost": faults.topic_lost}


def run(trial):
    trial.source.send(1200)
    for name in trial.options.phases:
        trial.only_first()
        begin = time.monotonic()
        PHASES[name](trial)
        while time.monotonic() - begin < trial.options.duration and not trial.problems and not trial.final:
            trial.only_first()
            PHASES[name](trial)
        print(f"  ({name}: {time.monotonic() - begin:.0f} s)", flush=True)
    if trial.final:
        return
    for daemon in trial.daemons():
        daemon.stop()
    trial.problems += intake_problems(trial.bootstrap, trial.source)
    trial.problems += replay_problems(trial.options.replay_check, trial.first, trial.source)
    if trial.source.number < 1000 or not trial.source.attack_sent:
        trial.problems.append("too little was sent to show anything")


def phases(text):
    names = text.split(",")
    wrong = [name for name in names if name not in PHASES]
    if wrong:
        raise argparse.ArgumentTypeError(f"no phase {wrong[0]!r}; there are {', '.join(PHASES)}")
    return names


def own_mounts():
    """Goes on in a mount namespace of its own, in which a small disk can be mounted without harm to anybody."""
    if os.environ.get("TRIAGED_OWN_MOUNTS"):
        return
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode != 0:
        if os.environ.get("TRIAGED_REQUIRE_KAFKA") == "1":
            sys.exit("FAILED: no mount namespace, and so no small disk, can be had here")
        print("SKIPPED: no mount namespace, and so no small disk, can be had here", file=sys.stderr)
        sys.exit(77)
    os.environ["TRIAGED_OWN_MOUNTS"] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triaged")
    parser.add_argument("--replay-check", required=True, metavar="PROGRAM", help="kafka_replay_check")
    parser.add_argument("--phases", type=phases, default=["kill", "rebalance", "empty-disk"])
    given = os.environ.get
    parser.add_argument("--cycles", type=int, default=int(given("TRIAGED_CYCLES") or 50), help="of kill")
    parser.add_argument("--crash-points", metavar="LIBRARY", help="libcrash_points.so, for the phases kill and hang")
    parser.add_argument("--rounds", type=int, default=4, help="of storm")
    parser.add_argument("--reloads", type=int, default=60)
    parser.add_argument("--next", metavar="PROGRAM", help="triaged of the next format, for the phase upgrade")
    parser.add_argument("--wall-clock", metavar="LIBRARY", help="libwall_clock.so, for the phase clock")
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--outage", type=int, default=0, help="seconds that a broker is away, in the phase broker")
    parser.add_argument("--kafka", metavar="VERSION", help="a release of Kafka (TRIAGED_KAFKA_VERSION)")
    parser.add_argument("--seed", type=int, default=int(given("TRIAGED_SEED") or time.time()))
    parser.add_argument("--duration", type=int, default=int(given("TRIAGED_DURATION") or 0), help="seconds a phase is repeated")
    parser.add_argument("--report", default=given("TRIAGED_REPORT"), help="a file that the report is added to")
    parser.add_argument("--hosts", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args()
    if "disk-full" in options.phases:
        own_mounts()
    print(f"seed {options.seed}", flush=True)
    # Stopped from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAILED: stopped from outside"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-exactly-once-"))
    release = ["--kafka", options.kafka] if options.kafka else []
    broker = subprocess.run([sys.executable, HERE / "broker.py", "start", folder / "broker", "--brokers",
                             str(options.brokers), *release], stdout=subprocess.PIPE, text=True, timeout=900, check=False)
    if broker.returncode != 0:
        raise SystemExit(broker.returncode)  # 77: skipped, and it has said why
    trial = Trial(options, folder, broker.stdout.split()[-1])
    try:
        run(trial)
    finally:
        for daemon in trial.daemons():
            daemon.kill()
        subprocess.run([sys.executable, HERE / "broker.py", "stop", folder / "broker"], check=False, timeout=90)
    words = [f"{', '.join(options.phases)} (seed {options.seed}): {'FAILED' if trial.problems else 'passed'}"]
    words += ["  " + line for line in trial.lines] + ["  PROBLEM: " + problem for problem in trial.problems[:20]]
    print("\n".join(words), flush=True)
    if options.report:
        with open(options.report, "a") as report_file:
            report_file.write("\n".join(words) + "\n")
    if trial.problems:
        for daemon in (trial.first, trial.second):
            print(f"--- end of {daemon.name}'s log\n{daemon.tail()}")
        print(f"kept: {folder}")
        raise SystemExit(f"FAILED with {len(trial.problems)} problems (seed {options.seed})")
    if options.keep:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print("passed: 0 lost, 0 duplicated, 0 mismatches")


if __name__ == "__main__":
    main()
