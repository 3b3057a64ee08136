#!/usr/bin/env python3
"""Hand-offs, reports and drills through the real program, on the documents of real replays.

Figures are counted again here from the documents. Usage: report_test.py TRIAGECTL
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRIAGECTL = sys.argv[1]
DIRTY = '<script>alert(1)</script> | **x** & "y"'
failures = []


def run(*command, text=""):
    return subprocess.run([TRIAGECTL, *command], input=text, capture_output=True, text=True, timeout=60, check=False)


def check(what, condition, shown=""):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n{str(shown)[:1500]}")


def configure(folder, pack, partitions=1):
    rules = "rules" if pack == "soc-tiered" else "rules-operations" if pack in ("kb005", "support-framework") else None
    rules = [f"{ROOT}/configs/{name}" for name in ([rules] if rules else ["rules", "rules-operations"])]
    path = pathlib.Path(folder) / f"{pack}.yaml"
    path.write_text(f"application_id: drill\nkafka: {{embedded_broker: true, alert_topics: [a], partitions: {partitions}}}\n"
                    f"storage: {{path: {folder}/s}}\nformats: [{ROOT}/configs/formats]\nrules: [{', '.join(rules)}]\n"
                    f"policies: [{ROOT}/configs/policies/{pack}.yaml]\n")
    return str(path)


def alerts():
    lines = []
    days = ["2026-03-28T22:30:00Z", "2026-03-31T20:00:00Z", "2026-03-31T22:30:00Z", "2026-04-01T09:00:00Z"]
    for number, day in enumerate(days):
        for host in range(3):
            alert = {"ecs.version": "8.11", "event.kind": "alert", "event.id": f"{number}-{host}", "@timestamp": day,
                     "event.severity": (20, 60, 99)[host], "host.name": f"host-{number}-{host}",
                     "rule.name": DIRTY if host == 0 else "Ransomware found"}
            if number == 3 and host == 1:
                alert["labels.drill"] = "true"
            lines.append(json.dumps({"at": day, "alert": alert}))
    return "\n".join(lines) + "\n"


def replayed(config):
    result = run("--config.file", config, "replay", "--cases", "--until", "2026-04-01T18:00:00Z", text=alerts())
    check("replay", result.returncode == 0, result.stderr)
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    return result.stdout, [d["data"] for d in documents if d["type"] == "io.triaged.case.document.v1"]


def reports(config, text, cases):
    def report(*options, given=text):
        result = run("--config.file", config, "report", "--input", "-", *options, text=given)
        check(f"report {options}", result.returncode == 0, result.stderr)
        return result.stdout

    whole = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-05-01T00:00:00Z")
    view = json.loads(report(*whole, "--format", "json"))["periods"][0]
    real = [c for c in cases if not c["drill"]]
    check("cases", view["cases"] == len(real) > 3 and view["drills"] == len(cases) - len(real) == 1, view)
    check("alerts", view["alerts"] == sum(c["counts"]["alerts"] for c in real), view)
    causes = collections.Counter(e["reason"] for c in real for e in c["escalations"])
    check("causes", {c["name"]: c["count"] for c in view["causes"]} == dict(causes) and causes, view["causes"])
    for rate in view["rates"]:
        mine = [c for c in real if c["severity"] == rate["severity"]]
        escalated = sum(1 for c in mine if c["escalation_count"])
        percent = escalated * 1000 // len(mine)
        check("rate", (rate["cases"], rate["escalated"], rate["percent"]) ==
              (len(mine), escalated, f"{percent // 10}.{percent % 10}"), rate)
    for sla in view["sla"]:
        mine = [c["clocks"][sla["clock"]] for c in real if sla["clock"] in c["clocks"]]
        check("sla", (sla["watched"], sla["breached"]) == (sum(1 for c in mine if c["started"]),
                                                          sum(1 for c in mine if c["breached"])), sla)
    check("same bytes", report(*whole) == report(*whole))

    # Berlin: the clock goes forward on 29 March, and the quarter begins at 22:00 UTC.
    quarters = json.loads(report(*whole, "--period", "quarter", "--zone", "Europe/Berlin", "--format", "json"))["periods"]
    expected = [sum(1 for c in real if (c["opened_at"] >= "2026-03-31T22:00") == after) for after in (False, True)]
    check("quarter borders", [q["cases"] for q in quarters] == expected and all(expected), quarters)
    check("the border is local midnight", quarters[1]["from"] == "2026-04-01 00:00 CEST", quarters[1]["from"])
    months = json.loads(report("--from", "2025-12-15T00:00:00Z", "--to", "2026-04-02T00:00:00Z", "--period", "month",
                               "--format", "json"))["periods"]
    check("months across a year", len(months) == 5 and months[0]["cases"] == 0, [m["from"] for m in months])
    check("an empty time", "Nothing stands out" in report(*whole, given=""))

    dirty = text.replace(f'"reason":"{min(causes)}"', '"reason":"<script>alert(1)</script>"')
    html = report(*whole, "--format", "html", given=dirty)
    check("html is escaped", "<script" not in html and "&lt;script&gt;" in html and html.count("<svg") == 4, html)
    check("html asks nobody", not re.search(r'(src|href)=|url\(', html), html)
    markdown = report(*whole, given=dirty)
    check("markdown is escaped", "<script" not in markdown.replace("\\<script", ""), markdown)
    japanese = report(*whole, "--lang", "ja")
    check("Japanese dates", "2026年3月1日(日) 00:00" in japanese, japanese)
    check("templates leave nothing behind", all("{{" not in t for t in (html, markdown, japanese)))
    wrong = run("--config.file", config, "report", "--from", "x", "--to", "y", "--input", "-")
    check("a wrong time is usage", wrong.returncode == 2, wrong.stderr)


def handoffs(config, text, cases):
    def handoff(*options, code=0):
        result = run("--config.file", config, "handoff", "--input", "-", *options, text=text)
        check(f"handoff {options}", result.returncode == code, result.stderr)
        return result.stdout

    escalated = next(c for c in cases if c["escalation_count"] and not c["drill"])
    names = {lang: sorted(p.stem for p in (ROOT / "configs/templates" / lang).glob("*.mustache")) for lang in ("en", "ja")}
    check("both languages have the same templates", names["en"] == names["ja"] and len(names["en"]) == 14, names)
    for lang in ("en", "ja"):
        for name in names[lang]:
            if name in ("report", "report-html", "shift"):
                continue
            shown = handoff(escalated["case_id"], "--template", name, "--lang", lang)
            check(f"{lang} {name}", escalated["case_id"] in shown and "{{" not in shown, shown)
            if lang == "ja":
                # Japanese text is punctuated in Japanese: no comma, full stop or colon of ours after a Japanese character.
                check(f"punctuation of {name}", not re.search(r"[ぁ-んァ-ヶ一-龠][,.:;]", shown), shown)
    japanese = handoff(escalated["case_id"], "--lang", "ja", "--zone", "Asia/Tokyo", "--format", "text")
    check("Japanese time", re.search(r"2026年[34]月\d+日\([日月火水木金土]\) \d\d:\d\d", japanese), japanese)
    lines = japanese.splitlines()
    width = sum(2 if re.match(r"[\u3000-\u9fff\uff00-\uff60]", ch) else 1 for ch in lines[0])
    check("underlined as wide as shown", lines[1] == "=" * width, lines[:2])
    drill = next(c for c in cases if c["drill"])
    check("a drill says so", "DRILL" in handoff(drill["case_id"]) and "【訓練】" in handoff(drill["case_id"], "--lang", "ja"))
    dirty = next(c for c in cases if c["severity"] == "low")
    check("values are escaped", "<script" not in handoff(dirty["case_id"]).replace("\\<script", ""))
    shift = ("--from", "2026-04-01T06:00:00Z", "--to", "2026-04-01T14:00:00Z", "--format", "json")
    digest = json.loads(handoff(*shift))
    still = [c for c in cases if c["status"] not in ("resolved", "closed") and not c["drill"]]
    check("open by level", sum(level["count"] for level in digest["levels"]) == len(still), digest)
    happened = [e for c in cases if not c["drill"] for e in c["timeline"]
                if "2026-04-01T06" <= e["at"] < "2026-04-01T14:00:00"]
    check("what happened", len(digest["happened"]) == len(happened) > 0, digest["happened"])
    handoff("9-9", code=1)
    handoff("nonsense", code=2)
    handoff(code=2)
    handoff(escalated["case_id"], "--template", "absent", code=1)
    own = pathlib.Path(config).parent / "own/en"
    own.mkdir(parents=True)
    (own / "handoff.mustache").write_text("mine {{case_id}}\n")
    check("a template of one's own", handoff(escalated["case_id"], "--templates", str(own.parent)) ==
          f"mine {escalated['case_id']}\n")


def drills(folder):
    packs = sorted(p.stem for p in (ROOT / "configs/policies").glob("*.yaml"))
    for pack in packs:
        files = sorted(str(p) for p in (ROOT / "configs/drills" / pack).glob("*.timeline"))
        check(f"three drills of {pack}", len(files) >= 3, files)
        config = configure(folder, pack)
        result = run("--config.file", config, "drill", *files)
        check(f"drills of {pack}", result.returncode == 0, result.stdout + result.stderr)
        changed = pathlib.Path(folder) / "changed.timeline"
        changed.write_text(pathlib.Path(files[0]).read_text().replace("opens 0-1", "opens 0-7", 1).replace(
            "auto_closed", "open", 1))
        result = run("--config.file", config, "drill", str(changed), "--format", "json")
        check(f"a changed drill of {pack} fails", result.returncode == 1 and
              json.loads(result.stdout)[0]["as_expected"] is False, result.stdout + result.stderr)


with tempfile.TemporaryDirectory() as directory:
    configuration = configure(directory, "soc-tiered")
    output, documents = replayed(configuration)
    reports(configuration, output, documents)
    handoffs(configuration, output, documents)
    drills(directory)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
