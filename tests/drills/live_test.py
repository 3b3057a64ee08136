#!/usr/bin/env python3
"""Live drills against the real daemon on a real Kafka.

  live_test.py TRIAGED TRIAGECTL            (TRIAGED_TEST_BOOTSTRAP names the broker)

A drill of seconds goes as expected, twice, on a host that has a real case: that one stays as it is. A drill that expects
something else fails and says what happened; raw records and foreign cases are refused. `cases`, `case`, `handoff` and
`report` read the case topic.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BOOTSTRAP = os.environ["TRIAGED_TEST_BOOTSTRAP"]
TRIAGED, TRIAGECTL = sys.argv[1:3]
NAME = "drilltest"
TOPIC = f"alerts.{NAME}"

DRILL = """# Seconds instead of minutes: nobody answers in time, then somebody does.
0:00    alert host=db7 rule="Unusual thing" severity=medium → opens 0-1
0:00:01                                                     → nothing
0:00:03                                                     → sla.at_risk 0-1: acknowledge_at_risk
0:00:04                                                     → sla.breached 0-1: acknowledge_breached
0:00:05 ack 0-1 by ada as l1                                → acknowledged 0-1: command
0:00:05 ack 0-1 by eve as stranger                          → command.refused 0-1: not_permitted
0:00:06 set-severity 0-1 by emi as l2 severity=low          → severity_changed 0-1: command
0:00:07 escalate 0-1 by ada as l1 reason=help               → escalates 0-1 to L2: help; follow_up.added 0-1: validate_findings; follow_up.added 0-1: deeper_analysis; follow_up.added 0-1: coordinate_teams; follow_up.added 0-1: classify_incident; follow_up.added 0-1: document_actions; follow_up.added 0-1: close_or_escalate
end 0-1 status=in_progress
"""


def kcat(*arguments, text=""):
    made = subprocess.run(["kcat", "-b", BOOTSTRAP, *arguments], input=text.encode(), capture_output=True, timeout=60,
                          check=True)
    return made.stdout.decode()


def ctl(folder, *arguments):
    return subprocess.run([TRIAGECTL, f"--config.file={folder}/triaged.yaml", *arguments], capture_output=True, text=True,
                          timeout=200, check=False)


def configure(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pack = (ROOT / "configs/policies/soc-tiered.yaml").read_text()
    quick = pack.replace("acknowledge: {critical: 5m, high: 15m, medium: 1h, low: 8h, at_risk: 75%}",
                         "acknowledge: {critical: 1s, high: 2s, medium: 4s, low: 8h, at_risk: 75%}")
    assert quick != pack, "the pack's acknowledge clock is not where this test looks for it"
    (folder / "pack.yaml").write_text(quick)
    (folder / "triaged.yaml").write_text(f"""
application_id: {NAME}
instance: one
kafka: {{bootstrap_servers: "{BOOTSTRAP}", alert_topics: [{TOPIC}], partitions: 2, session_timeout: 6s}}
storage: {{path: {folder}/store, memory: 64MiB}}
web: {{listen_address: "127.0.0.1:{port}"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {folder}/pack.yaml
""")
    return port


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def real_case(folder, host):
    """A real alert, and the events that its case has once it is open."""
    alert = {"@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ecs": {"version": "8.11"},
             "event": {"kind": "alert", "id": "real-1", "severity": 21}, "rule": {"name": "Unusual thing"}, "host": {"name": host}}
    kcat("-P", "-t", TOPIC, text=json.dumps(alert))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for event in events():
            if any(item["alert_id"] == "real-1" for item in event["data"].get("evidence", [])):
                return event["subject"]
    raise AssertionError("the real alert opened no case")


def events():
    """What a committed reader sees."""
    return [json.loads(line) for line in
            kcat("-C", "-e", "-q", "-t", f"{NAME}.escalations", "-X", "isolation.level=read_committed").splitlines()]


def check_case_topic(folder, real):
    """The client's reading of cases is that of the case topic."""
    listed = ctl(folder, "cases", "--output", "ndjson")
    assert listed.returncode == 0, listed
    cases = {case["subject"]: case["data"] for case in map(json.loads, listed.stdout.splitlines())}
    assert cases[real]["drill"] is False and len(cases) >= 3, listed
    for command in (("case", real), ("handoff", real), ("handoff", "--lang", "ja", real)):
        told = ctl(folder, *command)
        assert told.returncode == 0 and real in told.stdout and "db7" in told.stdout, told
    day = 86400
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + away)) for away in (-day, day))
    report = ctl(folder, "report", "--from", begin, "--to", end, "--cases", "--format", "json")
    assert report.returncode == 0 and real in report.stdout, report


