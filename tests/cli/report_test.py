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
import unicodedata

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


def shown_width(text):
    return sum(2 if unicodedata.east_asian_width(ch) in "WF" else 0 if unicodedata.combining(ch) else 1 for ch in text)


def columns(text):
    """The column at which each cell of a table in plain text begins, a set per table."""
    found = []
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if "  " in line.strip()]
        starts = {tuple(shown_width(row[:m.end()]) for m in re.finditer(r"\S(?: ?\S)*? {2,}(?=\S)", row)) for row in rows}
        if len(rows) > 1:
            found.append(starts)
    return found


def goals_and_people(folder):
    """P0 and P1 tickets, of which one of each escalates; goals, roles and people counted again here."""
    config = configure(folder, "platform")
    lines = []
    for number in range(8):
        at = f"2026-03-02T{8 + number:02}:00:00Z"
        alert = {"ecs.version": "8.11", "event.kind": "alert", "event.id": str(number), "@timestamp": at, "host.name": f"h{number}",
                 "rule.name": "Data breach" if number == 0 else "Odd", "event.severity": 95 if number < 4 else 75}
        lines.append(json.dumps({"at": at, "alert": alert}))
        done = ((3, "ack", {}), (9, "resolve", {"reason": "done"}))
        lost = ((2, "classify", {"classification": "data_loss"}), (6, "update", {"text": "we know"}))
        for minute, action, arguments in done if number % 4 else lost if number == 4 else ():
            at = f"2026-03-02T{8 + number:02}:{minute:02}:00Z"
            lines.append(json.dumps({"at": at, "command": {
                "id": f"{number}-{minute}", "case_id": f"0-{number + 1}", "actor": "alex", "role": "engineer",
                "action": action, "arguments": arguments}}))
    replay = run("--config.file", config, "replay", "--cases", "--until", "2026-03-03T08:00:00Z", text="\n".join(lines) + "\n")
    check("replay of the platform", replay.returncode == 0, replay.stderr)
    cases = [d["data"] for d in map(json.loads, replay.stdout.splitlines()) if d["type"] == "io.triaged.case.document.v1"]
    whole = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-04-01T00:00:00Z", "--input", "-")

    def report(*options):
        done = run("--config.file", config, "report", *whole, *options, text=replay.stdout)
        check(f"report {options}", done.returncode == 0, done.stderr)
        return done.stdout

    period = json.loads(report("--format", "json"))["periods"][0]
    goals = {goal["what"]: goal for goal in period["goals"]}
    for severity, percent in (("P0", 5), ("P1", 10)):
        mine = [c for c in cases if c["severity"] == severity]
        escalated = sum(1 for c in mine if c["escalations"])
        goal = goals[f"escalated, {severity}"]
        tenths = escalated * 1000 // len(mine)
        check(f"goal of {severity}", goal["goal"] == f"< {percent} %" and goal["actual"] == f"{tenths // 10}.{tenths % 10} %" and
              goal["state"] == ("met" if escalated * 100 < percent * len(mine) else "missed") and escalated, goal)
    check("a goal of a severity without cases", goals["time to escalate, P3"]["state"] == "not measured", goals)
    check("the document's four goals", {g["goal"] for g in period["goals"]} >= {"< 5 %", "< 10 %", "≤ 15m", "< 2"}, goals)
    check("missed goals are to be looked at", sum("goal missed" in r["what"] for r in period["review"]) ==
          sum(g["missed"] for g in period["goals"]) > 0, period["review"])
    check("load by person", sum(p["cases"] for p in period["on_shift"]) == len(cases) and
          sum(p["escalations"] for p in period["on_shift"]) == sum(len(c["escalations"]) for c in cases), period["on_shift"])
    engaged = collections.Counter(role for c in cases for role in
                                  {e["text"].split(":")[0] for e in c["timeline"] if e["what"] == "role.engaged"})
    check("roles", {r["name"]: r["cases"] for r in period["roles"]} == dict(engaged) and engaged, period["roles"])
    check("first word after four minutes", {r["name"]: r["first_word"] for r in period["roles"]}["database"] == "4m", period["roles"])
    mutant = pathlib.Path(config).with_name("goals.yaml")
    pack = (ROOT / "configs/policies/platform.yaml").read_text()
    mutant.write_text(pack.replace("escalated_percent: {P0: 5, P1: 10}", "escalated_percent: {P0: 100}"))
    other = pathlib.Path(config).with_name("other.yaml")
    other.write_text(pathlib.Path(config).read_text().replace(f"{ROOT}/configs/policies/platform.yaml", str(mutant)))
    changed = json.loads(run("--config.file", str(other), "report", *whole, "--format", "json", text=replay.stdout).stdout)
    check("goals are the pack's", {g["what"]: g["state"] for g in changed["periods"][0]["goals"]}.get("escalated, P0") == "met" and
          not any(g["what"] == "escalated, P1" for g in changed["periods"][0]["goals"]), changed["periods"][0]["goals"])

    japanese = report("--lang", "ja", "--format", "text")
    check("Japanese clocks", "受領確認" in japanese and not re.search(r"\b(acknowledge|resolve|next_update)\b", japanese), japanese)
    tables = columns(japanese)
    check("columns stand below each other", len(tables) >= 4 and all(len({t for t in rows if len(t) == max(map(len, rows))}) == 1
                                                                     for rows in tables), tables)
    resolved = json.loads(report("--cases", "--status", "resolved", "--severity", "P0", "--format", "json"))
    expected = [c["case_id"] for c in sorted(cases, key=lambda c: c["opened_at"], reverse=True)
                if c["status"] == "resolved" and c["severity"] == "P0"]
    check("history by status and severity", [c["case_id"] for c in resolved["cases"]] == expected and expected, resolved)
    check("history of all", len(json.loads(report("--cases", "--format", "json"))["cases"]) == len(cases))
    check("history in Japanese", "解決済み" in report("--cases", "--lang", "ja") and "# ケース一覧：8 件" in report("--cases", "--lang", "ja"))
    check("--status is of --cases", run("--config.file", config, "report", *whole, "--status", "open").returncode == 2)


