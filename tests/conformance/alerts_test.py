#!/usr/bin/env python3
"""Every file of ../shared/alerts through `triagectl normalize`: each line that is a JSON object becomes an alert or a dead
letter with a reason, and of each file's and each format's alerts no fewer than before have an id, time, rule, severity,
host, user or address (tests/data/alert_floors.tsv; --write sets them anew, and refuses to lower one). Where the data has
another product's normalised form of a record (UDM), times and addresses must agree. Skipped (77) without the data.
Usage: alerts_test.py TRIAGECTL [--write]
"""
import collections
import csv
import datetime
import ipaddress
import json
import pathlib
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ALERTS = ROOT / "../shared/alerts"
FLOORS = ROOT / "tests/data/alert_floors.tsv"
COLUMNS = ("alerts", "id", "time", "rule", "severity", "host", "user", "address")
ADDRESSES = ("source.ip", "destination.ip", "host.ip")
# Shares of what both sides state. Addresses of ours must be among theirs. Of their times 85 of 288 are those at which the
# record was taken in (a dozen parsers set no time of the event), which ours are not.
TIME_FLOOR, ADDRESS_FLOOR = 0.7, 0.97


def normalise(triagectl, text):
    done = subprocess.run([triagectl, "normalize"], input=text, capture_output=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def has(alert):
    notes = alert.get("triaged.notes", [])
    return {"alerts": True, "id": "no_id" not in notes, "rule": "rule.name" in alert,
            "time": not {"no_event_time", "bad_event_time"} & set(notes), "severity": "event.severity" in alert, "host": "host.name" in alert, "user": "user.name" in alert,
            "address": any(name in alert for name in ADDRESSES)}


def is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def floors(found, write, problems):
    old = {}
    if FLOORS.exists():
        with FLOORS.open() as file:
            old = {row["file"]: {name: int(row[name]) for name in COLUMNS if name in row}
                   for row in csv.DictReader(file, delimiter="\t")}
    for name, floor in old.items():
        for column in floor:
            if found[name][column] < floor[column]:
                problems.append(f"{name}: {column} of {found[name][column]} alerts, was {floor[column]}")
    if write and not problems:
        lines = ["\t".join(("file", *COLUMNS))]
        lines += ["\t".join((name, *(str(found[name][column]) for column in COLUMNS))) for name in sorted(found)]
        FLOORS.write_text("\n".join(lines) + "\n")
    return len(old)


def values(node, keys):
    """Every text below one of `keys`, anywhere in `node`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in keys:
                yield from value if isinstance(value, list) else [value]
            yield from values(value, keys)
    elif isinstance(node, list):
        for item in node:
            yield from values(item, keys)


def addresses(texts):
    found = set()
    for text in texts:
        try:
            address = ipaddress.ip_address(text)
            found.add(getattr(address, "ipv4_mapped", None) or address)
        except ValueError:
            pass
    return found


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def against_udm(alerts_by_path, counts, problems):
    """The other product lists one event per record of a file: compared where the numbers of both are the same."""
    with tarfile.open(ALERTS / "normalised_expected/contenthub_udm_expected.tar.gz") as archive:
        expected = {member.name: json.load(archive.extractfile(member)).get("events", []) for member in archive if member.isfile()}
    for path, by_entry in alerts_by_path.items():
        events = expected.get(path.replace("raw_logs/default_log.json", "expected_events/default_events.json"), [])
        if sorted(by_entry) != list(range(len(events))):
            continue
        for entry, alert in by_entry.items():
            event = events[entry].get("event", {})
            theirs = addresses(values(event, ("ip",)))
            ours = addresses(address for name in ADDRESSES for address in
                             (alert.get(name, []) if isinstance(alert.get(name, []), list) else [alert[name]]))
            if ours and theirs:
                counts["addresses"] += 1
                counts["addresses agree"] += ours <= theirs
            if "timestamp" in event and has(alert)["time"]:
                counts["times"] += 1
                counts["times agree"] += abs(seconds(event["timestamp"]) - seconds(alert["@timestamp"])) <= 1
    for what, floor in (("times", TIME_FLOOR), ("addresses", ADDRESS_FLOOR)):
        if counts[what] < 30 or counts[f"{what} agree"] < floor * counts[what]:
            problems.append(f"UDM: {counts[f'{what} agree']} of {counts[what]} {what} agree")


def main():
    if not ALERTS.exists():
        print("skipped: the real alerts are not on this machine")
        return 77
    triagectl, write, problems = str(pathlib.Path(sys.argv[1]).resolve()), "--write" in sys.argv, []
    found, paths, counts = collections.defaultdict(collections.Counter), collections.defaultdict(dict), collections.Counter()
    for path in sorted(ALERTS.rglob("*.ndjson")) + sorted(ALERTS.rglob("*.jsonl")):
        name = str(path.relative_to(ALERTS))
        lines = [line for line in path.read_bytes().split(b"\n") if line]
        results = normalise(triagectl, b"".join(line + b"\n" for line in lines))
        if len(results) != len(lines):
            problems.append(f"{name}: {len(lines)} lines gave {len(results)} results")
            continue
        labels = path.with_suffix("").with_suffix(".labels.tsv")
        rows = {}
        if labels.exists():
            with labels.open() as file:
                rows = {int(row["line"]): row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
        for number, (line, alert) in enumerate(zip(lines, results), 1):
            counts["lines"] += 1
            if "triaged.error" in alert:
                counts["dead letters"] += 1
                if not alert["triaged.error"].get("reason") or is_object(line):
                    problems.append(f"{name}:{number}: refused: {alert['triaged.error']}")
                continue
            if not is_object(line):
                problems.append(f"{name}:{number}: no object, and yet an alert")
            if alert["triaged.is_alert"]:
                for row in (name, "format " + alert["triaged.format"]):
                    found[row].update(column for column, yes in has(alert).items() if yes)
            if rows.get(number, {}).get("entry", "").isdigit():
                paths[rows[number]["path"]][int(rows[number]["entry"])] = alert
    against_udm(paths, counts, problems)
    known = floors(found, write, problems)
    for problem in problems[:40]:
        print(problem)
    print("".join(f"{name:>10}" for name in COLUMNS))
    for name in sorted(found):
        if name.startswith("format "):
            print("".join(f"{found[name][column]:>10}" for column in COLUMNS), name)
    print(f"{len(found)} files and formats, {known} with floors; {dict(counts)}; {len(problems)} problems")
    return 1 if problems or (known < 60 and not write) else 0


if __name__ == "__main__":
    sys.exit(main())
