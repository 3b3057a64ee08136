#!/usr/bin/env python3
"""triaged-notify on a real Kafka: payloads, Alertmanager, failing servers, kill -9, storm. Run under broker.py.

  notify_test.py NOTIFIER [--cycles 20] [--storm 10000] [--only PART] [--seed N]     (TRIAGED_TEST_BOOTSTRAP names the broker)
"""
import argparse
import base64
import collections
import email
import email.header
import hashlib
import hmac
import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import BOOTSTRAP, EVIL, KEY, Notifier, Topic, event, free_port, scratch, wait_for
from servers import HttpTarget, SmtpTarget

def payloads(binary, folder):
    """Every kind of destination once; acknowledgement, resolution, drill, garbage, signature."""
    topic = Topic(f"esc-payload-{random.getrandbits(32)}")
    web, pager, slack, smtp, out = HttpTarget(), HttpTarget(), HttpTarget(), SmtpTarget(), folder / "command.out"
    am_port = free_port()
    am_config = folder / "am.yml"
    am_config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    alertmanager = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={am_config}", f"--storage.path={folder}/am",
         f"--web.listen-address=127.0.0.1:{am_port}", "--cluster.listen-address="],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = lambda target, path: f"http://127.0.0.1:{target if isinstance(target, int) else target.port}{path}"
    notifier = Notifier(binary, folder / "payloads", topic, f"""
destinations:
  web: {{kind: webhook, url: "{url(web, '/hook')}", secret_file: hmac, allow_private: true}}
  am: {{kind: alertmanager, url: "{url(am_port, '/api/v2/alerts')}", allow_private: true, retry_min: 50ms, retry_max: 200ms}}
  pager: {{kind: pagerduty, url: "{url(pager, '/v2/enqueue')}", routing_key_file: routing, allow_private: true}}
  slack: {{kind: slack, url: "{url(slack, '/s')}", language: ja, allow_private: true}}
  mail: {{kind: mail, url: "smtp://127.0.0.1:{smtp.port}", from: "t@example.org", to: ["a@example.org", "b@example.org"], allow_private: true}}
  run: {{kind: command, command: [sh, -c, "cat >> {out}; echo >> {out}"]}}
  inner: {{kind: webhook, url: "{url(web, '/never')}", fallback: run}}
routes:
  - {{drill: true, to: [run]}}
  - {{severity: [low], to: [inner]}}
  - {{to: [web, am, pager, slack, mail, run]}}
""")
    alerts = lambda: json.load(urllib.request.urlopen(url(am_port, "/api/v2/alerts"), timeout=5))
    try:
        topic.send([event("0-1", 1, severity="critical"), "garbage", event("0-2", 1, drill=True),
                    event("0-3", 1, severity="low"), event("0-4", 1, "opened")])
        notifier.start()
        wait_for(lambda: len(web.requests) and len(pager.requests) and len(slack.requests) and len(smtp.mails), 30, "the first page")
        wait_for(lambda: alerts(), 30, "Alertmanager")
        request = web.requests[0]
        sent = json.loads(request["body"])
        assert request["headers"]["Content-Type"] == "application/cloudevents+json; charset=UTF-8"
        assert sent["id"].startswith("0-1/") and sent["data"]["dedup_key"] == "test:0-1:1"
        when, mac = (part.split("=", 1)[1] for part in request["headers"]["X-Triaged-Signature"].split(","))
        assert mac == hmac.new(KEY.encode(), when.encode() + b"." + request["body"], hashlib.sha256).hexdigest()
        page = json.loads(pager.requests[0]["body"])
        assert page["routing_key"] == "R" * 32 and page["event_action"] == "trigger"
        assert page["dedup_key"] == "test:0-1:1:L2"
        assert page["payload"]["severity"] == "critical" and page["payload"]["source"] == "db7"
        assert page["payload"]["summary"] == "critical case 0-1: escalated at L2" and page["client"] == "triaged"
        assert "hxxp://evil[.]example[.]com" in page["payload"]["custom_details"]["text"]
        said = json.loads(slack.requests[0]["body"])
        assert "&lt;script&gt;&amp;" in said["blocks"][1]["text"]["text"] and "<script" not in slack.requests[0]["body"].decode()
        assert "ケース 0-1" in said["text"] and len(said["blocks"][0]["text"]["text"]) <= 150
        mail = email.message_from_bytes(smtp.mails[0]["data"])
        assert len(smtp.mails[0]["to"]) == 2 and mail["From"] == "t@example.org"
        assert str(email.header.make_header(email.header.decode_header(mail["Subject"]))) == "critical case 0-1: escalated at L2"
        assert "hxxp://evil[.]example" in mail.get_payload(decode=True).decode()
        alert = alerts()[0]
        assert alert["labels"]["case_id"] == "0-1" and alert["labels"]["severity"] == "critical", alert
        wait_for(lambda: out.exists() and all(f'"{case}' in out.read_text() for case in ("0-1", "0-2", "0-3")), 20, "drill and fallback")
        assert not any(r["path"] == "/never" for r in web.requests), "a private address was called"
        assert notifier.metric("triaged_notify_unreadable_total") == 1
        # A new level is a new incident; acknowledgement and resolution are of both.
        topic.send([event("0-1", 2, level="IR")])
        wait_for(lambda: len(pager.requests) == 2, 10, "the second level's page")
        page = json.loads(pager.requests[1]["body"])
        assert page["event_action"] == "trigger" and page["dedup_key"] == "test:0-1:1:IR"
        topic.send([event("0-1", 3, "acknowledged", level="IR")])
        wait_for(lambda: not [a for a in alerts() if a["status"]["state"] == "active"], 30, "the alert to end")
        both = lambda action: [{"routing_key": "R" * 32, "event_action": action, "dedup_key": f"test:0-1:1:{level}"}
                               for level in ("IR", "L2")]
        wait_for(lambda: len(pager.requests) == 4, 10, "PagerDuty's acknowledgement")
        assert [json.loads(r["body"]) for r in pager.requests[2:]] == both("acknowledge")
        topic.send([event("0-1", 4, "resolved", level="IR")])
        wait_for(lambda: len(pager.requests) == 6, 10, "PagerDuty's resolution")
        assert [json.loads(r["body"]) for r in pager.requests[4:]] == both("resolve")
        checked = subprocess.run(["promtool", "check", "metrics"], input=notifier.metrics().encode(), capture_output=True, check=False)
        assert checked.returncode == 0, checked
        dead = subprocess.run(["kcat", "-C", "-e", "-q", "-b", BOOTSTRAP, "-t", topic.name + ".dead"], capture_output=True, check=True)
        assert b"garbage" in dead.stdout and b'"0-3"' in dead.stdout
        notifier.stop()
    finally:
        alertmanager.kill()
        notifier.kill()
    print("payloads: ok")