def handoffs(config, text, cases):
    def handoff(*options, code=0):
        result = run("--config.file", config, "handoff", "--input", "-", *options, text=text)
        check(f"handoff {options}", result.returncode == code, result.stderr)
        return result.stdout

    escalated = next(c for c in cases if c["escalation_count"] and not c["drill"])
    names = {lang: sorted(p.stem for p in (ROOT / "configs/templates" / lang).glob("*.mustache")) for lang in ("en", "ja")}
    check("both languages have the same templates", names["en"] == names["ja"] and len(names["en"]) == 15, names)
    for lang in ("en", "ja"):
        for name in names[lang]:
            if name in ("report", "report-html", "shift", "history"):
                continue
            shown = handoff(escalated["case_id"], "--template", name, "--lang", lang)
            check(f"{lang} {name}", escalated["case_id"] in shown and "{{" not in shown, shown)
            if lang == "ja":
                # Japanese text is punctuated in Japanese: no comma, full stop or colon of ours after a Japanese character.
                check(f"punctuation of {name}", not re.search(r"[ぁ-んァ-ヶ一-龠][,.:;]", shown), shown)
    japanese = handoff(escalated["case_id"], "--lang", "ja", "--zone", "Asia/Tokyo", "--format", "text")
    check("Japanese time", re.search(r"2026年[34]月\d+日\([日月火水木金土]\) \d\d:\d\d", japanese), japanese)
    for lang, told in (("en", handoff(escalated["case_id"], "--zone", "Asia/Tokyo", "--format", "text")), ("ja", japanese)):
        check(f"{lang}: times as people read them", not re.search(r"\d{4}-\d\d-\d\dT\d", told), told)
    check("Japanese word order", not re.search(r" to (L\d|IR)\b| due | by rule ", japanese) and " へ：" in japanese, japanese)
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
        live = run("--config.file", config, "drill", "--live", files[0])
        check(f"{pack} live without a broker", live.returncode == 1 and "embedded broker" in live.stderr, live.stderr)
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
    goals_and_people(directory)
    drills(directory)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