def check_drills(folder):
    real = real_case(folder, "db7")
    drill = folder / "quick.timeline"
    drill.write_text(DRILL)
    for _ in range(2):
        result = ctl(folder, "drill", "--live", "--tolerance", "25s", "--format", "json", str(drill))
        assert result.returncode == 0 and json.loads(result.stdout)[0]["as_expected"] is True, result
        steps = json.loads(result.stdout)[0]["steps"]
        assert [s["at"] for s in steps] == ["0", "1s", "3s", "4s", "5s", "5s", "6s", "7s"], steps
        assert steps[-1]["reached"].endswith(" of l2") and not any(s["reached"] for s in steps[:-1]), steps

    drills = [e for e in events() if e["data"].get("drill")]
    assert len({e["subject"] for e in drills}) == 2 and real not in {e["subject"] for e in drills}, drills
    explained = ctl(folder, "explain", real)
    assert explained.returncode == 0 and "Of alert real-1 (Unusual thing):" in explained.stdout, explained
    values = dict(line.split() for line in explained.stdout.splitlines() if line.startswith("  baseline."))
    # The drills have taught it nothing.
    assert values["baseline.rule.count_1h"] == values["baseline.host.count_1h"] == "1", values
    assert values["baseline.rule.seen_on_hosts"] == "1" and int(values["baseline.rule.age"]) < 60, values

    check_case_topic(folder, real)
    mine = [e for e in events() if e["subject"] == real]
    assert mine and all(e["data"]["drill"] is False and e["data"]["counts"]["alerts"] == 1 for e in mine), mine

    wrong = folder / "wrong.timeline"
    wrong.write_text('0:00 alert host=db8 rule="Unusual thing" severity=medium → opens 0-1; escalates 0-1 to L2: surprise\n'
                     "0:00:01 ack 0-9 by ada as l1 → nothing\n0:00:20 → nothing\n")
    result = ctl(folder, "drill", "--live", "--tolerance", "1s", "--until", "0:00:10", str(wrong))
    assert result.returncode == 1 and "DIFF" in result.stdout and "opens 0-1" in result.stdout, result
    assert "this drill has no case 0-9" in result.stdout, result
    for text, why in (("0:00 record x → nothing\n", "no raw records"), ("partitions 2\n0:00 → nothing\n", "partitions"),
                      ("0:00 alert host=x\n", "could not fail")):
        wrong.write_text(text)
        result = ctl(folder, "drill", "--live", str(wrong))
        assert result.returncode == 1 and why in result.stderr, result
    assert ctl(folder, "drill", "--tolerance", "1s", str(wrong)).returncode == 2, "an option of --live alone"
    assert ctl(folder, "drill", "--live", "--until", "soon", str(wrong)).returncode == 2


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-drill-"))
    port = configure(folder)
    kcat("-P", "-t", TOPIC, "-X", "allow.auto.create.topics=true", text="")
    kcat("-P", "-t", TOPIC, "-X", "allow.auto.create.topics=true", text='{"warm": "up"}\n')
    made = ctl(folder, "topics", "create")
    assert made.returncode == 0, made
    with open(folder / "triaged.log", "wb") as log:
        daemon = subprocess.Popen([TRIAGED, f"--config.file={folder}/triaged.yaml"], stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 90
        while not ready(port):
            assert daemon.poll() is None and time.monotonic() < end, "the daemon is not ready"
            time.sleep(0.05)
        check_drills(folder)
    except BaseException:
        print((folder / "triaged.log").read_text(errors="replace")[-3000:])
        raise
    finally:
        daemon.kill()
        daemon.wait()
    shutil.rmtree(folder)
    print("ok: two live drills as expected, one that differs, the real case untouched")


main()
