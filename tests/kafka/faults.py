"""Faults of the machine around a daemon, as phases of exactly_once_test.py: a full disk, a wall clock that jumps, stores
from a backup, records that cannot be read, topics that vanish.
"""
import base64
import errno
import json
import pathlib
import shutil
import struct
import subprocess
import time
import urllib.request

from oracle import APPLICATION, PARTITIONS, Outcome, read_records, read_topic, settle, wait_for

DISK_MIB = 64


def metric(daemon, name):
    """The sum of a metric's series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + " ", name + "{")))


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 20, 4096):
            try:
                while ballast.write(b"\0" * size) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def disk_full(trial):
    """The stores are on a small disk of their own (a tmpfs; main() has made a mount namespace). It fills up under load:
    the daemon says so and is not ready, goes on living, and goes on working once there is room."""
    first = trial.first
    first.stop()
    first.store.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "triaged-test", first.store], check=True)
    noticed, resumed = [], []
    try:
        first.start()
        first.wait_ready(90)
        load = trial.load(rate=400)
        for _ in range(2):
            time.sleep(trial.rng.uniform(1, 3))
            before = first.log_size()
            fill(first.store / "ballast")
            begin = time.monotonic()
            wait_for(lambda: first.died() or not first.ready(), 60, "the daemon to say that it is not ready on a full disk")
            noticed.append(time.monotonic() - begin)
            time.sleep(trial.rng.uniform(2, 5))
            first.died()
            trial.expect("ready while the disk was full", not first.ready())
            trial.expect("the log does not say that the disk is full", "No space left on device" in first.log_since(before))
            (first.store / "ballast").unlink()
            begin = time.monotonic()
            first.wait_ready(60)
            resumed.append(time.monotonic() - begin)
            trial.expect(f"resumed only {resumed[-1]:.0f} s after there was room", resumed[-1] <= 30)
        load.stop()
        trial.report("a full disk, twice", f"; not ready after {max(noticed):.1f} s at most", cycles=2, recovery=resumed)
        first.stop()
    finally:
        if first.process.poll() is None:
            first.kill()
        subprocess.run(["umount", "-l", first.store], check=True)


def clock(trial):
    """The wall clock of the daemon's machine jumps by an hour and a day, there and back, and alerts come stamped 2099:
    broker time drives the deadlines, so none fires early and none twice. What is seen of it is the metric of the skew."""
    first = trial.first
    first.stop()
    jump = first.folder / "jump"
    jump.write_bytes(struct.pack("=q", 0))
    first.environment = {"LD_PRELOAD": trial.options.wall_clock, "TRIAGED_WALL_CLOCK": str(jump)}
    first.start()
    first.wait_ready(90)

    def timed():
        events = Outcome(trial.bootstrap, trial.source).events
        return [e["id"] for e in events if e["type"].startswith(("io.triaged.sla", "io.triaged.case.sla"))
                or e.get("data", {}).get("reason") in ("unresolved_in_time", "not_acknowledged", "uncertain_verdict")]

    before = timed()
    load = trial.load(rate=300)
    jumps = [3600, -3600, 86400, -86400, 0]
    for seconds in jumps:
        with open(jump, "r+b") as mapped:
            mapped.write(struct.pack("=q", seconds))
        wait_for(lambda: abs(metric(first, "triaged_wall_clock_skew_seconds") - seconds) < 300, 60,
                 f"the metric to show a skew of {seconds} s")
        trial.source.sent.setdefault("stamped-2099", 0)
        stamped = trial.source.alert("stamped-2099")
        stamped["@timestamp"] = "2099-01-01T00:00:00Z"
        trial.source.write([json.dumps(stamped)])
        trial.expect(f"not ready after a jump of {seconds} s", first.ready())
    load.stop()
    trial.report(f"a wall clock that jumps, {len(jumps)} times", cycles=len(jumps))
    early = set(timed()) - set(before)
    trial.expect(f"deadlines fired while the wall clock jumped: {sorted(early)[:5]}", not early)
    first.stop()
    first.environment = {}


def backup(trial):
    """Backups of a running daemon's stores, under load; then the disk is lost, and the stores come from the backup."""
    first, folder = trial.first, trial.folder / "backup"
    triagectl = [pathlib.Path(trial.options.triaged).parent / "triagectl", f"--config.file={first.folder}/triaged.yaml"]
    load = trial.load(rate=500)
    time.sleep(5)  # every store was flushed once
    for _ in range(3):
        time.sleep(trial.rng.uniform(0.5, 2))
        made = subprocess.run([*triagectl, "backup", folder], capture_output=True, text=True, timeout=60, check=False)
        trial.expect(f"backup of a running daemon: {made.stderr}", made.returncode == 0)
    refused = subprocess.run([*triagectl, "restore", folder], capture_output=True, text=True, timeout=60, check=False)
    trial.expect("a restore over a running daemon's stores was not refused", refused.returncode != 0)
    load.stop()
    first.stop()
    shutil.rmtree(first.store)
    restored = subprocess.run([*triagectl, "restore", folder], capture_output=True, text=True, timeout=60, check=False)
    trial.expect(f"restore: {restored.stderr}", restored.returncode == 0 and restored.stdout.count("restored") == PARTITIONS)
    before = first.log_size()
    begin = time.monotonic()
    first.start()
    first.wait_ready(90)
    seconds = time.monotonic() - begin
    trial.expect("a restored store was wiped instead of used", "restored from the beginning" not in first.log_since(before))
    trial.source.write([json.dumps(trial.source.alert(host)) for host in trial.source.hosts])
    trial.report("stores from a backup", recovery=[seconds])


