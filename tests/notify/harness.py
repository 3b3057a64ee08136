"""What the notifier's tests share: events, a topic, a notifier with its folder and metrics. Run under broker.py."""
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

BOOTSTRAP = os.environ["TRIAGED_TEST_BOOTSTRAP"]
EVIL = 'Ev"il <script>&\n http://evil.example.com/x \u202e'
KEY = "hmac-key-of-the-test"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def event(case, number, name="escalated", **data):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sequence = f"{number:020d}"
    level = data.pop("level", "L2")
    return {"specversion": "1.0", "id": f"{case}/{sequence}", "source": "/triaged/test", "subject": case,
            "type": f"io.triaged.case.{name}.v1", "time": now, "sequence": sequence,
            "data": {"case_id": case, "event": name, "policy": "soc", "dedup_key": f"test:{case}:1", "severity": "high",
                     "level": {"from": {"name": "L1"}, "to": {"name": level}}, "team": "l2", "assignee": "emi",
                     "status": "escalated", "drill": False, "reason": "because", "channels": ["page"],
                     "counts": {"alerts": 3}, "requested": [],
                     "five_ws": {"who": {"accounts": [{"value": "erin"}]}, "where": {"hosts": [{"value": "db7"}]},
                                 "what": {"detections": [{"value": EVIL}]}}} | data}


class Topic:
    def __init__(self, name):
        self.name = name

    def send(self, events):
        lines = "".join(f"{e['subject']}\x01{json.dumps(e)}\n" if isinstance(e, dict) else f"x\x01{e}\n" for e in events)
        subprocess.run(["kcat", "-P", "-b", BOOTSTRAP, "-t", self.name, "-K", "\x01"], input=lines.encode(), check=True)


class Notifier:
    running = []

    def __init__(self, binary, folder, topic, config, property='client.id: "test"'):
        self.binary, self.folder, self.port = binary, folder, free_port()
        folder.mkdir(parents=True)
        for name, text in {"hmac": KEY, "routing": "R" * 32}.items():
            (folder / name).write_text(text + "\n")
        (folder / "notify.yaml").write_text(f"""
kafka: {{bootstrap_servers: "{BOOTSTRAP}", group: "{topic.name}", topic: "{topic.name}", dead_letter_topic: "{topic.name}.dead",
         properties: {{session.timeout.ms: "6000", allow.auto.create.topics: "true", topic.metadata.refresh.interval.ms: "500", {property}}}}}
storage_path: memory
listen_address: 127.0.0.1:{self.port}
{config}
""")
        self.process, self.log = None, open(folder / "log", "ab")

    def start(self):
        self.process = subprocess.Popen([self.binary, "--config.file", self.folder / "notify.yaml"], stderr=self.log)
        Notifier.running.append(self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, (self.folder / "log").read_text()[-2000:]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def metric(self, name):
        try:
            return sum(float(line.split()[-1]) for line in self.metrics().splitlines() if line.startswith(name))
        except OSError:
            return -1


@contextlib.contextmanager
def scratch():
    """A folder for the logs: gone when all went well, else their ends are printed. No notifier outlives it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="triaged-notify-"))
    try:
        yield folder
    except BaseException:
        for log in [*folder.glob("*/log"), *folder.glob("*.log")]:
            print(f"--- {log}\n" + log.read_text(errors="replace")[-3000:])
        raise
    finally:
        for process in Notifier.running:
            if process.poll() is None:
                process.kill()
                process.wait()
    shutil.rmtree(folder)