class Kills:
    """kill -9 under load, with failing destinations: each time after a drawn number of deliveries has been seen, so that the
    notifier is in the middle of its work and not still joining its group."""

    def __init__(self, binary, folder, rng):
        self.rng, self.number, self.must, self.acked = rng, 0, set(), set()
        self.topic = Topic(f"esc-kill-{random.getrandbits(32)}")
        self.targets = {"one": HttpTarget(self.behave), "two": HttpTarget(self.behave)}
        lines = "\n".join(
            f'  {name}: {{kind: webhook, url: "http://127.0.0.1:{t.port}/", allow_private: true, retry_min: 10ms, '
            f'retry_max: 50ms, timeout: 500ms, per_minute: 100000, bundle: 1, breaker_failures: 10, breaker_pause: 50ms}}'
            for name, t in self.targets.items())
        # A static member comes back to its partitions at once; else each kill would wait for the session to end.
        self.notifier = Notifier(binary, folder / "kills", self.topic, f"destinations:\n{lines}\nroutes: [{{to: [one, two]}}]",
                                 'group.instance.id: "one"')

    def behave(self, _):
        dice = self.rng.random()
        if dice < 0.2:
            return (503, {})
        return "garbage" if dice < 0.25 else (200, {}) if dice < 0.98 else "hang"

    def send(self):
        """Twenty new cases, and the acknowledgement of two older ones."""
        batch = []
        for _ in range(20):
            self.number += 1
            batch.append(event(f"0-{self.number}", 1))
            self.must.add(batch[-1]["id"])
        for case in self.rng.sample(range(1, max(3, self.number - 20)), 2):
            if self.number > 20 and f"0-{case}" not in self.acked:
                self.acked.add(f"0-{case}")
                batch.append(event(f"0-{case}", 2, "acknowledged"))
        self.topic.send(batch)

    def delivered(self):
        return sum(len(target.taken()) for target in self.targets.values())

    def waiting(self):
        """Deliveries that are owed still, at both destinations together."""
        needed = {i for i in self.must if i.split("/")[0] not in self.acked}
        return sum(len(needed - {r["id"] for r in target.taken()}) for target in self.targets.values())

    def run(self, cycles):
        in_work = 0
        for _ in range(cycles):
            self.send()
            before = self.delivered()
            after = self.rng.randint(1, 20)
            self.notifier.start()
            wait_for(lambda: self.delivered() >= before + after or self.waiting() == 0, 60, f"{after} deliveries")
            time.sleep(self.rng.uniform(0, 0.02))
            in_work += self.waiting() > 0
            self.notifier.kill()
        self.notifier.start()
        wait_for(lambda: self.waiting() == 0, 60 + cycles, "every escalation")
        for name, target in self.targets.items():
            self.check(name, target, cycles)
        # A test whose kills all come when there is nothing to do shows nothing.
        assert in_work >= cycles * 3 // 4, f"only {in_work} of {cycles} kills came in the middle of work"
        print(f"kills: {in_work} of {cycles} in the middle of work")
        self.notifier.kill()

    @staticmethod
    def check(name, target, cycles):
        counts = collections.Counter(r["id"] for r in target.taken())
        repeats = sum(count - 1 for count in counts.values())
        answered = set()
        for r in target.taken():
            assert r["data"]["dedup_key"] == f"test:{r['subject']}:1", r
            if r["type"].endswith("acknowledged.v1"):
                answered.add(r["subject"])
            else:
                assert r["subject"] not in answered, f"{name}: {r['id']} after its acknowledgement"
        assert repeats <= cycles, f"{name}: {repeats} repeats in {cycles} kills"
        print(f"kills: {name}: {cycles} kills, {len(counts)} delivered, {repeats} repeats, {len(target.requests)} requests")


