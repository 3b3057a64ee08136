#!/usr/bin/env python3
"""`triagectl quality` on alerts whose report can be worked out by hand. Usage: quality_test.py TRIAGECTL"""
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
failures = []
count = 0

# Not in order of time; the last two rows repeat each other exactly, and count twice. 2026-03-02T08:00:00Z is 1772438400.
ROWS = [
    ("1772440200", "Suricata: Alert - ET SCAN Possible Nmap User-Agent Observed", "web1", "scan", "scan"),
    ("1772438400", "Wazuh: PAM: Login session opened.", "web1", "-", "benign"),
    ("1772439600", "Wazuh: PAM: Login session opened.", "web1", "scan", "scan"),
    ("1772442000", 'AMiner: CPU value deviates from average, "as it seems", in monitoring logs.', "db7", "-", "benign"),
    ("1772442060", "Wazuh: ClamAV database update", "db7", "theft", "benign"),
    ("1772442120", "Wazuh: PAM: Login session closed.", "mail", "-", "theft"),
    ("1772442120", "Wazuh: PAM: Login session closed.", "mail", "-", "theft"),
]
LABELS = ("--label-column", "event", "--label-column", "window", "--benign=-", "--benign", "benign")


def check(what, condition, shown=""):
    global count
    count += 1
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n  {shown}")


def quality(config, *arguments):
    return subprocess.run([sys.argv[1], "--config.file", str(config), "quality", *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, check=False)


def table(delimiter):
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in ROWS]
    return "\n".join(delimiter.join(row) for row in [["time", "name", "host", "event", "window"], *quoted]) + "\n"


def check_report(config, *arguments):
    done = quality(config, *arguments, *LABELS, "--json")
    if done.returncode != 0:
        return check(f"{arguments} is read", False, done.stderr)
    report = json.loads(done.stdout)
    check("every row is an alert", report["alerts"] == 7 and report["duplicates"] == 0 and report["dead_letters"] == 0, done.stdout)
    check("the time begins with the earliest row", report["begin"] == "2026-03-02T08:00:00.000Z", report["begin"])
    check("three hosts, three cases", report["hosts"] == 3 and report["cases"]["opened"] == 3, done.stdout)
    check("a labelled row that a rule closed is counted", report["auto_closed"] == {"rows": 1, "labelled": 1}, done.stdout)
    steps = {(s["column"], s["step"]): s for s in report["steps"]}
    # The scan's first row is ten minutes before the one that tells it.
    check("minutes count from the step's first row", steps["event", "scan"]["minutes"] == 10
          and steps["event", "scan"]["reached"] and steps["event", "scan"]["reason"] == "active_scanning", steps)
    check("both columns are steps of their own", set(steps) == {("event", "scan"), ("event", "theft"), ("window", "scan"),
                                                                 ("window", "theft")}, steps)
    check("what no escalation names is not reached", steps["event", "theft"]["minutes"] is None
          and not steps["event", "theft"]["reached"], steps)
    benign = report["benign_escalations"]
    check("an escalation about unlabelled alerts is benign", benign["by_rules"] == 1 and benign["worst_day"] == 1
          and list(benign["rules"]) == ["resource_hijacking: Processor load out of the ordinary"], benign)
    late = json.loads(quality(config, *arguments, *LABELS, "--json", "--within", "9m").stdout)
    check("--within is the limit", not next(s for s in late["steps"] if s["step"] == "scan")["reached"], late["steps"])
    text = quality(config, *arguments, *LABELS).stdout
    check("as text", "reached after 10.0 min: active_scanning" in text and "never named" in text, text)


def check_times(config, path):
    done = quality(config, path, *LABELS, "--json", "--to", "2026-03-02T08:30:00Z")
    check("--to cuts before that time", json.loads(done.stdout)["alerts"] == 2, done.stdout)
    done = quality(config, path, *LABELS, "--json", "--from", "2026-03-02T08:30:00Z")
    check("--from is inclusive", json.loads(done.stdout)["alerts"] == 5, done.stdout)


def check_lines(config, folder):
    """NDJSON with labels inside, and with labels in a table beside it."""
    inside, bare, labels = folder / "inside.ndjson", folder / "bare.ndjson", folder / "labels.tsv"
    alerts = [{"id": f"a{i}", "timestamp": int(row[0]), "title": row[1].split(": ", 1)[1], "host": row[2]} for i, row in enumerate(ROWS)]
    inside.write_text("".join(json.dumps({**a, "event": r[3], "window": r[4]}) + "\n" for a, r in zip(alerts, ROWS)))
    bare.write_text("".join(json.dumps(a) + "\n" for a in alerts))
    labels.write_text("line\tevent\twindow\n" + "".join(f"{i}\t{r[3]}\t{r[4]}\n" for i, r in enumerate(ROWS, 1)))
    for arguments in ([inside], [bare, "--labels", labels]):
        done = quality(config, *arguments, *LABELS, "--json")
        report = json.loads(done.stdout)
        check(f"{arguments[0].name} gives the same steps", [s["minutes"] for s in report["steps"] if s["step"] == "scan"] == [10, 10]
              and report["benign_escalations"]["by_rules"] == 1, done.stdout + done.stderr)


