#!/usr/bin/env python3
"""Sigma conformance of `triagectl rules eval`: the SigmaHQ rules and their regression cases, rsigma's vectors, and what
the deprecated rules are refused with.

    sigma_test.py TRIAGECTL

Our own vectors come first; what needs ../shared/sigma exits with 77 (skipped) where that is absent.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import vectors
import yaml

SHARED = pathlib.Path(__file__).resolve().parents[2] / ".." / "shared" / "sigma"
MAPPING = pathlib.Path(__file__).resolve().parents[2] / "configs" / "mappings" / "windows-events.yaml"
CONFIG = pathlib.Path(__file__).resolve().parents[2] / "configs" / "triaged.yaml"
ECS_MAPPING = pathlib.Path(__file__).resolve().parents[2] / "configs" / "mappings" / "sigma-ecs.yaml"
PARTS = ("product", "category", "service")
FOLDERS = ("rules", "rules-threat-hunting", "rules-emerging-threats", "rules-dfir", "rules-compliance",
           "rules-placeholder")
ACTIVE_RULES = 3780
REGRESSION_CASES = 105
VECTORS = 77

# What the deprecated and unsupported rules are refused with: message → how many, and the words its hint must have. Each
# is what Sigma 2 removed or what makes the file no rule; a change is looked at by a person.
REFUSALS = {
    "aggregations ('…') were removed from conditions in Sigma 2": (47, "write a correlation rule of type"),
    "'…' was removed from Sigma": (7, "write a correlation rule of type 'temporal'"),
    "'…' in a detection was replaced in Sigma 2": (46, "write a correlation rule and give it 'timespan'"),
    "rule collections with '…' were removed in Sigma 2": (3, "write every rule out in full"),
    # Pseudo code that was never Sigma: "write X from …; then if …".
    "no selection is named '…'": (4, ""),
    "unexpected '…' in the condition": (4, "'and' or 'or' is expected"),
}

# Every modifier of the specification's appendix, by its names.
MODIFIERS = {"all", "base64", "base64offset", "cased", "cidr", "contains", "day", "endswith", "exists", "expand",
             "fieldref", "gt", "gte", "hour", "i", "lt", "lte", "m", "minute", "month", "neq", "re", "s", "startswith",
             "utf16", "utf16be", "utf16le", "week", "wide", "windash", "year"}

# Vectors that we answer otherwise on purpose: name of the test → why.
DIFFERENCES = {
    "test_expand_modifier_yaml": "placeholders are expanded from configured lists, never from fields of the event",
    "test_expand_modifier_multiple_placeholders": "as above",
    "test_action_repeat_evaluates_correctly": "`action` was removed in Sigma 2; it is refused, and the message says so",
    "test_action_repeat_with_global": "as above",
}


def run(triagectl, rules, events, *more, raw=True):
    """Matches per event line, and what was said on stderr; None for the matches when the rules do not load."""
    lines = "".join(json.dumps(event) + "\n" for event in events)
    how = ["rules", "eval", "--raw"] if raw else ["--config.file", str(CONFIG), "rules", "eval"]
    sets = [part for path in rules for part in ("--rules", str(path))]
    done = subprocess.run([triagectl, *how, *sets, *more], input=lines, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr
    return [json.loads(line)["rules"] for line in done.stdout.splitlines()], done.stderr


def flatten(document):
    """A Windows event as its rules see it: the children of System and EventData by their own names."""
    event = {}
    for part in ("System", "EventData"):
        section = document.get("Event", {}).get(part) or {}
        for key, value in section.items():
            if isinstance(value, dict) and "#attributes" in value:
                if key == "Provider":
                    event["Provider_Name"] = value["#attributes"].get("Name")
                continue
            event[key.replace(" ", "")] = value  # Defender writes "Source Name", rules SourceName
    return event


def as_winlogbeat(event, fields):
    """A flattened Windows event as Winlogbeat ships it: ECS names where the table has them, the channel and the code."""
    document = {"ecs.version": "8.11.0", "event.kind": "event", "host.os.type": "windows"}
    for name, value in event.items():
        document.setdefault(fields.get(name, name), str(value) if name == "EventID" else value)
    return document


def check_ecs(triagectl, rules):
    """configs/mappings/sigma-ecs.yaml: an entry for every logsource, and the regression cases as normalised alerts."""
    table = yaml.safe_load(ECS_MAPPING.read_text())
    entries = {tuple(entry.get(part, "") for part in PARTS) for entry in table["logsources"]}
    wanted = set()
    for path in (path for folder in rules for path in folder.rglob("*.yml")):
        for document in yaml.safe_load_all(path.read_text()):
            wanted.add(tuple((document.get("logsource") or {}).get(part, "") for part in PARTS))
    failures = [f"sigma-ecs.yaml has no entry for {' '.join(filter(None, one))}" for one in sorted(wanted - entries)]
    print(f"sigma-ecs: {len(wanted)} logsources")
    with tempfile.TemporaryDirectory() as folder:
        # Nothing may match for want of an entry.
        strict = pathlib.Path(folder) / "strict.yaml"
        strict.write_text(ECS_MAPPING.read_text().replace("unmapped: try ", "unmapped: skip"))
        return failures + check_regression(triagectl, rules, "--mapping", str(strict),
                                           shape=lambda event: as_winlogbeat(event, table["fields"]))


def check_regression(triagectl, rules, *more, shape=None):
    failures = []
    cases = [json.loads(line) for line in (SHARED / "regression" / "cases.ndjson").open()]
    events = [flatten(event) for case in cases for event in case["events"]]
    matches, errors = run(triagectl, rules, map(shape, events) if shape else events, *more, raw=not shape)
    if matches is None:
        return ["the SigmaHQ rules do not load:\n" + errors[:4000]]
    at = 0
    for case in cases:
        found = sum(case["rule_id"] in matches[at + i] for i in range(len(case["events"])))
        at += len(case["events"])
        wanted = case["match_count"] or 1
        if found < wanted:
            failures.append(f"{case['path']}: {found} matches, wanted {wanted}")
    if len(cases) != REGRESSION_CASES:
        failures.append(f"{len(cases)} regression cases, not {REGRESSION_CASES}")
    print(f"regression {'normalised ' if shape else ''}{' '.join(more[:1])}: {len(cases) - len(failures)} of {len(cases)} cases match")
    return failures


def with_ids(text):
    """Sigma allows rules without an id, we do not (it names the rule in every record), so the vectors get one."""
    if text.lstrip().startswith("{"):
        rule = json.loads(text)
        return json.dumps({"id": "vector", **rule})
    documents = text.split("\n---")
    for i, document in enumerate(documents):
        if "detection:" in document and not re.search(r"(?m)^id:", document):
            documents[i] = document.replace("\ntitle:", f"\nid: vector-{i}\ntitle:", 1)
    return "\n---".join(documents)


def check_vectors(triagectl, folder):
    failures = []
    differing = 0
    groups = collections.OrderedDict()  # one run for all events of one rule text
    for line in (SHARED / "rsigma_vectors.ndjson").open():
        vector = json.loads(line)
        groups.setdefault(vector["rule_yaml"], []).append(vector)
    total = sum(len(group) for group in groups.values())
    for number, (text, group) in enumerate(groups.items()):
        path = folder / f"vector_{number}.yml"
        path.write_text(with_ids(text))
        matches, errors = run(triagectl, [path], [vector["event"] for vector in group])
        for i, vector in enumerate(group):
            if matches is None or len(matches[i]) != vector["expected_matches"]:
                said = errors if matches is None else f"{len(matches[i])} matches, wanted {vector['expected_matches']}"
                if vector["test"] in DIFFERENCES:
                    differing += 1
                    continue
                failures.append(f"{vector['test']}: {vector['event']}: {said}")
    if total != VECTORS:
        failures.append(f"{total} vectors, not {VECTORS}")
    print(f"rsigma vectors: {total - len(failures) - differing} of {total}, {differing} differ on purpose")
    return failures


def check_deprecated(triagectl, folders):
    done = subprocess.run([triagectl, "check", "rules", *map(str, folders)], capture_output=True, text=True)
    blocks = re.findall(r"^(\S+?):\d+:\d+: error: (.*)\n((?:  .*\n|\s*\n)*)", done.stderr, re.M)
    found = collections.Counter()
    failures = []
    for file, message, rest in blocks:
        message = re.sub(r"'[^']*'", "'…'", message)
        found[message] += 1
        if message not in REFUSALS:
            failures.append(f"{file}: refused with an error nobody expected: {message}")
        elif REFUSALS[message][1] not in rest:
            failures.append(f"{file}: {message}: the hint does not say: {REFUSALS[message][1]}")
    for message, (count, _) in REFUSALS.items():
        if found[message] != count:
            failures.append(f"{found[message]} rules are refused with '{message}', not {count}")
    print(f"deprecated: {len({file for file, *_ in blocks})} files refused with {found.total()} errors")
    return failures


def check_own(triagectl, folder):
    """Our own vectors: all rules in one set, so that they cannot disturb each other either."""
    (folder / "mapping.yaml").write_text(vectors.MAPPING)
    rules, events = [], []
    for name, detection, matching, others in vectors.VECTORS:
        rules.append(json.dumps({"title": name, "id": name, "detection": detection}))
        events += [(name, event, True) for event in matching] + [(name, event, False) for event in others]
    path = folder / "own.yaml"
    path.write_text("\n---\n".join(rules) + "\n")
    matches, said = run(triagectl, [path], [event for _, event, _ in events], "--mapping", str(folder / "mapping.yaml"))
    if matches is None:
        return ["our own vectors do not load:\n" + said]
    failures = [f"{name}: {event} must {'' if wanted else 'not '}match"
                for (name, event, wanted), found in zip(events, matches) if (name in found) != wanted]
    used = {modifier for _, detection, *_ in vectors.VECTORS for selection in detection.values()
            for part in (selection if isinstance(selection, list) else [selection]) if isinstance(part, dict)
            for key in part for modifier in key.split("|")[1:]}
    failures += [f"no vector has the modifier {modifier}" for modifier in sorted(MODIFIERS - used)]
    print(f"own vectors: {len(vectors.VECTORS)} rules, {len(events)} events, {len(failures)} wrong")
    return failures


def main():
    triagectl = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        failures = check_own(triagectl, pathlib.Path(temporary))
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else check_shared(triagectl)


def check_shared(triagectl):
    if not (SHARED / "sigma_rules.tar.gz").exists():
        print("no SigmaHQ rules here")
        return 77
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        for name in ("sigma_rules.tar.gz", "sigma_rules_deprecated_unsupported.tar.gz"):
            with tarfile.open(SHARED / name) as archive:
                archive.extractall(root)
        folders = [root / folder for folder in FOLDERS if any((root / folder).rglob("*.yml"))]
        active = sum(1 for folder in folders for _ in folder.rglob("*.yml"))
        failures = [] if active == ACTIVE_RULES else [f"{active} active rules, not {ACTIVE_RULES}"]
        failures += check_regression(triagectl, folders)
        failures += check_regression(triagectl, folders, "--mapping", str(MAPPING))
        failures += check_ecs(triagectl, folders)
        failures += check_vectors(triagectl, root)
        failures += check_deprecated(triagectl, [root / "deprecated", root / "unsupported"])
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