RETENTION = "retention: {closed_cases: 3s, archive: true}\n"


def retention(trial):
    """Cases are closed; three seconds later they leave. The daemon is killed while they do: each is in the archive once,
    with its evidence, and its document has ended; those that stay open are untouched."""
    first = trial.first
    trial.source.send(600)
    outcome = settle(trial.bootstrap, trial.source, [first])
    trial.problems += outcome.problems()
    chosen = sorted(key for key, case in outcome.cases.items() if case["level"]["index"] == 0)[:8]
    triagectl = [pathlib.Path(trial.options.triaged).parent / "triagectl", f"--config.file={first.folder}/triaged.yaml"]
    who = ["--actor", "ada", "--role", "l1", "--reason", "known and harmless"]
    for case in chosen:
        for verb in (["verdict", case, "--verdict", "false_positive"], ["close", case]):
            subprocess.run([*triagectl, *verb, *who], check=True, timeout=60, stdout=subprocess.DEVNULL)
        first.kill()
        first.start()
    first.wait_ready(90)

    def archived():
        return [json.loads(value) for _, value in read_topic(trial.bootstrap, "archive")]

    wait_for(lambda: len(archived()) and {one["subject"] for one in archived()} >= set(chosen), 60, "the closed cases to leave")
    lines = archived()
    documents = [one["subject"] for one in lines if one["type"] == "io.triaged.case.document.v1"]
    evidence = [one for one in lines if one["type"] == "io.triaged.case.evidence.v1"]
    trial.expect(f"archived {sorted(documents)}, closed {chosen}", sorted(documents) == chosen)
    names = [(one["subject"], one["data"]["alert_id"]) for one in evidence]
    trial.expect("an alert is in the archive twice", len(names) == len(set(names)))
    trial.expect("a case left without its alerts", {subject for subject, _ in names} == set(chosen))
    after = Outcome(trial.bootstrap, trial.source).cases
    trial.expect("other documents ended than those of the closed cases",
                 sorted(key for key, case in after.items() if not case) == chosen)
    trial.lines.append(f"{len(chosen)} closed cases left under as many kills: {len(documents)} archived, {len(evidence)} alerts "
                       "with them, each once")


POISON = [b"{not json", b"[" * 10_000, b'{"host":{"name":"\\ud800"}}', b'{"a":"nul \0 inside"}', b"\xff\xfe\xfa", b"[1,2", b"nul",
          b'{"ecs":{"version":"8.11"}} trailing']
ODD = [', "odd": 1, "odd": 2}', ', "odd": 9007199254740993}', ', "odd": 123456789012345678901234567890}']


