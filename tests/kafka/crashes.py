"""Deaths of a daemon under load, for the phases kill and hang of exactly_once_test.py: at random times, at named points
(crash_points.cc, preloaded), in the middle of a rebalance, and by its own watchdog.
"""
import signal
import subprocess
import time

from oracle import PARTITIONS, wait_for

# How many calls a point lets pass at most, the last one of them being the one at which the process dies.
POINTS = {"before_begin": 60, "after_begin": 60, "before_produce": 4000, "before_send_offsets": 60, "after_send_offsets": 60,
          "before_commit": 60, "during_commit": 60, "after_commit": 60, "before_assign": 2, "after_assign": 2,
          "before_restore": PARTITIONS, "mid_restore": 40, "before_sync": 4, "after_sync": 4, "before_revoke": 1,
          "after_revoke": 1}
MOVING = ["before_revoke", "after_revoke"]  # only where partitions are taken away
STILL = [point for point in POINTS if point not in MOVING]
PATIENCE = 10  # seconds until the point is reached; a point that is not, as mid_restore with nothing to restore, is left


def start_with_death(trial, daemon, point):
    call = trial.rng.randint(1, POINTS[point])
    wanted = f"{point}:{call}:{trial.rng.randint(0, 8000)}"
    daemon.environment = {"LD_PRELOAD": trial.options.crash_points, "TRIAGED_CRASH_POINT": wanted}
    daemon.start()
    daemon.environment = {}


def died_there(daemon, seconds):
    """Whether the process has killed itself. If not, it is killed now."""
    try:
        daemon.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        daemon.kill()
        return False
    if daemon.process.returncode != -signal.SIGKILL:
        daemon.died()
    return True


def at_a_point(trial, number):
    """The name of the point at which the first process died, or None."""
    point = STILL[number % len(STILL)]
    start_with_death(trial, trial.first, point)
    return point if died_there(trial.first, PATIENCE) else None


def at_random(trial, cycle):
    trial.first.start()
    begin, recovery = time.monotonic(), []
    if cycle % 4 == 2:  # also while it starts, joins and restores
        time.sleep(trial.rng.uniform(0.005, 1.5))
    else:
        trial.first.wait_ready()
        recovery.append(time.monotonic() - begin)
        time.sleep(trial.rng.uniform(0.005, 0.5))
    trial.first.kill()
    return recovery


def while_shared(trial, number):
    """A second process joins, the first one dies as it gives partitions up; it comes back, and the second one leaves or is
    killed. The point is told."""
    first, second = trial.first, trial.second
    point = MOVING[number % len(MOVING)]
    start_with_death(trial, first, point)
    wait_for(lambda: first.process.poll() is not None or first.running() == PARTITIONS, 60, "the first process to run everything")
    second.start()
    if not died_there(first, 60):
        raise SystemExit(f"FAILED: the first process never came to {point}, with a second one joining")
    first.start()
    wait_for(lambda: second.died() or first.died() or 0 < second.running() < PARTITIONS, 60, "the partitions to be shared")
    if trial.rng.random() < 0.5:
        second.stop()
    else:
        second.kill()
    first.kill()
    return point


WATCHDOG_SECONDS = 90  # the least that the configuration takes
WATCHDOG = f"watchdog_timeout: {WATCHDOG_SECONDS}s\n"


def hang(trial):
    """A commit never returns. The process cannot mend that: it must say so and end, and its next start goes on."""
    first = trial.first
    first.stop()
    before = first.log_size()
    load = trial.load(rate=300)
    first.environment = {"LD_PRELOAD": trial.options.crash_points,
                         "TRIAGED_CRASH_POINT": f"hang_in_commit:{trial.rng.randint(1, 40)}"}
    first.start()
    first.environment = {}
    begin = time.monotonic()
    wait_for(lambda: first.process.poll() is not None, WATCHDOG_SECONDS + 60, "the watchdog to end a process whose worker hangs")
    seconds = time.monotonic() - begin
    said = first.log_since(before)
    trial.expect(f"ended by itself after {seconds:.0f} s, before the watchdog", seconds >= WATCHDOG_SECONDS)
    trial.expect("it ended with 0", first.process.returncode != 0)
    trial.expect(f"the log does not say what hung:\n{said[-1500:]}", "committing" in said)
    first.start()
    first.wait_ready(90)
    load.stop()
    trial.report("a worker that hangs", f"; ended by the watchdog after {seconds:.0f} s")
