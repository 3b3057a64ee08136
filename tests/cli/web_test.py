#!/usr/bin/env python3
"""The daemon's HTTP server with a web configuration: TLS, client certificates, users, renewal, and what is wrong with it.

  web_test.py TRIAGED TRIAGECTL
"""
import base64
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Debian 12 has the Python that still has it
    import crypt

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRIAGED, TRIAGECTL = sys.argv[1], sys.argv[2]
CONFIG = f"""
kafka: {{embedded_broker: true, alert_topics: [alerts], partitions: 1}}
storage: {{path: store}}
web: {{listen_address: "127.0.0.1:0", config_file: web.yaml}}
formats: {ROOT}/configs/formats
rules: {ROOT}/configs/rules
policies: {ROOT}/configs/policies/soc-tiered.yaml
"""


def certificate(folder, name, issuer=None):
    """A key and a certificate for 127.0.0.1, signed by `issuer` or by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key",
               "-out", folder / f"{name}.crt"]
    if issuer:
        command += ["-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


class Daemon:
    def __init__(self, folder, web):
        (folder / "web.yaml").write_text(web)
        (folder / "triaged.yaml").write_text(CONFIG)
        self.log = folder / "triaged.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([TRIAGED, f"--config.file={folder / 'triaged.yaml'}"], stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not (found := re.search(r"msg=listening .*port=(\d+)", self.log.read_text())):
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"FAILED: the daemon did not listen: {self.log.read_text()}")
            time.sleep(0.05)
        self.port = int(found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)

    def ask(self, path, scheme="https", context=None, user=None, method="GET"):
        """The status; 0 when there is no connection."""
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.port}{path}", method=method)
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"FAILED: {what}: {found}, not {wanted}")
    print(f"ok: {what}: {found}")


def trusting(folder, authority, client=None):
    context = ssl.create_default_context(cafile=folder / f"{authority}.crt")
    if client:
        context.load_cert_chain(folder / f"{client}.crt", folder / f"{client}.key")
    return context


def users_and_tls(folder):
    secret = crypt.crypt("s3cret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**6))
    web = f"tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{emi: {secret}}}\n"
    with Daemon(folder, web) as daemon:
        trust = trusting(folder, "server")
        expect("health needs no user", daemon.ask("/-/healthy", context=trust), 200)
        expect("metrics without a user", daemon.ask("/metrics", context=trust), 401)
        expect("metrics with a wrong password", daemon.ask("/metrics", context=trust, user="emi:wrong"), 401)
        expect("metrics with an unknown user", daemon.ask("/metrics", context=trust, user="eve:s3cret"), 401)
        expect("metrics with a user", daemon.ask("/metrics", context=trust, user="emi:s3cret"), 200)
        expect("and again, from memory", daemon.ask("/metrics", context=trust, user="emi:s3cret"), 200)
        expect("a wrong password after a right one", daemon.ask("/metrics", context=trust, user="emi:s3cre"), 401)
        expect("reload without a user", daemon.ask("/-/reload", context=trust, method="POST"), 401)
        expect("reload with a user", daemon.ask("/-/reload", context=trust, user="emi:s3cret", method="POST"), 200)
        expect("plain HTTP", daemon.ask("/-/healthy", scheme="http") in (0, 400), True)
        expect("another authority", daemon.ask("/-/healthy", context=trusting(folder, "other")), 0)
        for ending in ("crt", "key"):
            (folder / f"other.{ending}").replace(folder / f"server.{ending}")
        certificate(folder, "other")
        expect("a renewed certificate, without a restart",
               daemon.ask("/-/healthy", context=trusting(folder, "server")), 200)


def client_certificates(folder):
    web = ("tls_server_config: {cert_file: server.crt, key_file: server.key, client_auth_type: RequireAndVerifyClientCert, "
           "client_ca_file: authority.crt}\n")
    with Daemon(folder, web) as daemon:
        expect("no client certificate", daemon.ask("/metrics", context=trusting(folder, "server")), 0)
        expect("a stranger's", daemon.ask("/metrics", context=trusting(folder, "server", "other")), 0)
        expect("a known one's", daemon.ask("/metrics", context=trusting(folder, "server", "client")), 200)


def wrong(folder):
    for web, said in (("basic_auth_users: {emi: hunter2}\n", "is not bcrypt"),
                      ("tls_server_config: {cert_file: a.crt}\n", "key_file"),
                      ("tls_config: {}\n", "tls_server_config"),
                      ("{}\n", "protects nothing"),
                      ("tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n", "belong together")):
        (folder / "web.yaml").write_text(web)
        checked = subprocess.run([TRIAGECTL, "check", "config", folder / "triaged.yaml"], capture_output=True, text=True,
                                 timeout=60, check=False)
        expect(f"`{web.strip()}` is refused with its place", (checked.returncode, said in checked.stderr and
               "web.yaml:1" in checked.stderr, "hunter2" in checked.stderr), (1, True, False))
    (folder / "web.yaml").write_text("tls_server_config: {cert_file: server.crt, key_file: other.key}\n")
    started = subprocess.run([TRIAGED, f"--config.file={folder / 'triaged.yaml'}"], capture_output=True, text=True, timeout=60,
                             check=False)
    expect("a key of another certificate stops the start", (started.returncode, "key_file" in started.stderr + started.stdout),
           (1, True))


def main():
    with tempfile.TemporaryDirectory(prefix="triaged-web-") as name:
        folder = pathlib.Path(name)
        for one, issuer in (("server", None), ("other", None), ("authority", None), ("client", "authority")):
            certificate(folder, one, issuer)
        users_and_tls(folder)
        client_certificates(folder)
        wrong(folder)


main()
