#!/usr/bin/env python3
"""Runs every timeline again through `triagectl replay`, as a process: its NDJSON in, CloudEvents out.

Reads the timelines with a reader of its own, so that a slip in the in-process runner cannot hide in both. Checks what
happened, in order, and that it happened at the minute of its line. Usage: replay_test.py TRIAGECTL
"""
import datetime
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHORT = {"host": "host.name", "user": "user.name", "source": "source.ip", "drill": "labels.drill", "rule": "rule.name", "id": "event.id",
         "action": "event.action"}
SCORES = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}
SHIPPED, OPERATIONS = "configs/rules", "configs/rules-operations"
PACKS = {"soc": (SHIPPED, "configs/policies/soc-tiered.yaml"),
         "platform": ((SHIPPED, OPERATIONS), "configs/policies/platform.yaml"),
         "helpdesk": ((SHIPPED, OPERATIONS), "configs/policies/helpdesk.yaml"),
         "kb005": (OPERATIONS, "configs/policies/kb005.yaml"),
         "support": (OPERATIONS, "configs/policies/support-framework.yaml"),
         "entered": ("tests/scenario/engine/rules.yaml", "tests/scenario/entered/pack.yaml"),
         "baseline": ("tests/scenario/baseline/rules.yaml", "tests/scenario/baseline/pack.yaml"),
         "watched": ("tests/scenario/engine/rules.yaml", "tests/scenario/watched/pack.yaml"),
         "engine": ("tests/scenario/engine/rules.yaml", "tests/scenario/engine/pack.yaml")}


def configure(folder, pack):
    """A configuration of the daemon with the pack and its rules, in `folder`."""
    rules, policy = PACKS[pack]
    folders = ", ".join(f"{ROOT}/{path}" for path in ((rules,) if isinstance(rules, str) else rules))
    config = folder / f"{pack}.yaml"
    config.write_text(f"application_id: timeline\ninstance: a\n"
                      f"kafka: {{embedded_broker: true, alert_topics: [alerts], partitions: 1}}\n"
                      f"storage: {{path: {folder}/state}}\nformats: [{ROOT}/configs/formats]\n"
                      f"rules: [{folders}]\npolicies: [{ROOT}/{policy}]\n")
    return config


def rfc3339(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def offset(text):
    parts = [int(part) for part in text.split(":")]
    return datetime.timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2] if len(parts) > 2 else 0)


def alert(words, at, start, number):
    record = {"ecs.version": "8.11.0", "event.kind": "alert", "event.id": f"alert-{number}", "@timestamp": rfc3339(at)}
    for word in words:
        name, value = word.split("=", 1)
        if name == "severity":
            record["event.severity"] = SCORES[value] if value in SCORES else int(value)
        elif name == "event_time":
            record["@timestamp"] = rfc3339(start + offset(value))
        else:
            record[SHORT.get(name, name)] = value
    return record


def command(words, number):
    record = {"id": f"command-{number}", "case_id": words[1], "actor": words[3], "role": words[5], "action": words[0]}
    for word in words[6:]:
        name, value = word.split("=", 1)
        arguments = record.setdefault("arguments", {}) if name not in ("id", "version") else record
        if name == "id":
            record["id"] = value
        elif name == "version":
            record["expected_version"] = int(value)
        elif name == "expire":
            arguments[name] = value == "true"
        elif name == "confidence":
            arguments[name] = int(value)
        elif name == "alerts":
            arguments[name] = value.split(",")
        elif name == "match":
            arguments.setdefault(name, {}).update([value.split(":", 1)])
        else:
            arguments[name] = value
    return record


def read(path):
    """The lines for replay, the expected (text, time) pairs, and when the last line is."""
    start = datetime.datetime(2026, 3, 2, 8, tzinfo=datetime.timezone.utc)
    lines, expected, last, alerts, commands = [], [], start, 0, 0
    for raw in path.read_text().splitlines():
        text = raw.split("#")[0].strip()
        if not text or text.startswith(("end ", "partitions ", "matched ")):
            continue
        if text.startswith("start "):
            start = last = datetime.datetime.fromisoformat(text.split()[1].replace("Z", "+00:00"))
            continue
        action, _, outcome = re.sub("->", "→", text).partition("→")
        time, _, action = action.strip().partition(" ")
        last, action = start + offset(time), action.strip()
        expected += [(event, last) for event in outcome.strip().split("; ") if event not in ("nothing", "")]
        if action.startswith("record"):
            return None  # raw bytes: an envelope cannot carry what is no JSON
        words = shlex.split(action)
        if not words:
            continue
        if words[0] == "alert":
            alerts += 1
            lines.append({"at": rfc3339(last), "alert": alert(words[1:], last, start, alerts)})
        else:
            commands += 1
            lines.append({"at": rfc3339(last), "command": command(words, commands)})
    return lines, expected, last


def describe(event):
    kind = event["type"].removeprefix("io.triaged.").removesuffix(".v1")
    data = event.get("data", {})
    if kind == "dead_letter":
        return "dead letter: " + json.dumps(data)
    kind = kind.removeprefix("case.")
    if kind == "opened":
        return "opens " + event["subject"]
    if kind == "escalated":
        return f"escalates {event['subject']} to {data['level']['to']['name']}: {data['reason']}"
    return f"{kind} {event['subject']}: {data['reason'] or ''}"


def matches(expected, happened):
    if expected.startswith("dead letter: "):
        return happened.startswith("dead letter: ") and f'"{expected[13:]}"' in happened
    return expected == happened


def run(triagectl, config, path):
    timeline = read(path)
    if timeline is None:
        return []
    lines, expected, last = timeline
    partitions = re.search(r"^partitions (\d+)$", path.read_text(), re.M)
    text = config.read_text().replace("partitions: 1", f"partitions: {partitions[1] if partitions else 1}")
    own = config.with_suffix(".own")
    own.write_text(text)
    done = subprocess.run([triagectl, "--config.file", str(own), "replay", "--until", rfc3339(last)],
                          input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [f"{path.name}: exit {done.returncode}: {done.stderr}"]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    problems = []
    for i in range(max(len(events), len(expected))):
        want, at = expected[i] if i < len(expected) else ("nothing more", None)
        got = describe(events[i]) if i < len(events) else "nothing more"
        if not matches(want, got):
            return problems + [f"{path.name}: event {i + 1}: expected {want}, happened {got}"]
        if not got.startswith("dead letter") and events[i]["time"] != rfc3339(at):
            problems.append(f"{path.name}: {got} at {events[i]['time']}, not at {rfc3339(at)}")
    return problems


def main():
    triagectl, problems, count = sys.argv[1], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for pack in PACKS:
            config = configure(pathlib.Path(folder), pack)
            for path in sorted((ROOT / "tests/scenario" / pack).glob("*.timeline")):
                if "\nretention " in path.read_text():
                    continue  # `triagectl replay` keeps every case
                count += 1
                problems += run(triagectl, config, path)
    for problem in problems:
        print(problem)
    print(f"{count} timelines through triagectl replay, {len(problems)} problems")
    return 1 if problems or count < 60 else 0


if __name__ == "__main__":
    sys.exit(main())
