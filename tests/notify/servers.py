"""Servers of the tests' own: HTTP that answers as told, and SMTP that keeps what it gets."""
import base64
import http.server
import json
import socketserver
import ssl
import threading


class HttpTarget:
    """Keeps every request; `behave(number)` gives (status, headers), or one of these for the number-th request: "hang"
    (no answer), "garbage" (no HTTP), "huge" (an endless body), "slow" (a byte every tenth of a second), "cut" (closes)."""

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
                if answer in ("huge", "slow"):
                    self.send_response(500)
                    self.end_headers()
                    part, pause = (b"x" * 65536, 0) if answer == "huge" else (b"x", 0.1)
                    try:
                        while not target.release.wait(pause):
                            self.wfile.write(part)
                    except OSError:
                        return
                if answer == "cut":
                    self.connection.close()
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
            taken = [r for r in self.requests if isinstance(r.get("answer"), tuple) and r["answer"][0] < 300]
        for r in taken:
            if "parsed" not in r:
                r["parsed"] = json.loads(r["body"])
        return [r["parsed"] for r in taken]


class SmtpTarget:
    """`certificate`: (certificate file, key file) for STARTTLS, or from the first byte with `implicit`. `refuse` is the
    answer to MAIL in place of 250. Kept of each mail: from, to, data, whether TLS was on, and who logged in."""

    def __init__(self, certificate=None, implicit=False, refuse=None):
        self.mails, self.connections = [], 0
        target = self
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)

        class Handler(socketserver.BaseRequestHandler):
            def secure(self):
                self.request = context.wrap_socket(self.request, server_side=True)
                self.input, self.tls = self.request.makefile("rb"), True

            def say(self, text):
                self.request.sendall(text.encode() + b"\r\n")

            def handle(self):
                target.connections += 1
                self.input, self.tls, self.user = self.request.makefile("rb"), False, None
                try:
                    if implicit:
                        self.secure()
                    self.talk()
                except OSError:
                    pass  # the peer refused our certificate, or went

            def greet(self):
                words = ["250-test"] + (["250-STARTTLS"] if context and not self.tls else []) + ["250 AUTH PLAIN"]
                self.say("\r\n".join(words))

            def talk(self):
                self.say("220 test")
                mail = {"to": []}
                while line := self.input.readline():
                    text = line.decode().strip()
                    word = text.upper()[:4]
                    if word == "DATA":
                        self.say("354 go on")
                        lines = []
                        while (line := self.input.readline()) != b".\r\n":
                            lines.append(line)
                        mail |= {"data": b"".join(lines), "tls": self.tls, "user": self.user}
                        target.mails.append(mail)
                        mail = {"to": []}
                    elif word == "EHLO":
                        self.greet()
                        continue
                    elif word == "STAR":
                        self.say("220 go")
                        self.secure()
                        continue
                    elif word == "AUTH":
                        rest = text.split()
                        if len(rest) < 3:
                            self.say("334 ")
                            rest.append(self.input.readline().decode().strip())
                        self.user = base64.b64decode(rest[2]).split(b"\0")[1:]
                        self.say("235 ok")
                        continue
                    elif word == "MAIL":
                        mail["from"] = text
                        if refuse:
                            self.say(refuse)
                            continue
                    elif word == "RCPT":
                        mail["to"].append(text)
                    self.say("221 bye" if word == "QUIT" else "250 ok")
                    if word == "QUIT":
                        return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]
