"""Servers of the tests' own: HTTP that answers as told, and SMTP that keeps what it gets."""
import http.server
import json
import socketserver
import threading


class HttpTarget:
    """Keeps every request; `behave(number)` gives (status, headers), "hang" or "garbage" for the number-th request."""

    def __init__(self, behave=lambda number: (202, {})):
        self.requests, self.lock, self.behave, self.release = [], threading.Lock(), behave, threading.Event()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with target.lock:
                    target.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
                    number = len(target.requests)
                answer = target.behave(number)
                target.requests[number - 1]["answer"] = answer
                if answer == "hang":
                    target.release.wait(30)
                    return
                if answer == "garbage":
                    self.wfile.write(b"\x00\xff\x00garbage\r\n\r\n")
                    return
                self.send_response(answer[0])
                for name, value in {**answer[1], "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]

    def taken(self):
        """The bodies that were answered with 2xx, parsed."""
        with self.lock:
            return [json.loads(r["body"]) for r in self.requests if isinstance(r.get("answer"), tuple) and r["answer"][0] < 300]


class SmtpTarget:
    def __init__(self):
        self.mails = []
        target = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                say = lambda text: self.wfile.write(text.encode() + b"\r\n")
                say("220 test")
                mail = {"to": []}
                while line := self.rfile.readline():
                    text = line.decode().strip()
                    word = text.upper()[:4]
                    if word == "DATA":
                        say("354 go on")
                        lines = []
                        while (line := self.rfile.readline()) != b".\r\n":
                            lines.append(line)
                        mail["data"] = b"".join(lines)
                        target.mails.append(mail)
                        mail = {"to": []}
                    elif word == "MAIL":
                        mail["from"] = text
                    elif word == "RCPT":
                        mail["to"].append(text)
                    say("221 bye" if word == "QUIT" else "250 ok")
                    if word == "QUIT":
                        return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]
