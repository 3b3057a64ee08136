#!/usr/bin/env python3
"""What poison costs the good alerts: instructions of the whole pipeline for one good alert, alone and with one record in a
hundred that cannot be read or is odd (one of them 100 MB). More than five in a hundred more is a failure.

  poison_bench.py POISON_BENCH [--alerts 20000]

Counted by valgrind, so neither load nor clock of the machine matter.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

LIMIT = 0.05


def instructions(program, alerts, poison):
    """What RunPipeline executes."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.path.join(folder, 'out')}",
             "--toggle-collect=triaged::RunPipeline*", program, str(alerts), str(poison)],
            capture_output=True, text=True, timeout=500)
    counted = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not counted:
        sys.exit(f"poison_bench.py: {program} {alerts} {poison} exited with {result.returncode}:\n{result.stdout}{result.stderr}")
    return int(counted[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--alerts", type=int, default=20000)
    options = parser.parse_args()
    nothing = instructions(options.program, 1, 0)
    alone = instructions(options.program, options.alerts, 0) - nothing
    poisoned = instructions(options.program, options.alerts, options.alerts // 100) - nothing
    rise = poisoned / alone - 1
    print(f"{alone / (options.alerts - 1):.0f} instructions an alert alone, "
          f"{poisoned / (options.alerts - 1):.0f} with one record in a hundred poisoned: {rise:+.1%} (limit {LIMIT:+.0%})")
    return 0 if rise < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
