#!/usr/bin/env python3
"""A day of alerts as a small company's SIEM would send them, sped up: much noise and a few attacks.

Writes NDJSON to standard output. --rate alerts a second for --seconds, seeded, so that two runs tell the same story.
"""
import argparse
import json
import random
import signal
import sys
import time
import uuid
from datetime import datetime, timezone

HOSTS = [f"ws-{n:03d}" for n in range(1, 41)] + ["mail1", "web1", "web2", "db7", "file2", "dc1", "build3", "vpn1"]
USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "svc-backup", "svc-deploy"]
NOISE = [
    ("Failed logon", 21, "authentication", {"event.action": "logon-failed", "event.outcome": "failure"}),
    ("Port scan from inside", 33, "network", {"event.action": "scan"}),
    ("Unusual DNS query", 25, "network", {"dns.question.name": "cdn.example.net"}),
    ("PowerShell with encoded command", 47, "process", {"process.name": "powershell.exe"}),
    ("Software installed outside hours", 21, "package", {"process.name": "msiexec.exe"}),
    ("Connection to rare destination", 30, "network", {"destination.ip": "203.0.113.77"}),
    ("USB storage attached", 15, "driver", {"event.action": "device-attached"}),
    ("Policy violation: file sharing", 10, "web", {"url.domain": "share.example.org"}),
]
# Each attack is a list of (rule, score, tactic id, technique id, further fields), told one step after another.
ATTACKS = [
    ("file2", "svc-backup", [
        ("Suspicious service account logon", 47, "TA0001", "T1078", {"source.ip": "198.51.100.23"}),
        ("Shadow copies deleted", 73, "TA0040", "T1490",
         {"process.name": "vssadmin.exe", "process.command_line": "vssadmin delete shadows /all /quiet"}),
        ("Ransomware: mass file encryption", 99, "TA0040", "T1486", {"process.name": "lock.exe"}),
    ]),
    ("dc1", "dave", [
        ("Kerberos ticket anomaly", 55, "TA0006", "T1558", {}),
        ("Credential dumping from LSASS", 90, "TA0006", "T1003.001",
         {"process.name": "rundll32.exe", "process.command_line": "rundll32 comsvcs.dll MiniDump 612 out.dmp full"}),
    ]),
    ("ws-017", "erin", [
        ("Malware found by antivirus", 60, "TA0002", "T1204",
         {"file.path": "C:\\Users\\erin\\Downloads\\invoice.exe", "event.action": "detected"}),
    ]),
    ("db7", "svc-deploy", [
        ("Large upload to unknown storage", 80, "TA0010", "T1567",
         {"destination.ip": "203.0.113.200", "url.full": "https://files.example.net/up"}),
    ]),
]


def alert(rng, rule, score, host, user, fields, tactic=None, technique=None):
    body = {
        "@timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ecs": {"version": "8.11.0"},
        "event": {"kind": "alert", "id": str(uuid.UUID(int=rng.getrandbits(128))), "severity": score},
        "rule": {"name": rule},
        "message": f"{rule} on {host}",
        "host": {"name": host},
        "user": {"name": user},
        "source": {"ip": fields.get("source.ip", f"10.1.{rng.randrange(8)}.{rng.randrange(2, 250)}")},
        "observer": {"vendor": "Example", "product": "Example SIEM"},
    }
    if technique:
        body["threat"] = {"tactic": {"id": tactic}, "technique": {"id": technique}}
    for name, value in fields.items():
        if name != "source.ip":
            body[name] = value  # a dotted key means the same as a nested one
    return body


def noise(rng):
    rule, score, _, fields = rng.choice(NOISE)
    return alert(rng, rule, score, rng.choice(HOSTS), rng.choice(USERS), fields)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200, help="alerts a second (default 200)")
    parser.add_argument("--seconds", type=float, default=3600, help="how long (default 3600)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    rng = random.Random(options.seed)
    steps = [(host, user, step) for host, user, attack in ATTACKS for step in attack]
    start = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - start) < options.seconds:
        due = int(elapsed * options.rate)
        while sent < due:
            sent += 1
            # An attack step every two seconds' worth of alerts; everything else is noise.
            if steps and sent % max(1, int(options.rate * 2)) == 0:
                host, user, (rule, score, tactic, technique, fields) = steps.pop(0)
                body = alert(rng, rule, score, host, user, fields, tactic, technique)
            else:
                body = noise(rng)
            sys.stdout.write(json.dumps(body) + "\n")
        sys.stdout.flush()
        time.sleep(0.05)


if __name__ == "__main__":
    main()
