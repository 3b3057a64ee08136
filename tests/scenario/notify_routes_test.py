#!/usr/bin/env python3
"""configs/notify-platform.yaml: where the platform pack's events of one day (day.ndjson) go, by `triaged-notify --route`.
P0 is telephoned, P1 paged, P2 and P3 mailed. Usage: notify_routes_test.py TRIAGECTL TRIAGED_NOTIFY
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from day_test import ROOT, replay

WANTED = {"P0": {"phone", "pager", "chat"}, "P1": {"pager", "chat"}, "P2": {"mail"}, "P3": {"mail"}}


def main():
    triagectl, notify = sys.argv[1:3]
    problems, seen = [], set()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for secret, text in (("slack.url", "https://hooks.example.org/T/B/x"), ("pager.key", "0" * 32)):
            (folder / secret).write_text(text)
            (folder / secret).chmod(0o600)
        config = folder / "notify.yaml"
        config.write_text((ROOT / "configs/notify-platform.yaml").read_text().replace("/etc/triaged/", f"{folder}/"))
        for event in replay(triagectl, "platform", folder):
            kind, severity = event["type"].split(".")[-2], event.get("data", {}).get("severity")
            if kind != "escalated" or severity in seen:
                continue
            seen.add(severity)
            (folder / "event.json").write_text(json.dumps(event))
            done = subprocess.run([notify, "--config.file", str(config), "--route", str(folder / "event.json")],
                                  capture_output=True, text=True, check=False)
            words = set(done.stdout.replace(",", " ").replace(":", " ").split()) & {"phone", "pager", "chat", "mail"}
            if done.returncode != 0 or words != WANTED[severity]:
                problems.append(f"{severity}: exit {done.returncode}, {sorted(words)} of {done.stdout!r} {done.stderr!r}, "
                                f"not {sorted(WANTED[severity])}")
    if not {"P0", "P1", "P2"} <= seen:
        problems.append(f"the day has escalations of {sorted(seen)} only")
    for problem in problems:
        print(problem)
    print(f"{len(seen)} severities routed, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
