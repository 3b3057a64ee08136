#!/usr/bin/env python3
"""Enrichment as users meet it: a critical asset changes a replay's outcome through the urgency matrix, files are checked
and reloaded like rules, and normalize shows where each value is from.

  enrich_test.py TRIAGED TRIAGECTL
"""
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRIAGED, TRIAGECTL = sys.argv[1], sys.argv[2]
WAIT_SECONDS = 60
failures = []
count = 0

ALERT = {"ecs": {"version": "8.11"}, "event": {"kind": "alert", "id": "a1", "severity": 47}, "rule": {"name": "Odd login"},
         "@timestamp": "2026-03-02T08:00:00Z", "host": {"ip": ["10.20.0.11"]}, "user": {"name": "emi"},
         "source": {"ip": "198.51.100.66"}, "threat": {"technique": {"id": ["T1110.003"]}}}
LIST = """enrichment:
  - {kind: assets, file: assets.csv, columns: {name: Host, address: IP, owner: Owner, criticality: Tier}}
  - {kind: indicators, file: block.txt, expires: 2026-03-02T09:00:00Z}
  - {kind: attack, file: %s/configs/enrichment/attack.csv}
""" % ROOT
URGENCY = """
urgency:
  - fields: [triaged.asset.criticality, triaged.identity.criticality]
    values:
      critical: {high: critical, medium: high, low: medium}
"""


def check(what, condition, shown=""):
    global count
    count += 1
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n  {str(shown)[:1500]}")


def write_site(folder, criticality):
    (folder / "assets.csv").write_text(f"Host,IP,Rack,Owner,Tier\nerp-db1,10.20.0.11,7,Mina Sato,{criticality}\n")
    (folder / "block.txt").write_text("198.51.100.0/24\n")
    (folder / "enrichment.yaml").write_text(LIST)
    (folder / "pack.yaml").write_text((ROOT / "configs/policies/soc-tiered.yaml").read_text() + URGENCY)
    config = folder / "triaged.yaml"
    config.write_text("kafka: {embedded_broker: true, alert_topics: [alerts], partitions: 1}\n"
                      f"storage: {{path: {folder}/store, memory: 32MiB}}\nweb: {{listen_address: '127.0.0.1:0'}}\n"
                      f"formats: {ROOT}/configs/formats\nrules: {ROOT}/configs/rules\npolicies: pack.yaml\n"
                      "enrichment: enrichment.yaml\n")
    return config


def ctl(config, *arguments, text=""):
    return subprocess.run([TRIAGECTL, "--config.file", str(config), *arguments], input=text, capture_output=True,
                          text=True, timeout=60, check=False)


def opened(config, alert):
    result = ctl(config, "replay", text=json.dumps(alert) + "\n")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    check("the replay opens a case", events and events[0]["type"].endswith("case.opened.v1"), result)
    again = ctl(config, "replay", text=json.dumps(alert) + "\n")
    check("two replays are byte-equal", result.stdout == again.stdout)
    return events[0]["data"]


def values(group, field):
    return [entry["value"] for entry in group if entry["field"] == field]


def replay(folder):
    config = write_site(folder, "low")
    plain = opened(config, ALERT)
    write_site(folder, "critical")
    raised = opened(config, ALERT)
    check("a low asset leaves the severity", plain["severity"] == "medium", plain["severity"])
    check("a critical asset raises it", raised["severity"] == "high", raised["severity"])
    check("its clocks are those of the raised severity", plain["clocks"] != raised["clocks"])
    check("the fingerprint names the files' contents", plain["policy_fingerprint"] != raised["policy_fingerprint"])
    where, what = raised["five_ws"]["where"], raised["five_ws"]["what"]
    check("Where names the asset's owner, and from which line",
          [(e["value"], e["path"]) for e in where["assets"] if e["field"] == "triaged.asset.owner"] ==
          [("Mina Sato", "enrichment:assets.csv:2")], where)
    check("the host is named by its address", values(where["hosts"], "host.name") == ["erp-db1"], where)
    check("What names the feed", values(what["indicators"], "threat.feed.name") == ["block"], what)
    check("and the tactic of the technique", "Credential Access" in what["tactics"], what)
    late = opened(config, {**ALERT, "@timestamp": "2026-03-02T09:00:00Z"})
    check("an expired list says nothing", "indicators" not in late["five_ws"]["what"], late["five_ws"]["what"])


def checks(folder):
    config = write_site(folder, "critical")
    result = ctl(config, "check", "enrichment", str(folder / "enrichment.yaml"))
    check("check enrichment", result.returncode == 0 and "3 files" in result.stdout, result)
    result = ctl(config, "normalize", "--enrich", "--explain", text=json.dumps(ALERT) + "\n")
    fields = json.loads(result.stdout)["fields"]
    check("normalize --enrich --explain says which file",
          fields["triaged.asset.criticality"] == [{"value": "critical", "path": "enrichment:assets.csv:2"}], fields)
    result = ctl(config, "normalize", text=json.dumps(ALERT) + "\n")
    check("normalize alone adds nothing", "triaged.asset" not in result.stdout, result)
    (folder / "assets.csv").write_text("Host,IP,Owner,Tier\na,1.2.3.999,x,urgent\nA,,y,low\n")
    (folder / "block.txt").write_text("hxxp://x\n")
    for result in (ctl(config, "check", "enrichment", str(folder / "enrichment.yaml")), ctl(config, "check", "config", str(config))):
        check("wrong files fail the check", result.returncode == 1, result)
        for part in ("assets.csv:2: error: 'urgent'", "assets.csv:2: error: '1.2.3.999'", "assets.csv:3: error"):
            check(f"and the message has: {part}", part in result.stderr, result.stderr)
        check("all files at once", "block.txt:1" in result.stderr, result.stderr)
    (folder / "block.txt").unlink()
    result = ctl(config, "check", "config", str(config))
    check("an absent file is named with its list", "enrichment.yaml:3" in result.stderr and "block.txt" in result.stderr, result)


def wait_for(lines, pattern):
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        line = lines.readline()
        if not line:
            break
        found = re.search(pattern, line)
        if found:
            return found
    check(f"the daemon says {pattern}", False)
    return None


def reload(folder):
    config = write_site(folder, "low")
    with subprocess.Popen([TRIAGED, "--config.file", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as daemon:
        try:
            port = wait_for(daemon.stdout, r"msg=listening.* port=(\d+)").group(1)
            first = wait_for(daemon.stdout, r"msg=started.* fingerprint=(\w+)").group(1)
            write_site(folder, "critical")
            daemon.send_signal(signal.SIGHUP)
            second = wait_for(daemon.stdout, r'msg="reloaded .*enrichment.* fingerprint=(\w+)').group(1)
            check("SIGHUP takes the changed file", second != first, (first, second))
            (folder / "assets.csv").write_text("Host,IP,Owner,Tier\na,nowhere,x,critical\n")
            request = urllib.request.Request(f"http://127.0.0.1:{port}/-/reload", method="POST")
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    status, text = answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                status, text = error.code, error.read().decode()
            check("a wrong file is refused with its line", status >= 400 and "assets.csv:2" in text, (status, text))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                metrics = answer.read().decode()
            check("and the set before it stays", second in metrics, [l for l in metrics.splitlines() if "policy" in l][:5])
        finally:
            daemon.terminate()
            try:
                daemon.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()


for part in (replay, checks, reload):
    with tempfile.TemporaryDirectory() as directory:
        part(pathlib.Path(directory))
print(f"{count - len(failures)} passed, {len(failures)} failed")
sys.exit(1 if failures or count < 20 else 0)
