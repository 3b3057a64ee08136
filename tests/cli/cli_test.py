#!/usr/bin/env python3
"""The programs as a new user meets them: help, wrong flags, wrong configuration, examples, exit codes, shipped configs.

  cli_test.py TRIAGED TRIAGECTL
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRIAGED, TRIAGECTL = sys.argv[1], sys.argv[2]
failures = []
count = 0


def run(*command, text=""):
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def check(what, condition, result=None):
    global count
    count += 1
    if not condition:
        failures.append(what)
        shown = f"\n  exit {result.returncode}\n  out {result.stdout[:500]}\n  err {result.stderr[:500]}" if result else ""
        print(f"FAILED: {what}{shown}")


def ctl(*arguments, text=""):
    return run(TRIAGECTL, "--config.file", str(ROOT / "configs/triaged.yaml"), *arguments, text=text)


def flags_and_codes():
    for program in (TRIAGED, TRIAGECTL):
        result = run(program, "--help")
        check(f"{program} --help", result.returncode == 0 and "--config.file" in result.stdout, result)
        result = run(program, "--version")
        check(f"{program} --version", result.returncode == 0 and re.search(r"\d+\.\d+\.\d+", result.stdout), result)
        result = run(program, "--no-such-flag")
        check(f"{program} wrong flag is usage", result.returncode == 2 and result.stderr, result)
    result = run(TRIAGECTL, "tag", "--help")
    check("tag --help", result.returncode == 0 and "--name" in result.stdout and "--reason" in result.stdout, result)
    result = run(TRIAGECTL)
    check("triagectl without a subcommand is usage", result.returncode == 2, result)
    result = ctl("ack", "not-a-case", "--actor", "a", "--role", "l1")
    check("a malformed case id is usage", result.returncode == 2 and "case id" in result.stderr, result)


def shipped_files():
    for what, path in (("config", "configs/triaged.yaml"), ("rules", "configs/rules"), ("formats", "configs/formats"),
                       ("enrichment", "configs/enrichment"),
                       *(("policy", f"configs/policies/{pack.name}")
                         for pack in sorted((ROOT / "configs/policies").glob("*.yaml"))),
                       ("rules", "configs/rules-operations")):
        result = ctl("check", what, str(ROOT / path))
        check(f"shipped {path}", result.returncode == 0 and result.stdout.startswith("ok"), result)


def wrong_configuration():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "triaged.yaml"
        path.write_text("kafka:\n  bootstrap_server: x\n  alert_topics: [a]\nstorage: {path: s}\nworkers: many\n"
                        f"formats: {ROOT}/configs/formats\nrules: {ROOT}/configs/rules\npolicies: {ROOT}/configs/policies/soc-tiered.yaml\n")
        for result, code in ((run(TRIAGED, "--config.file", str(path)), 78), (ctl("check", "config", str(path)), 1)):
            check(f"a wrong configuration exits {code}", result.returncode == code, result)
            check("all errors at once", "bootstrap_server" in result.stderr and "workers" in result.stderr, result)
            check("with file and line", f"{path}:2" in result.stderr, result)
            check("with a suggestion", "did you mean" in result.stderr, result)
        result = run(TRIAGED, "--config.file", f"{folder}/absent.yaml")
        check("an absent configuration exits 78", result.returncode == 78 and "absent.yaml" in result.stderr, result)


ALERT = {"ecs": {"version": "8.11"}, "event": {"kind": "alert", "id": "a1", "severity": 99}, "host": {"name": "db7"},
         "rule": {"name": "Ransomware found"}, "@timestamp": "2026-03-02T08:00:00Z"}


def normalize():
    result = ctl("normalize", text=json.dumps(ALERT) + "\nnot json\n[1]\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    check("normalize: a line each, exit 0", result.returncode == 0 and len(lines) == 3, result)
    check("normalize: ECS names", lines[0]["host.name"] == "db7" and lines[0]["event.severity"] == 99)
    check("normalize: errors carry a reason", lines[1]["triaged.error"]["reason"] == "invalid_json"
          and lines[2]["triaged.error"]["reason"] == "not_an_object")
    result = ctl("normalize", "--explain", text=json.dumps(ALERT) + "\n")
    explained = json.loads(result.stdout)
    check("normalize --explain names table and path", explained["format"] == "ecs"
          and explained["fields"]["event.severity"] == [{"value": "99", "path": "event.severity"}]
          and explained["fields"]["triaged.severity"] == [{"value": "critical"}], result)
    result = ctl("normalize", "--strict", text="not json\n")
    check("normalize --strict fails", result.returncode == 1, result)
    unstamped = json.dumps({"rule": {"name": "x"}, "timestamp": "Dec 31 23:59:50"}) + "\n"
    for arguments, at in (((), "1969-12-31T23:59:50.000Z"), (("--record-time", "2027-01-01T00:00:05Z"), "2026-12-31T23:59:50.000Z")):
        shown = json.loads(ctl("normalize", *arguments, text=unstamped).stdout)
        check("normalize --record-time: the year that was left out", shown["@timestamp"] == at, shown)
    result = ctl("normalize", "--record-time", "yesterday", text="{}\n")
    check("a wrong --record-time is usage", result.returncode == 2 and "--record-time 'yesterday'" in result.stderr, result)
    result = ctl("normalize", "--format", "nonsense", text="{}\n")
    check("an unknown format is usage", result.returncode == 2, result)


RULES = """title: One
id: one
detection: {s: {Image|endswith: cmd.exe}, condition: s}
---
title: Two
id: two
detection: {s: {CommandLine|re: 'a(b|c)+d'}, condition: s}
"""


def rules_eval():
    with tempfile.TemporaryDirectory() as folder:
        rules, events, more = (pathlib.Path(folder) / name for name in ("rules.yaml", "events.ndjson", "more.yaml"))
        rules.write_text(RULES)
        more.write_text("title: Three\nid: three\ndetection: {s: {Image|contains: cmd}, condition: s}\n")
        text = json.dumps({"Image": "c:\\cmd.exe"}) + "\n" + json.dumps({"CommandLine": "xabcd"}) + "\n"
        events.write_text(text)
        expected = [{"line": 1, "rules": ["one"]}, {"line": 2, "rules": ["two"]}]
        for how, stdin in ((("--rules", str(rules), str(events)), ""), ((str(events), "--rules", str(rules)), ""),
                           (("--rules", str(rules)), text), (("--rules", str(rules), "-"), text)):
            result = ctl("rules", "eval", "--raw", *how, text=stdin)
            lines = [json.loads(line) for line in result.stdout.splitlines()]
            check(f"rules eval {' '.join(how)}", result.returncode == 0 and lines == expected, result)
        result = ctl("rules", "eval", "--raw", "--rules", str(rules), "--rules", str(more), str(events))
        check("rules eval: --rules may be repeated", json.loads(result.stdout.splitlines()[0])["rules"] == ["one", "three"], result)
        result = ctl("rules", "explain", "--raw", "--rule", "two", "--rules", str(rules), str(events))
        check("rules explain takes events after --rules", result.returncode == 0 and "line 2: " in result.stdout, result)
        # The limits of the configuration: a rule that costs more is named, by file and line.
        config = pathlib.Path(folder) / "triaged.yaml"
        config.write_text("kafka: {bootstrap_servers: x, alert_topics: [a]}\nstorage: {path: s}\n"
                          f"formats: {ROOT}/configs/formats\nrules: {ROOT}/configs/rules\n"
                          f"policies: {ROOT}/configs/policies/soc-tiered.yaml\n"
                          "limits: {rule_steps: 1, rule_set_steps: 1, alert_rule_steps: 1000}\n")
        costly = pathlib.Path(folder) / "costly.yaml"
        costly.write_text("title: Costly\nid: costly\ndetection: {s: {message|re: '(ab?c){40}'}, condition: s}\n")
        result = ctl("check", "rules", str(costly))
        check("a costly rule fits the default limits", result.returncode == 0, result)
        for how in (("check", "rules", str(costly)), ("rules", "eval", "--rules", str(costly))):
            result = run(TRIAGECTL, "--config.file", str(config), *how)
            check(f"{how[0]}: a rule beyond limits.rule_steps is refused", result.returncode == 1
                  and f"{costly}:3:12: error: this costs up to" in result.stderr and "limit is 1" in result.stderr, result)


def replay():
    command = {"id": "c1", "case_id": "CASE", "actor": "emi", "role": "l2", "action": "ack"}
    first = ctl("replay", text=json.dumps(ALERT) + "\n")
    events = [json.loads(line) for line in first.stdout.splitlines()]
    check("replay: opened and escalated", {"io.triaged.case.opened.v1", "io.triaged.case.escalated.v1"} <=
          {event["type"] for event in events}, first)
    command["case_id"] = events[0]["subject"]
    text = "".join(json.dumps(line) + "\n" for line in
                   ({"at": "2026-03-02T08:00:00Z", "alert": ALERT}, {"at": "2026-03-02T08:04:00Z", "command": command}))
    text += "broken line\n"
    one = ctl("replay", "--until", "2026-03-03T08:00:00Z", "--cases", text=text)
    two = ctl("replay", "--until", "2026-03-03T08:00:00Z", "--cases", text=text)
    check("replay is byte-equal", one.stdout == two.stdout and one.stdout, one)
    types = [json.loads(line)["type"] for line in one.stdout.splitlines()]
    check("replay: acknowledged, a dead letter, a document", "io.triaged.case.acknowledged.v1" in types
          and "io.triaged.dead_letter.v1" in types and types[-1] == "io.triaged.case.document.v1", one)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "triaged.yaml"
        path.write_text(f"""application_id: t