def poison(trial):
    """One record in a hundred cannot be read, and one is so large that the topic of dead letters takes it only cut. Each
    becomes a dead letter, no partition stands still, and what is odd but right (a key twice, a number beyond 2^53 or 2^64)
    is an alert like any other."""
    load = trial.load(rate=1000)
    monster = base64.b64encode(trial.rng.randbytes(6_000_000))  # of 8 MB, which compress to 6: the topic takes 4
    trial.source.poisoned += 1
    trial.source.write_bytes(b'{"text":"' + monster + b'"}\n', "-X", "message.max.bytes=12000000")
    for round_ in range(20):
        lines = [trial.rng.choice(POISON) for _ in range(20)]
        trial.source.poisoned += len(lines)
        host = trial.rng.choice(trial.source.hosts)
        odd = json.dumps(trial.source.alert(host))
        odd = odd[:-1] + ODD[round_ % len(ODD)]
        trial.source.write_bytes(b"\n".join([*lines, odd.encode()]) + b"\n")
        time.sleep(0.2)
    load.stop()
    trial.report(f"poison, {trial.source.poisoned} records", cycles=20)


HOT_ALERTS = 90_000  # what one case takes at most is 100,000


def hot(trial):
    """A backlog of one host's alerts in one partition, and a few of other hosts behind it in another one. One process runs
    all partitions: the few do not wait until the many are done, and the memory stays bounded."""
    first, source = trial.first, trial.source
    resident = first.resident()
    first.stop()
    source.add_hosts(21)
    many, few = source.hosts[-21], source.hosts[-20:]
    source.attacked -= set(source.hosts[-21:])
    source.write_bytes("\n".join(json.dumps(source.alert(many)) for _ in range(HOT_ALERTS)).encode() + b"\n", "-p", "0")
    source.write_bytes("\n".join(json.dumps(source.alert(host)) for host in few).encode() + b"\n", "-p", "1")
    first.start()
    outcome = settle(trial.bootstrap, source, [first])
    grown = first.resident() - resident
    names = {host: key for key, case in outcome.cases.items() for host in
             (one["value"] for one in case["five_ws"]["where"].get("hosts", [])) if host == many or host in few}
    done = max((record["ts"] for record in read_records(trial.bootstrap, "cases") if record["key"] == names[many]), default=0)
    begun, opened = None, 0
    for record in read_records(trial.bootstrap, "escalations"):
        event = json.loads(record["payload"])
        if event["type"] != "io.triaged.case.opened.v1" or event["subject"] not in names.values():
            continue
        if event["subject"] == names[many]:
            begun = record["ts"]
        else:
            opened = max(opened, record["ts"])
    trial.expect(f"the few waited for the many: opened {opened - begun} ms after these began, which took {done - begun} ms",
                 opened - begun < (done - begun) * 0.75)
    trial.expect(f"memory grew by {grown} MiB over a backlog of {HOT_ALERTS}", grown < 256)
    trial.report("a hot partition", f"; {HOT_ALERTS} alerts of one host took {(done - begun) / 1000:.1f} s, those of others beside it "
                 f"were decided after {(opened - begun) / 1000:.1f} s; memory grew by {grown} MiB")


def request(port, key, version, body):
    """One request to a broker by hand; its answer without the correlation id."""
    import socket
    payload = struct.pack(">hhih", key, version, 7, -1) + body
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(payload)) + payload)
        size, = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
        return connection.recv(size, socket.MSG_WAITALL)[4:]


def text(name):
    return struct.pack(">h", len(name)) + name.encode()


def delete_topic(bootstrap, topic):
    """DeleteTopics v1."""
    port = int(bootstrap.split(",")[0].rsplit(":", 1)[1])
    answer = request(port, 20, 1, struct.pack(">i", 1) + text(topic) + struct.pack(">i", 20_000))
    error, = struct.unpack(">h", answer[-2:])
    if error:
        raise SystemExit(f"FAILED: the broker did not delete {topic}: error {error}")


