#!/usr/bin/env python3
"""Acknowledging from where people are, on a real Kafka: escalation, page, signed link, command, withdrawal.

  acknowledge_test.py NOTIFIER TRIAGED TRIAGECTL            (TRIAGED_TEST_BOOTSTRAP names the broker)

The real daemon escalates a case; the notifier pages; forged, expired and replayed acknowledgements change nothing; a
signed link, a PagerDuty webhook and a Slack button acknowledge one case each, and the destinations hear of it.
"""
import base64
import hashlib
import hmac
import html
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import BOOTSTRAP, Notifier, Topic, free_port, scratch, wait_for
from servers import HttpTarget

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LINKS, PAGER, SLACK = "l" * 40, "pagerduty-secret", "slack-secret"
APPLICATION = "acktest"


def sign(key, text):
    return hmac.new(key.encode(), text if isinstance(text, bytes) else text.encode(), hashlib.sha256).hexdigest()


def request(url, body=None, headers=None):
    """(status, text)."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Receiver:
    """Speaks to the notifier's receiver as PagerDuty, Slack and a browser do."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def pagerduty(self, key, event_id, secret=PAGER, age=0.0, kind="incident.acknowledged", prefix=""):
        occurred = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
        body = json.dumps({"event": {"id": event_id, "event_type": kind, "resource_type": "incident", "occurred_at": occurred,
                                     "agent": {"id": "PXPGF42", "summary": "Otto", "type": "user_reference"},
                                     "data": {"id": "PT4KHLK", "type": "incident", "incident_key": key}}}).encode()
        return request(self.base + "/pagerduty", body, {"X-PagerDuty-Signature": prefix + "v1=" + sign(secret, body)})[0]

    def slack(self, token, secret=SLACK, age=0, action="triaged_ack_0"):
        payload = {"type": "block_actions", "user": {"id": "U02ABC", "username": "emi"},
                   "actions": [{"action_id": action, "value": token}]}
        body = urllib.parse.urlencode({"payload": json.dumps(payload)})
        when = str(int(time.time()) - age)
        return request(self.base + "/slack", body.encode(), {
            "X-Slack-Request-Timestamp": when, "X-Slack-Signature": "v0=" + sign(secret, f"v0:{when}:{body}")})[0]