def storm(binary, folder, count):
    """Many escalations at once: every case is named within the rate, first events first, memory bounded."""
    topic = Topic(f"esc-storm-{random.getrandbits(32)}")
    web, slack = HttpTarget(), HttpTarget()
    notifier = Notifier(binary, folder / "storm", topic, f"""
destinations:
  web: {{kind: webhook, url: "http://127.0.0.1:{web.port}/", allow_private: true, per_minute: 600, bundle: 100}}
  slack: {{kind: slack, url: "http://127.0.0.1:{slack.port}/", allow_private: true, per_minute: 600, bundle: 100}}
routes: [{{to: [web, slack]}}]
""")
    cases = [f"0-{n}" for n in range(1, count // 2 + 1)]
    topic.send([event(c, 1) for c in cases] + [event(c, 2, "renotified") for c in cases])
    notifier.start()
    begin, peak = time.monotonic(), 0
    named = lambda: {e["subject"] for b in web.taken() for e in (b if isinstance(b, list) else [b])}
    while len(named()) < len(cases) or notifier.metric("triaged_notify_queued_events") != 0:
        status = pathlib.Path(f"/proc/{notifier.process.pid}/status").read_text()
        peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
        assert time.monotonic() - begin < 90, f"{len(named())} of {len(cases)} named"
        time.sleep(0.5)
    seconds = time.monotonic() - begin
    order = [e for b in web.taken() for e in (b if isinstance(b, list) else [b])]
    firsts = [i for i, e in enumerate(order) if e["data"]["event"] == "escalated"]
    text = "".join(r["body"].decode() for r in slack.requests)
    missing = set(cases) - set(re.findall(r"0-\d+", text))
    assert not missing, f"Slack does not name {len(missing)} cases"
    for target in (web, slack):
        assert len(target.requests) <= 61 + 10 * seconds + 1, "rate limit"
    assert peak < 200_000, f"{peak} kB"
    late = sum(1 for rank, i in enumerate(firsts) if i != rank)
    print(f"storm: {count} events of {len(cases)} cases in {seconds:.1f} s, {len(web.requests)}+{len(slack.requests)} requests, "
          f"peak {peak // 1024} MiB, first events that came after a later one: {late}")
    assert late <= 1000
    notifier.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notifier")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--storm", type=int, default=10000)
    parser.add_argument("--only", choices=["payloads", "kills", "storm"])
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    options = parser.parse_args()
    print("seed", options.seed)
    with scratch() as folder:
        if options.only in (None, "payloads"):
            payloads(options.notifier, folder)
        if options.only in (None, "kills"):
            Kills(options.notifier, folder, random.Random(options.seed)).run(options.cycles)
        if options.only in (None, "storm"):
            storm(options.notifier, folder, options.storm)


main()
