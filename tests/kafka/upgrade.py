"""A rolling upgrade, as a phase of exactly_once_test.py: two releases in one group, the newer one's records one format ahead
(the program triaged_next). What the older one wrote the newer one reads. The older one stops before it writes to a partition
where the newer one wrote, says why, leaves the group, and the newer one goes on: nothing is lost, nothing twice.
"""
import subprocess
import time

from oracle import APPLICATION, PARTITIONS, wait_for

NO_RESTART = 78  # RestartPreventExitStatus of the systemd unit


def formats(bootstrap):
    """By partition of the state topic: the format of each committed value, in order. It is a frame's first byte."""
    data = subprocess.run(["kcat", "-C", "-q", "-e", "-b", bootstrap, "-t", f"{APPLICATION}.state", "-o", "beginning", "-X",
                           "isolation.level=read_committed", "-f", "%p %S %s\n"], capture_output=True, timeout=120,
                          check=True).stdout
    found = {partition: [] for partition in range(PARTITIONS)}
    at = 0
    while at < len(data):
        partition, size, _ = data[at:at + 40].split(b" ", 2)
        at += len(partition) + len(size) + 2
        if int(size) > 0:
            found[int(partition)].append(data[at])
        at += max(0, int(size)) + 1
    return found


def refused(trial, daemon, before):
    """The older release meets what the newer one wrote."""
    wait_for(lambda: daemon.process.poll() is not None, 60, f"{daemon.name}, the older release, to stop")
    said = daemon.log_since(before)
    trial.expect(f"it ended with {daemon.process.returncode}, not {NO_RESTART}", daemon.process.returncode == NO_RESTART)
    trial.expect(f"it does not say why it stopped:\n{said[-2000:]}", "of a newer release" in said and "upgrade triaged" in said)
    return said


def upgrade(trial):
    first, second = trial.first, trial.second
    older, newer = first.binary, trial.options.next
    second.binary = newer
    load = trial.load(rate=300)
    second.start()
    second.wait_ready()
    wait_for(lambda: 0 < second.running() < PARTITIONS, 60, "the two releases to share the partitions")
    time.sleep(1)
    load.stop()
    trial.report("two releases in one group")
    mixed = formats(trial.bootstrap)
    own = max(max(seen, default=0) for seen in mixed.values())
    trial.expect(f"the newer release wrote nothing: {[set(seen) for seen in mixed.values()]}", own > 1)

    # The newer one dies: the older one is given its partitions, refuses them, and leaves.
    before = first.log_size()
    second.kill()
    refused(trial, first, before)

    # The rest is upgraded, too: it opens the store that the older one left.
    first.binary, before = newer, first.log_size()
    first.start()
    first.wait_ready(90)
    wait_for(lambda: first.died() or first.running() == PARTITIONS, 60, "the upgraded process to run everything")
    said = first.log_since(before)
    trial.expect(f"the older release's store was not opened as it is:\n{said[-2000:]}", "store_moved" not in said)

    # An older one comes back by mistake, with the store it had under the newer one: it may not run, the newer one does.
    second.binary, before = older, second.log_size()
    load = trial.load(rate=300)
    second.start()
    refused(trial, second, before)
    wait_for(lambda: first.died() or first.running() == PARTITIONS, 60, "the newer release to run everything again")
    load.stop()
    trial.report("the older release refused twice, the newer one went on", cycles=2)

    for partition, seen in formats(trial.bootstrap).items():
        begin = next((at for at, version in enumerate(seen) if version == own), len(seen))
        trial.expect(f"partition {partition}: the older release wrote behind the newer one", set(seen[begin:]) <= {own})
    trial.final = True  # the clean replay is one of a single release
