#!/usr/bin/env python3
"""triaged-notify against servers that misbehave, and mail over TLS. Run under broker.py.

  servers_test.py NOTIFIER            (TRIAGED_TEST_BOOTSTRAP names the broker)

HTTP that is slow, hangs, redirects, answers garbage or without end: each is given up within its deadline, and the
fallback has the event. SMTP: TLS of a trusted authority with the right name only; a password never without TLS.
"""
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import BOOTSTRAP, Notifier, Topic, event, scratch, wait_for
from servers import HttpTarget, SmtpTarget


def certificates(folder):
    """Two authorities, and server certificates of the first for the right and a wrong name."""
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    for name in ("ca", "other"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.pem")
    made = {}
    for name, alternative in (("right", "IP:127.0.0.1"), ("wrong", "DNS:mail.example.org")):
        (folder / "ext").write_text(f"subjectAltName={alternative}\n")
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", folder / f"{name}.key", "-out", folder / "csr")
        run("x509", "-req", "-in", folder / "csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial",
            "-days", 2, "-extfile", folder / "ext", "-out", folder / f"{name}.pem")
        made[name] = (folder / f"{name}.pem", folder / f"{name}.key")
    return made


def mail(binary, folder):
    made = certificates(folder)
    servers = {"starttls": SmtpTarget(made["right"]), "implicit": SmtpTarget(made["right"], implicit=True),
               "otherca": SmtpTarget(made["right"]), "othername": SmtpTarget(made["wrong"]), "nofile": SmtpTarget(made["right"]),
               "plain": SmtpTarget(), "refusing": SmtpTarget(refuse="550 no")}
    last = SmtpTarget(made["right"])
    lines = []
    for name, server in servers.items():
        scheme = "smtps" if name == "implicit" else "smtp"
        authority = "" if name in ("nofile", "refusing") else f"ca_file: {folder / ('other.pem' if name == 'otherca' else 'ca.pem')}, "
        login = "" if name == "refusing" else "user: me, password_file: password, "
        lines.append(f'  {name}: {{kind: mail, url: "{scheme}://127.0.0.1:{server.port}", from: t@example.org, to: [a@example.org], '
                     f'{authority}{login}allow_private: true, timeout: 2s, retry_min: 50ms, retry_max: 100ms, deadline: 1s, '
                     f'breaker_failures: 100, fallback: last}}')
    topic = Topic(f"esc-mail-{random.getrandbits(32)}")
    notifier = Notifier(binary, folder / "mail", topic, "destinations:\n" + "\n".join(lines) + f"""
  last: {{kind: mail, url: "smtp://127.0.0.1:{last.port}", from: t@example.org, to: [b@example.org], ca_file: {folder}/ca.pem, allow_private: true}}
routes: [{{to: [{', '.join(servers)}]}}]
""")
    (notifier.folder / "password").write_text("secret of mine\n")
    topic.send([event("0-1", 1)])
    notifier.start()
    good = ("starttls", "implicit")
    wait_for(lambda: all(servers[name].mails for name in good), 30, "mails over TLS")
    wait_for(lambda: notifier.metric("triaged_notify_failed_total") == len(servers) - len(good), 30, "the others to be given up")
    for name, server in servers.items():
        if name in good:
            sent = server.mails[0]
            assert sent["tls"] and sent["user"] == [b"me", b"secret of mine"], (name, sent)
        else:
            assert server.connections and not server.mails, f"{name}: a mail went out"
    wait_for(lambda: last.mails, 20, "the fallback's mail")
    assert "b@example.org" in last.mails[0]["to"][0] and last.mails[0]["tls"] and last.mails[0]["user"] is None
    log = (notifier.folder / "log").read_text()
    assert "secret of mine" not in log
    notifier.stop()
    print("mail: ok")


def misbehaving(binary, folder):
    last = HttpTarget()
    never = HttpTarget()
    ways = {"hang": "hang", "garbage": "garbage", "huge": "huge", "slow": "slow", "cut": "cut", "error": (503, {}),
            "redirect": (307, {"Location": f"http://127.0.0.1:{never.port}/"}), "refused": (400, {}), "gone": (410, {}),
            "busy": (429, {"Retry-After": "3600"})}
    targets = {name: HttpTarget(lambda _, way=way: way) for name, way in ways.items()}
    lines = "\n".join(f'  {name}: {{kind: webhook, url: "http://127.0.0.1:{t.port}/", allow_private: true, timeout: 300ms, deadline: 1500ms, '
                      f'retry_min: 20ms, retry_max: 100ms, per_minute: 100000, breaker_failures: 100, fallback: last}}'
                      for name, t in targets.items())
    topic = Topic(f"esc-bad-{random.getrandbits(32)}")
    notifier = Notifier(binary, folder / "bad", topic, f"""
destinations:
{lines}
  last: {{kind: webhook, url: "http://127.0.0.1:{last.port}/", allow_private: true, bundle: 1, per_minute: 100000}}
routes: [{{to: [{', '.join(ways)}]}}]
""")
    topic.send([event("0-1", 1), event("0-2", 1)])
    begin = time.monotonic()
    notifier.start()
    failed = lambda name: notifier.metric(f'triaged_notify_failed_total{{destination="{name}"}}')
    wait_for(lambda: all(failed(name) == 2 for name in ways if name != "busy"), 40, "every destination to be given up")
    took = time.monotonic() - begin
    wait_for(lambda: len(last.taken()) == 2, 10, "the fallback")
    assert sorted(e["subject"] for e in last.taken()) == ["0-1", "0-2"], "the fallback has each event once"
    assert not never.requests, "a redirect was followed"
    for name in ("refused", "gone", "redirect"):
        assert len(targets[name].requests) == 2, f"{name}: {len(targets[name].requests)} requests, and no retry was of use"
    assert len(targets["error"].requests) > 4, "no retries"
    assert len(targets["busy"].requests) == 1, "Retry-After was not kept to"
    status = pathlib.Path(f"/proc/{notifier.process.pid}/status").read_text()
    peak = max(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 200_000, f"{peak} kB: the endless body was kept"
    dead = subprocess.run(["kcat", "-C", "-e", "-q", "-f", "%h\n", "-b", BOOTSTRAP, "-t", topic.name + ".dead"],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    for name in ways:
        if name != "busy":
            assert sum(f"triaged.destination={name}" in line for line in dead) == 2, (name, dead)
    checked = subprocess.run(["promtool", "check", "metrics"], input=notifier.metrics().encode(), capture_output=True, check=False)
    assert checked.returncode == 0, checked
    for target in targets.values():
        target.release.set()
    notifier.stop()
    print(f"misbehaving: {len(ways)} ways, given up in {took:.1f} s, peak {peak // 1024} MiB")


def main():
    with scratch() as folder:
        mail(sys.argv[1], folder)
        misbehaving(sys.argv[1], folder)


main()