def check_sequences(config, folder):
    """Weak alerts that mean something after others: on a searched web server, and anywhere after an intruder was seen."""
    start = 1772438400
    broken = "Suricata: Alert - SURICATA HTTP unable to match response to request"
    load = "AMiner: CPU value deviates from average in monitoring logs."

    def steps(rows):
        path = folder / "sequence.csv"
        path.write_text("time,name,host,event,window\n" + "".join(f"{start + t},{name},{host},{label},-\n" for t, name, host, label in rows))
        done = quality(config, path, *LABELS, "--json")
        report = json.loads(done.stdout)
        return {s["step"]: (s["minutes"], s["reason"]) for s in report["steps"] if s["column"] == "event"}, report

    probing = [(i, "AMiner: New request method in Apache Access log.", "shop", "probe") for i in range(20)]
    after, _ = steps([*probing, (3600, broken, "shop", "guess"), (7200, broken, "other", "elsewhere")])
    check("a broken exchange on a probed server is told", after["guess"] == (0, "web_attack_goes_on"), after)
    check("on another server it is not", after["elsewhere"][0] is None, after)
    alone, _ = steps([(0, broken, "shop", "guess"), *[(7200 + row[0], *row[1:]) for row in probing]])
    check("before the probing it is not", alone["guess"][1] != "web_attack_goes_on", alone)

    # The stage of load is told once per case; what comes after an intrusion is news again.
    answer = (1800, "Suricata: Alert - GPL ATTACK_RESPONSE id check returned root", "shop", "intrusion")
    after, report = steps([(0, load, "watched", "-"), answer, (3600, load, "watched", "mining")])
    check("load after an intrusion elsewhere is told again", after["mining"] == (0, "load_after_intrusion"), after)
    # The first load is benign; the derived alert, which is no row, counts as what made it fire.
    check("a derived alert is as benign as the rows it came from", report["benign_escalations"]["by_rules"] == 1, report)
    before, _ = steps([(0, load, "watched", "-"), (3600, load, "watched", "mining")])
    check("load without an intrusion is told once", before["mining"][0] is None, before)


def check_first_level(config, folder):
    """A first level that closes everything: what comes after a closure is told all the same."""
    path = folder / "noise.csv"
    scan = "Suricata: Alert - ET SCAN Possible Nmap User-Agent Observed"
    rows = [(i * 600, "Wazuh: PAM: Login session opened.", "-") for i in range(60)] + [(5 * 3600 + 300, scan, "scan")]
    path.write_text("time,name,host,event,window\n" + "".join(f"{1772438400 + t},{name},web1,{label},-\n" for t, name, label in rows))
    idle = json.loads(quality(config, path, *LABELS, "--json").stdout)
    report = json.loads(quality(config, path, *LABELS, "--json", "--first-level-closes", "1h").stdout)
    check("without it the case stays", idle["cases"]["opened"] == 1 and idle["cases"]["closed_by_first_level"] == 0, idle["cases"])
    # One case an hour until the scan; its case is at the next level, and nobody at the first closes that.
    check("it closes a case an hour", report["cases"] == {"opened": 6, "goal": 2, "reopened": 0, "closed_by_first_level": 5}, report["cases"])
    step = report["steps"][0]
    check("the scan is told in spite of the closures", step["minutes"] == 0 and step["reason"] == "active_scanning", step)
    check("nothing waits for time to bring it up", report["escalations"]["by_time"] < idle["escalations"]["by_time"] + 1, report)


def check_example(folder):
    """The example of tests/quality/README.md, as it stands there."""
    folder = folder / "example"
    folder.mkdir()
    text = (ROOT / "tests/quality/README.md").read_text()
    script = re.search(r"<!-- example, run by tests/cli/quality_test.py -->\n```sh\n(.*?)```", text, re.S)[1]
    script = script.replace("configs/triaged.yaml", str(ROOT / "configs/triaged.yaml"))
    environment = {**os.environ, "PATH": f"{pathlib.Path(sys.argv[1]).resolve().parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    check("README's example runs", done.returncode == 0 and "active_scanning (Scanning tool)" in done.stdout
          and "never named" in done.stdout, done.stdout + done.stderr)