kafka: {{embedded_broker: true, alert_topics: [alerts, both]}}
storage: {{path: {folder}/state}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
topics: {{both: {{split: [array], zone: Asia/Tokyo}}}}
""")
        local = {**ALERT, "@timestamp": "2026-03-02 17:00:00"}
        pair = json.dumps([local, {**local, "event": {**ALERT["event"], "id": "a2"}}]) + "\n"
        split = run(TRIAGECTL, "--config.file", str(path), "replay", "--topic", "both", "--cases", text=pair)
        document = json.loads(split.stdout.splitlines()[-1])
        check("replay --topic: split and zone hold", split.returncode == 0 and document["data"]["counts"]["alerts"] == 2
              and "2026-03-02T08:00:00.000Z" in json.dumps(document), split)
        own = "".join(json.dumps({"at": "2026-03-02T09:00:00Z", "topic": topic, "alert": alert}) + "\n" for topic, alert in
                      (("both", [local]), ("alerts", [local])))
        lines = run(TRIAGECTL, "--config.file", str(path), "replay", "--cases", text=own)
        check("replay: a line names its topic", lines.stdout.count("not_an_object") == 1
              and json.loads(lines.stdout.splitlines()[-1])["data"]["counts"]["alerts"] == 1, lines)
        whole = run(TRIAGECTL, "--config.file", str(path), "replay", "--cases", text=pair)
        check("replay without it: one record that is no alert", "not_an_object" in whole.stdout, whole)
    result = ctl("replay", "--until", "tomorrow", text="")
    check("a wrong time is usage", result.returncode == 2, result)


def route_tests(folder):
    shipped = str(ROOT / "tests/notify/routes.yaml")
    junit = folder / "routes.xml"
    result = run(TRIAGECTL, "test", shipped, "--junit", str(junit))
    check("test runs route tests without a configuration of the daemon", result.returncode == 0 and "ok" in result.stdout, result)
    check("and reports them", "routes.yaml" in junit.read_text() and 'failures="0"' in junit.read_text(), result)
    wrong = folder / "routes.yaml"
    text = pathlib.Path(shipped).read_text().replace("../../configs", str(ROOT / "configs"))
    wrong.write_text(text.replace("to: [pager, chat]", "to: [mail]"))
    result = run(TRIAGECTL, "test", str(wrong))
    check("a route that leads elsewhere is told with its line", result.returncode == 1 and "expected [mail], but it goes to "
          "[pager, chat]" in result.stderr and f"{wrong}:" in result.stderr, result)
    wrong.write_text(text.replace("to: [mail]", "to: [male]"))
    result = run(TRIAGECTL, "test", str(wrong))
    check("an unknown destination in a route test is an error", result.returncode == 1 and "'male'" in result.stderr, result)


def timelines():
    scenario = str(ROOT / "tests/scenario/soc/major_incident.timeline")
    with tempfile.TemporaryDirectory() as folder:
        junit = f"{folder}/junit.xml"
        result = ctl("test", scenario, "--junit", junit)
        check("test runs a timeline", result.returncode == 0 and "ok" in result.stdout, result)
        check("and writes JUnit", 'failures="0"' in pathlib.Path(junit).read_text())
        wrong = pathlib.Path(folder) / "wrong.timeline"
        wrong.write_text("00:00 alert host=a rule=b severity=low → nothing\n")
        result = ctl("test", str(wrong))
        route_tests(pathlib.Path(folder))
        check("a timeline that fails exits 1", result.returncode == 1 and "expected" in result.stderr, result)


def policies():
    for pack in sorted((ROOT / "configs/policies").glob("*.yaml")):
        result = ctl("check", "policy", str(pack))
        check(f"check policy {pack.name}", result.returncode == 0, result)
        result = ctl("check", "policy", "--graph", str(pack))
        check(f"check policy --graph {pack.name}", result.returncode == 0 and result.stdout.startswith("digraph")
              and result.stdout.count("{") == result.stdout.count("}"), result)
    with tempfile.TemporaryDirectory() as folder:
        wrong = pathlib.Path(folder) / "pack.yaml"
        text = (ROOT / "tests/scenario/engine/pack.yaml").read_text()
        for good, bad in (("engage: [legal]", "engage: [leagl]"), ("when: {case.tags: minimal}", "when: {case.severity: P7}"),
                          ("hard_limit: {to: L2,", "hard_limit: {to: L7,")):
            text = text.replace(good, bad)
        wrong.write_text(text)
        result = ctl("check", "policy", str(wrong))
        lines = text.splitlines()
        for bad in ("leagl", "L7"):
            number = 1 + next(i for i, line in enumerate(lines) if bad in line)
            check(f"check policy: file, line and snippet of {bad}", result.returncode == 1
                  and f"{wrong}:{number}:" in result.stderr and lines[number - 1].strip() in result.stderr, result)
    result = ctl("explain", "--policy", "soc-tiered", "--at", "2026-03-02T08:00:00Z")
    parts = re.split(r"\n\n", result.stdout)
    check("explain --policy: each severity", [part.split("\n")[0] for part in parts[1:]] ==
          ["critical", "high", "medium", "low"], result)
    for part, level_two in zip(parts[1:], ("10m", "30m", "4h", "1d")):
        first = next(line for line in part.splitlines() if "goes to" in line)
        check(f"explain --policy: {part[:8]!r} reaches L2 at its minute", first.split()[:4] == [level_two, "goes", "to", "L2:"],
              result)
    result = ctl("explain", "--policy", "nonsense")
    check("explain: an unknown policy", result.returncode == 1 and "nonsense" in result.stderr, result)
    result = ctl("explain", "nonsense")
    check("explain: no case id is usage", result.returncode == 2, result)


def cases():
    """Open cases in the order of what is due, one in words, and the documents as they are; nothing forges a line."""
    dirty = "h\n0-9  critical  open\x1b[31m"
    inputs = []
    for number, (host, severity) in enumerate([("slow", 10), (dirty, 99), ("gone", 99)]):
        inputs.append({"at": "2026-03-02T08:00:00Z", "alert": {
            "ecs.version": "8.11", "event.kind": "alert", "event.id": f"a{number}", "@timestamp": "2026-03-02T08:00:00Z",
            "host.name": host, "rule.name": "x", "event.severity": severity}})
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "triaged.yaml"
        config.write_text("kafka: {embedded_broker: true, alert_topics: [a], partitions: 1}\nstorage: {path: s}\n"
                          f"formats: {ROOT}/configs/formats\nrules: {ROOT}/configs/rules\n"
                          f"policies: {ROOT}/configs/policies/soc-tiered.yaml\n")
        inputs.append({"at": "2026-03-02T08:01:00Z", "command": {
            "id": "c1", "case_id": "0-3", "actor": "ada", "role": "l1", "action": "close", "arguments": {"reason": "known"}}})
        replay = run(TRIAGECTL, "--config.file", str(config), "replay", "--cases", "--until", "2026-03-02T08:02:00Z",
                     text="\n".join(map(json.dumps, inputs)) + "\n").stdout
        asked = lambda *arguments: run(TRIAGECTL, *arguments, "--input", "-", text=replay)
        result = asked("cases")
        rows = [line.split() for line in result.stdout.splitlines()]
        check("cases: the open ones, what is due first before the others", result.returncode == 0
              and [row[:4] for row in rows[1:]] == [["0-2", "critical", "open", "L1"], ["0-1", "low", "open", "L1"]], result)
        check("cases: no alert forges a line or colours it", "\x1b" not in result.stdout and len(rows) == 3, result)
        result = asked("cases", "--all", "--output", "ndjson")
        documents = [line for line in replay.splitlines() if json.loads(line)["type"] == "io.triaged.case.document.v1"]
        check("cases --output ndjson: the documents as they are", sorted(result.stdout.splitlines()) == sorted(documents), result)
        for option, value, wanted in (("--status", "closed", ["0-3"]), ("--severity", "low", ["0-1"]), ("--team", "l1", ["0-2", "0-1"]),
                                      ("--level", "L2", []), ("--policy", "soc-tiered", ["0-2", "0-1"]), ("--assignee", "ada", [])):
            result = asked("cases", option, value, "--output", "json")
            check(f"cases {option} {value}", [one["subject"] for one in json.loads(result.stdout)] == wanted, result)
        result = asked("case", "0-3")
        check("case: standing, verdict and timeline", result.returncode == 0 and result.stdout.startswith("0-3  critical  closed at L1\n")
              and "closed by ada: known" in result.stdout, result)
        result = asked("case", "0-2")
        check("case: running clocks with their due times", "  acknowledge: running, due 2026-03-02T08:05:00.000Z\n" in result.stdout
              and "\x1b" not in result.stdout, result)
        check("case: an unknown one", asked("case", "0-9").returncode == 1)
        check("case: no case id is usage", asked("case", "nine").returncode == 2)


def shifts():
    result = ctl("oncall", "--at", "2026-03-02T08:00:00Z", "--team", "l2")
    check("oncall names who is on shift", result.returncode == 0 and "@example.org" in result.stdout, result)
    other = ctl("oncall", "--at", "2026-03-09T08:00:00Z", "--team", "l2")
    check("oncall: a week later it is another", result.stdout.splitlines()[1] != other.stdout.splitlines()[1], other)
    result = ctl("oncall", "--team", "nonsense")
    check("oncall: an unknown team", result.returncode == 1 and "nonsense" in result.stderr, result)
    result = ctl("oncall", "--at", "noon")
    check("oncall: a wrong time is usage", result.returncode == 2, result)
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "triaged.yaml"
        config.write_text("kafka: {embedded_broker: true, alert_topics: [a]}\nstorage: {path: s}\n"
                          f"formats: {ROOT}/configs/formats\nrules: {ROOT}/tests/scenario/engine/rules.yaml\n"
                          f"policies: {ROOT}/tests/scenario/engine/pack.yaml\n")
        result = run(TRIAGECTL, "--config.file", str(config), "oncall", "--lint", "--at", "2026-03-02T08:00:00Z")
        check("oncall --lint finds nights without the team", result.returncode == 1 and "fallback\tsecond" in result.stdout,
              result)


def readme_commands():
    """Each script the READMEs tell people to run exists, runs --help, and each `triagectl` verb they name is known."""
    for readme in [ROOT / "README.md", *ROOT.glob("*/README.md")]:
        text = readme.read_text()
        for script in set(re.findall(r"\./((?:deploy|tests)/[\w./-]+\.sh)", text)):
            result = run(str(ROOT / script), "--help")
            check(f"{readme.name} names {script}", result.returncode == 0, result)
        for verb in set(re.findall(r"^\s*(?:\$ )?triagectl ([a-z-]+)", text, re.M)):
            result = run(TRIAGECTL, verb, "--help")
            check(f"{readme} names triagectl {verb}", result.returncode == 0, result)


def every_flag_says_what_it_is():
    overview = run(TRIAGECTL, "--help").stdout
    for verb in re.findall(r"^  ([a-z-]+) ", overview[overview.index("Subcommands:"):], re.M):
        result = run(TRIAGECTL, verb, "--help")
        # A long flag has its text on the next line.
        blank = re.findall(r"^  (-\S+(?: \S+)?(?: REQUIRED)?) *\n(?! {10})", result.stdout, re.M)
        check(f"triagectl {verb} --help: {blank}", result.returncode == 0 and not blank, result)


flags_and_codes()
shipped_files()
wrong_configuration()
normalize()
rules_eval()
replay()
timelines()
policies()
cases()
shifts()
readme_commands()
every_flag_says_what_it_is()
print(f"{count - len(failures)} passed, {len(failures)} failed")
sys.exit(1 if failures or count < 30 else 0)