def start_daemon(triaged, triagectl, folder):
    port = free_port()
    (folder / "triaged.yaml").write_text(f"""
application_id: {APPLICATION}
instance: one
kafka: {{bootstrap_servers: "{BOOTSTRAP}", alert_topics: [alerts.{APPLICATION}], partitions: 2, session_timeout: 6s}}
storage: {{path: {folder}/store, memory: 64MiB}}
web: {{listen_address: "127.0.0.1:{port}"}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
""")
    subprocess.run(["kcat", "-P", "-b", BOOTSTRAP, "-t", f"alerts.{APPLICATION}", "-X", "allow.auto.create.topics=true"],
                   input=b'{"warm": "up"}\n', check=True, timeout=60)
    made = subprocess.run([triagectl, f"--config.file={folder}/triaged.yaml", "topics", "create"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert made.returncode == 0, made
    daemon = subprocess.Popen([triaged, f"--config.file={folder}/triaged.yaml"], stdout=open(folder / "triaged.log", "wb"),
                              stderr=subprocess.STDOUT)
    Notifier.running.append(daemon)
    wait_for(lambda: request(f"http://127.0.0.1:{port}/-/ready")[0] == 200 if listening(port) else False, 60, "the daemon")
    return daemon


def listening(port):
    try:
        request(f"http://127.0.0.1:{port}/-/healthy")
        return True
    except OSError:
        return False


def attack(host):
    alert = {"@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ecs": {"version": "8.11"},
             "event": {"kind": "alert", "id": f"id-{host}", "severity": 99},
             "rule": {"name": "Ransomware found"}, "host": {"name": host}}
    subprocess.run(["kcat", "-P", "-b", BOOTSTRAP, "-t", f"alerts.{APPLICATION}"], input=json.dumps(alert).encode(), check=True,
                   timeout=60)


def events(name=None):
    out = subprocess.run(["kcat", "-C", "-e", "-q", "-b", BOOTSTRAP, "-t", f"{APPLICATION}.escalations"],
                         capture_output=True, timeout=60, check=True).stdout
    found = [json.loads(line) for line in out.splitlines()]
    return [e for e in found if name is None or e["type"] == f"io.triaged.case.{name}.v1"]


def token_of(slack, case):
    """The button's value, and the link, of the message about the case."""
    for sent in slack.requests:
        body = json.loads(sent["body"])
        for block in body["blocks"]:
            for button in block.get("elements", []):
                if button["text"]["text"] == f"Acknowledge {case}":
                    text = body["blocks"][1]["text"]["text"]
                    return button["value"], re.search(r"http://127\.0\.0\.1:\d+/ack/(\S+)", text)
    return None


def acknowledged(case):
    return [e for e in events("acknowledged") if e["subject"] == case]


def wrong_ways(receiver, token, key):
    """Nothing of this acknowledges anything."""
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    status, page = request(f"{receiver.base}/ack/{token}")
    assert status == 200 and "<form method=\"post\">" in page, "a GET shows a form"
    assert request(f"{receiver.base}/ack/{forged}", b"name=mallory")[0] == 403
    part = token.split(".")
    assert request(f"{receiver.base}/ack/v1.{part[1][:-4]}AAAA.{part[2]}", b"name=mallory")[0] == 403
    assert request(f"{receiver.base}/ack/{token}", b"name=a%3Cb%3E")[0] == 400
    assert request(f"{receiver.base}/ack/{token}", b"name=" + b"x" * 300_000)[0] == 413
    assert request(f"{receiver.base}/ack/nonsense", b"")[0] == 403
    assert request(f"{receiver.base}/metrics")[0] == 404
    assert receiver.pagerduty(key, "f-1", secret="guess") == 403
    assert receiver.pagerduty(key, "f-2", age=3600) == 403, "an old webhook"
    assert receiver.pagerduty(key, "f-3", age=-3600) == 403, "a webhook of the future"
    assert receiver.pagerduty(key, "f-4", kind="incident.triggered") == 200
    assert receiver.pagerduty("other:0-1:1", "f-5") == 200, "of another application"
    assert receiver.slack(token, secret="guess") == 403
    assert receiver.slack(token, age=600) == 403
    assert receiver.slack(forged) == 403, "a button that is not ours, from Slack itself"
    assert receiver.slack(token, action="other_button") == 200
    assert request(receiver.base + "/pagerduty", b"\xff\x00{")[0] == 403
    assert request(receiver.base + "/slack", b"payload=%zz")[0] == 403


def right_ways(receiver, cases, tokens, keys, pager):
    """Link, webhook and button, each twice; the case is acknowledged once, by the person, and PagerDuty hears of it."""
    link, web, button = cases
    status, page = request(f"{receiver.base}/ack/{tokens[link]}", b"name=emi")
    assert status == 200 and "Acknowledged by emi" in html.unescape(page), (status, page)
    assert request(f"{receiver.base}/ack/{tokens[link]}", b"name=emi")[0] in (200, 410)
    assert receiver.pagerduty(keys[web], "e-1", prefix="v1=00,") == 200
    assert receiver.pagerduty(keys[web], "e-1") == 200, "PagerDuty sends again"
    assert receiver.slack(tokens[button]) == 200
    assert receiver.slack(tokens[button]) == 200
    for case, actor in ((link, "emi"), (web, "otto"), (button, "emi")):
        wait_for(lambda c=case: acknowledged(c), 30, f"case {case} to be acknowledged")
        assert [e["data"]["actor"] for e in acknowledged(case)] == [actor], acknowledged(case)
    heard = lambda: {(b["event_action"], b["dedup_key"]) for b in map(json.loads, (r["body"] for r in pager.requests))}
    wait_for(lambda: all(("acknowledge", keys[c]) in heard() for c in cases), 30, "PagerDuty to hear of it")
    # Now the case is answered, and the link is worth nothing any more.
    assert request(f"{receiver.base}/ack/{tokens[link]}", b"name=mallory")[0] == 410
    refused = events("command.refused")
    assert not refused, refused


def expired(notifier, receiver, slack):
    """A reload shortens the life of links to the least; then the clock of a link made long ago is what counts."""
    old = notifier.folder / "notify.yaml"
    text = old.read_text()
    old.write_text(text + "nonsense: 1\n")
    notifier.process.send_signal(signal.SIGHUP)
    wait_for(lambda: notifier.metric("triaged_notify_config_last_reload_successful") == 0, 20, "the reload to be refused")
    assert notifier.process.poll() is None
    (notifier.folder / "links").write_text("k" * 40 + "\n")
    old.write_text(text)
    notifier.process.send_signal(signal.SIGHUP)
    wait_for(lambda: notifier.metric("triaged_notify_config_last_reload_successful") == 1, 30, "the reload")
    before = len(slack.requests)
    attack("after-reload")
    wait_for(lambda: len(slack.requests) > before, 60, "a page after the reload")
    case = events("escalated")[-1]["subject"]
    token = token_of(slack, case)[0]
    part = token.split(".")
    assert part[2] == sign("k" * 40, ".".join(part[:2])), "links are signed with the new key"
    claim = json.loads(base64.urlsafe_b64decode(part[1] + "=" * (-len(part[1]) % 4)))
    claim[6] = int(time.time() * 1000) - 1
    stale = "v1." + base64.urlsafe_b64encode(json.dumps(claim).encode()).decode().rstrip("=")
    status, page = request(f"{receiver.base}/ack/{stale}.{sign('k' * 40, stale)}", b"name=emi")
    assert status == 403 and "expired" in page, (status, page)


def main():
    binary, triaged, triagectl = sys.argv[1:4]
    pager, slack, port = HttpTarget(), HttpTarget(), free_port()
    with scratch() as folder:
        daemon = start_daemon(triaged, triagectl, folder)
        topic = Topic(f"{APPLICATION}.escalations")
        notifier = Notifier(binary, folder / "notify", topic, f"""
acknowledge:
  listen_address: 127.0.0.1:{port}
  public_url: http://127.0.0.1:{port}
  key_file: links
  pagerduty_secret_file: pager
  slack_secret_file: slack
  application_id: {APPLICATION}
  role: l2
  people: {{PXPGF42: otto, U02ABC: emi}}
destinations:
  pager: {{kind: pagerduty, url: "http://127.0.0.1:{pager.port}/", routing_key_file: routing, allow_private: true}}
  slack: {{kind: slack, url: "http://127.0.0.1:{slack.port}/", ack_links: true, allow_private: true}}
routes: [{{to: [pager, slack]}}]
""")
        for name, text in (("links", LINKS), ("pager", PAGER), ("slack", SLACK)):
            (notifier.folder / name).write_text(text + "\n")
        notifier.start()
        for host in ("db1", "db2", "db3"):
            attack(host)
        wait_for(lambda: len(events("escalated")) == 3, 60, "three escalations")
        escalated = events("escalated")
        cases = [e["subject"] for e in escalated]
        keys = {e["subject"]: e["data"]["dedup_key"] + ":" + e["data"]["level"]["to"]["name"] for e in escalated}
        wait_for(lambda: len(pager.requests) == 3 and all(token_of(slack, c) for c in cases), 60, "three pages")
        tokens = {}
        for case in cases:
            tokens[case], link = token_of(slack, case)
            assert link and link[1] == tokens[case], "the text has the link, too"
        receiver = Receiver(port)
        wrong_ways(receiver, tokens[cases[0]], keys[cases[0]])
        assert notifier.metric('triaged_notify_acknowledgements_total{outcome="accepted"}') == 0
        assert not events("acknowledged")
        right_ways(receiver, cases, tokens, keys, pager)
        checked = subprocess.run(["promtool", "check", "metrics"], input=notifier.metrics().encode(), capture_output=True,
                                 check=False)
        assert checked.returncode == 0, checked
        expired(notifier, receiver, slack)
        notifier.stop()
        daemon.terminate()
        assert daemon.wait(60) == 0
    print("acknowledging: ok")


main()
