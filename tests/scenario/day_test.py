#!/usr/bin/env python3
"""One day of alerts (day.ndjson) through `triagectl replay` under each shipped pack: what a case that nobody touches climbs,
as the table in the pack's README. Usage: day_test.py TRIAGECTL [--write]
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from replay_test import PACKS, ROOT, configure

UNTIL = "2026-03-03T08:00:00Z"
BEGIN, END = "<!-- the same day, by tests/scenario/day_test.py -->\n", "<!-- end -->\n"
problems = []


def replay(triagectl, pack, folder):
    return replay_with(triagectl, configure(folder, pack))


def replay_with(triagectl, config):
    done = subprocess.run([triagectl, "--config.file", str(config), "replay", "--until", UNTIL],
                          input=(ROOT / "tests/scenario/day.ndjson").read_text(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{config}: exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ladder(events):
    """Case → its row: when it opened, with which severity, and what happened to it."""
    rows, refused = {}, 0
    for event in events:
        kind = event["type"].removeprefix("io.triaged.").removesuffix(".v1")
        if kind == "dead_letter":
            refused += 1
            continue
        data, time = event["data"], event["time"][11:16]
        day = "" if event["time"][:10] == "2026-03-02" else "+1d "
        row = rows.setdefault(event["subject"], {"what": "", "severity": data["severity"], "steps": []})
        if kind in ("case.opened", "case.closed") and not row["what"]:
            row["what"] = data["five_ws"]["what"]["detections"][0]["value"]
        if kind == "case.opened":
            row["steps"].append(f"{time} opened")
        elif kind == "case.closed":
            row["steps"].append(f"{day}{time} closed ({data['reason']})")
        elif kind == "case.severity_changed":
            row["severity"] = data["severity"]
        elif kind == "case.escalated":
            row["steps"].append(f"{day}{time} {data['level']['to']['name']} ({data['reason']})")
        elif kind == "case.role.engaged":
            row["steps"].append(f"{day}{time} with {data['reason']}")
    lines = ["| case | severity | what happens to it while nobody touches it |", "|---|---|---|"]
    for subject, row in rows.items():
        lines.append(f"| {subject} {row['what']} | {row['severity']} | {', '.join(row['steps'])} |")
    if refused:
        lines.append(f"\n{refused} of the day's 8 alerts are not this policy's; another one of the daemon's list takes them.")
    return "\n".join(lines) + "\n"


def check_channels(events):
    """The platform's incident channel is named by the day and the case."""
    named = {event["data"]["channels"][0] for event in events if event["type"].endswith("escalated.v1")}
    wanted = {f"#incident-2026-03-02-{event['subject']}" for event in events if event["type"].endswith("escalated.v1")}
    if not named or named != wanted:
        problems.append(f"platform: channels {sorted(named)}, not {sorted(wanted)}")


def check_list(triagectl, folder):
    """Two packs in the daemon's order: what is out of the first one's scope is the second one's."""
    config = configure(folder, "support")
    kb005 = ROOT / PACKS["kb005"][1]
    config.write_text(config.read_text().replace("support-framework.yaml]", f"support-framework.yaml, {kb005}]"))
    events = replay_with(triagectl, config)
    owners = {event["subject"]: event["data"].get("policy") for event in events if event["type"].endswith("case.opened.v1")}
    dead = sum(event["type"].endswith("dead_letter.v1") for event in events)
    counted = sorted(owners.values())
    if dead or counted != ["kb005"] * 3 + ["support-framework"] * 4:
        problems.append(f"two packs in a list: {dead} dead letters, cases of {counted}")


def main():
    triagectl, write = sys.argv[1], "--write" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        for pack in ("soc", "helpdesk", "platform", "kb005", "support"):
            events = replay(triagectl, pack, pathlib.Path(folder))
            table = ladder(events)
            readme = ROOT / "configs/policies" / (pathlib.Path(PACKS[pack][1]).stem + ".md")
            text = readme.read_text()
            before, _, rest = text.partition(BEGIN)
            shown, _, after = rest.partition(END)
            if write:
                readme.write_text(before + BEGIN + table + END + after)
            elif shown != table:
                problems.append(f"{readme.name} shows another day; run day_test.py with --write and look at the difference:\n"
                                + table)
            if pack == "platform":
                check_channels(events)
        check_list(triagectl, pathlib.Path(folder))
    for problem in problems:
        print(problem)
    print(f"5 packs, one day, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