def check_notes(config, folder):
    """Data that can be scored, but lacks something."""
    path = folder / "lacking.csv"
    path.write_text("time,name,event,window\n2026-03-02T08:00:00Z,a,-,-\nnoon,b,-,-\n")
    done = quality(config, path, *LABELS)
    for what, text in (("times", "1 alerts have no time that can be read"), ("where", "the first is line 3"),
                       ("hosts", "no alert names a host"), ("labels", "no alert has a label under 'event'")):
        check(f"missing {what} are named", done.returncode == 0 and text in done.stderr, done.stderr)
    lines = folder / "lacking.ndjson"
    lines.write_text('{"id": "a", "time": "2026-03-02T08:00:00Z", "title": "t", "host": "h", "event": "x", "window": "-"}\nno json\n')
    done = quality(config, lines, *LABELS)
    check("lines that are no alerts are named", done.returncode == 0 and "1 lines are no alerts: the first is line 2" in done.stderr, done.stderr)


def check_refusals(config, folder, path):
    short = folder / "short.csv"
    short.write_text("time,name,event,window\n1,a\n")
    broken = folder / "broken.csv.gz"
    broken.write_bytes(gzip.compress(table(",").encode())[:-12])
    empty = folder / "empty.csv"
    empty.write_text("time,name,event,window\n")
    plain, labels, far = folder / "plain.ndjson", folder / "wrong.tsv", folder / "far.tsv"
    plain.write_text('{"id": "a", "time": "2026-03-02T08:00:00Z", "title": "t"}\n')
    labels.write_text("line\tevent\twindow\nfirst\tx\ty\n")
    far.write_text("line\tevent\twindow\n7\tx\ty\n")
    timeless, semicolons = folder / "timeless.csv", folder / "semicolons.csv"
    timeless.write_text("when,name,event,window\nnoon,a,x,y\n")
    renamed = folder / "alerts.txt"
    renamed.write_text(path.read_text())
    semicolons.write_text("time;name;event;window\n1;a;x;y\n")
    for what, code, text, arguments in (
            ("a folder", 1, "is a directory", [folder]),
            ("a column that is not there, with those that are", 1, "it has: time, name, event", [short, "--label-column", "nonsense"]),
            ("another delimiter", 1, "parted by commas", [semicolons]),
            ("no time at all", 1, "no alert has a time", [timeless]),
            ("a key that no line has", 1, "no line has the key 'event'; the first has: id, time, title", [plain]),
            ("a table that is called otherwise", 1, "no JSON object", [renamed]),
            ("labels without a line", 1, "wrong.tsv:2: 'first' is no number", [plain, "--labels", labels]),
            ("labels of no line", 1, "labels line 7", [plain, "--labels", far]),
            ("a first level without time", 2, "--first-level-closes", [plain, "--first-level-closes", "now"]),
            ("an absent file", 1, "cannot read", [folder / "absent.csv"]),
            ("a column that is not there", 1, "no column 'nonsense'", [path, "--label-column", "nonsense"]),
            ("a short row, with its line", 1, "short.csv:2", [short]),
            ("broken gzip", 1, "gzip", [broken]),
            ("no alerts", 1, "no alerts", [empty]),
            ("labels beside a table", 1, "--labels goes with NDJSON", [path, "--labels", path]),
            ("a time without alerts", 1, "no alert", [path, "--from", "2030-01-01T00:00:00Z"]),
            ("a wrong time", 2, "--from", [path, "--from", "noon"]),
            ("a wrong limit", 2, "--within", [path, "--within", "soon"])):
        done = quality(config, *arguments, *LABELS)
        check(f"{what} is refused", done.returncode == code and text in done.stderr, f"exit {done.returncode}: {done.stderr}")
    check("labels are asked for", quality(config, path).returncode == 2)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = folder / "triaged.yaml"
        config.write_text("kafka: {bootstrap_servers: 'localhost:1', alert_topics: [a], partitions: 3}\nstorage: {path: s}\n"
                          f"formats: {ROOT}/configs/formats\nrules: {ROOT}/configs/rules\n"
                          f"policies: {ROOT}/configs/policies/soc-tiered.yaml\n")
        plain, packed, tabs = folder / "alerts.csv", folder / "alerts.csv.gz", folder / "alerts.tsv"
        plain.write_text(table(","))
        packed.write_bytes(gzip.compress(table(",").encode()))
        tabs.write_text(table("\t"))
        for path in (plain, packed, tabs):
            check_report(config, path)
        check_times(config, plain)
        check_lines(config, folder)
        check_sequences(config, folder)
        check_first_level(config, folder)
        check_example(folder)
        check_notes(config, folder)
        check_refusals(config, folder, plain)
    print(f"{count - len(failures)} passed, {len(failures)} failed")
    return 1 if failures or count < 65 else 0


if __name__ == "__main__":
    sys.exit(main())