def delete_records(bootstrap, topic, partitions):
    """DeleteRecords v1, up to the high watermark of each partition."""
    port = int(bootstrap.split(",")[0].rsplit(":", 1)[1])
    ends = b"".join(struct.pack(">iq", partition, -1) for partition in range(partitions))
    answer = request(port, 21, 1, struct.pack(">i", 1) + text(topic) + struct.pack(">i", partitions) + ends +
                     struct.pack(">i", 20_000))
    errors = [struct.unpack(">h", answer[at + 12:at + 14])[0]
              for at in range(len(answer) - 14 * partitions, len(answer), 14)]  # partition, low watermark, error
    if any(errors):
        raise SystemExit(f"FAILED: the broker did not delete the records of {topic}: errors {errors}")


def alerts_removed(trial):
    """Alerts are deleted before they were taken: the daemon refuses to go on as if nothing had been, until it is told to."""
    first = trial.first
    first.stop()
    trial.source.send(400)
    delete_records(trial.bootstrap, "alerts", PARTITIONS)
    before = first.log_size()
    first.start()
    wait_for(lambda: first.process.poll() is not None, 60, "the daemon to stop when alerts were removed before it took them")
    trial.expect("it ended with 0", first.process.returncode != 0)
    trial.expect(f"it does not say why it stopped:\n{first.log_since(before)[-2000:]}",
                 "removed before they were taken" in first.log_since(before))
    first.start("--accept-data-loss")
    first.wait_ready(90)
    trial.expect("it does not say what it accepted", "accepted, as configured" in first.log_since(before))
    first.stop()
    before = first.log_size()
    first.start()  # once told is enough, also where no alert has come since
    first.wait_ready(90)
    trial.expect("what was accepted once was found again", "removed before" not in first.log_since(before))
    trial.lines.append("400 alerts deleted before they were taken: stopped, and went on only when told to")


def alerts_made_anew(trial):
    """The alert topic is deleted under a running daemon, and made anew by whoever writes to it next."""
    first = trial.first
    before = first.log_size()
    delete_topic(trial.bootstrap, "alerts")
    trial.source.send(PARTITIONS)
    begin = time.monotonic()
    wait_for(lambda: first.process.poll() is not None, 120, "the daemon to stop when its alert topic was made anew")
    trial.expect("it ended with 0", first.process.returncode != 0)
    trial.expect(f"it does not say why it stopped:\n{first.log_since(before)[-2000:]}", "made anew" in first.log_since(before))
    trial.lines.append(f"alert topic deleted and made anew: stopped after {time.monotonic() - begin:.1f} s")
    first.start("--accept-data-loss")
    first.wait_ready(90)


def topic_lost(trial):
    """Alerts are removed, the alert topic and then the state topic are deleted under a running daemon, and made anew. That
    must end in a clear stop, never in a changelog that silently lacks its beginning. Nothing can go on from here: this phase
    is the last one."""
    first = trial.first
    trial.source.send(500)
    trial.report("before the state topic is deleted")
    alerts_removed(trial)
    alerts_made_anew(trial)
    triagectl = [pathlib.Path(trial.options.triaged).parent / "triagectl", f"--config.file={first.folder}/triaged.yaml"]
    before = first.log_size()
    load = trial.load(rate=200)
    delete_topic(trial.bootstrap, f"{APPLICATION}.state")
    begin = time.monotonic()
    while first.process.poll() is None and subprocess.run([*triagectl, "topics", "create"], capture_output=True, timeout=60,
                                                          check=False).returncode != 0:
        time.sleep(0.2)
    wait_for(lambda: first.process.poll() is not None, 120, "the daemon to stop when its state topic was made anew")
    seconds = time.monotonic() - begin
    load.stop()
    trial.expect(f"it does not say why it stopped:\n{first.log_since(before)[-2000:]}", "lost" in first.log_since(before))
    trial.expect("it ended with 0", first.process.returncode != 0)
    # Nor may the next start go on as if nothing had been.
    first.start()
    wait_for(lambda: first.process.poll() is not None, 60, "the next start to refuse to go on without the lost records")
    trial.expect("the stores, which hold the last copy, were not kept", len(list(first.store.glob("*.corrupt"))) == PARTITIONS)
    trial.lines.append(f"state topic deleted and made anew: stopped after {seconds:.1f} s, and again at the next start")
    trial.final = True
