#!/usr/bin/env python3
"""OCSF out against the schema of OCSF 1.5.0: every fixture, every real alert where present, and the Incident Findings of a
replay. The schema comes from the package ocsf-json-schema, which pip fetches once into FOLDER; without it the test is
skipped (77). Usage: ocsf_test.py TRIAGECTL FOLDER
"""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE, VERSION = "ocsf-json-schema==1.2.0", "1.5.0"


def schema_package(folder):
    """The folder of the unpacked package, or None."""
    unpacked = folder / "ocsf_json_schema" / "ocsf" / f"{VERSION}.json"
    if not unpacked.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                                  "--dest", str(folder), PACKAGE], capture_output=True, text=True, timeout=120, check=False)
        wheels = list(folder.glob("*.whl"))
        if fetched.returncode != 0 or not wheels:
            print(f"skipped: {PACKAGE} cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
            return None
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(folder)
    return folder


class Checker:
    def __init__(self, folder):
        sys.path.insert(0, str(folder))
        from jsonschema import Draft202012Validator
        from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded
        from ocsf_json_schema.loader import get_ocsf_schema
        self.schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))
        self.validator = Draft202012Validator
        self.validators = {}
        self.problems = collections.Counter()
        self.first = {}

    def check(self, finding):
        profiles = tuple(finding["metadata"].get("profiles", []))
        key = (finding["class_uid"], profiles)
        if key not in self.validators:
            name = self.schema.lookup_class_name_from_uid(finding["class_uid"])
            self.validators[key] = self.validator(self.schema.get_class_schema(name, list(profiles)))
        for error in self.validators[key].iter_errors(finding):
            where = ".".join("[]" if isinstance(part, int) else part for part in error.absolute_path)
            kind = f"{where or 'finding'}: {error.validator}: {error.message[:160]}"
            self.problems[kind] += 1
            self.first.setdefault(kind, finding)


def normalise(triagectl, records):
    text = "".join(record + "\n" for record in records)
    done = subprocess.run([triagectl, "normalize", "--output", "ocsf"], input=text, capture_output=True, text=True, timeout=120,
                          check=True)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return [finding for finding in findings if "triaged.error" not in finding]


def fixtures():
    for path in sorted((ROOT / "tests/data/formats").glob("*.ndjson")):
        yield from (json.dumps(json.loads(line)["record"]) for line in path.read_text().splitlines())


def real_alerts(limit_per_file):
    for path in sorted((ROOT / "../shared/alerts").glob("*/*.ndjson")):
        yield from path.read_text(errors="replace").split("\n")[:limit_per_file]


def incidents(triagectl):
    """The Incident Findings that the case events of a replay carry."""
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "triaged.yaml"
        config.write_text(f"""application_id: t
kafka: {{embedded_broker: true, alert_topics: [alerts]}}
storage: {{path: {folder}/state}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
ocsf: true
""")
        done = subprocess.run([triagectl, "--config.file", str(config), "replay", "--until", "2026-03-02T12:00:00Z"],
                              input="".join(line + "\n" for line in fixtures()), capture_output=True, text=True, timeout=120,
                              check=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return [event["data"]["ocsf"] for event in events if "ocsf" in event.get("data", {})]


def main():
    triagectl = str(pathlib.Path(sys.argv[1]).resolve())
    folder = schema_package(pathlib.Path(sys.argv[2]))
    if not folder:
        return 77
    checker, counts = Checker(folder), collections.Counter()
    for what, findings in (("fixtures", normalise(triagectl, fixtures())), ("real alerts", normalise(triagectl, real_alerts(20))),
                           ("incident findings", incidents(triagectl))):
        for finding in findings:
            counts[what] += 1
            checker.check(finding)
    for kind, count in checker.problems.most_common(20):
        print(f"{count} times {kind}\n  first in {json.dumps(checker.first[kind])[:1500]}")
    print(f"OCSF {VERSION}: {dict(counts)}, {sum(checker.problems.values())} problems of {len(checker.problems)} kinds")
    # That a wrong finding is seen.
    broken = Checker(folder)
    broken.check({**normalise(triagectl, list(fixtures())[:1])[0], "severity_id": "high", "no_such_attribute": 1})
    if len(broken.problems) < 2:
        print("a wrong finding passes")
        return 1
    return 1 if checker.problems or counts["fixtures"] < 40 or counts["incident findings"] < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
