"""A time-stamping authority: openssl ``ts -reply`` with keys of its own, behind a small HTTP server on the loopback."""

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {dir}/serial
crypto_device = builtin
signer_cert = {dir}/tsa.pem
certs = {dir}/ca.pem
signer_key = {dir}/tsa.key
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def _run(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def make(folder_dir: Path, kind: str = "rsa:2048", digest: str = "sha256") -> None:
    """A certificate authority, and a time-stamping certificate under it; ``kind`` as openssl's ``-newkey``."""
    folder_dir.mkdir()
    key = (
        ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{kind}"] if not kind.startswith("rsa") else ["-newkey", kind]
    )
    _run("req", "-x509", *key, "-nodes", "-keyout", folder_dir / "ca.key", "-out", folder_dir / "ca.pem", "-subj", "/CN=Test root",
         "-days", 30)  # fmt: skip
    _run(
        "req",
        *key,
        "-nodes",
        "-keyout",
        folder_dir / "tsa.key",
        "-out",
        folder_dir / "tsa.csr",
        "-subj",
        "/CN=Test TSA",
    )
    (folder_dir / "ext").write_text("extendedKeyUsage = critical,timeStamping\n")
    _run("x509", "-req", "-in", folder_dir / "tsa.csr", "-CA", folder_dir / "ca.pem", "-CAkey", folder_dir / "ca.key",
         "-CAcreateserial", "-extfile", folder_dir / "ext", "-out", folder_dir / "tsa.pem", "-days", 30)  # fmt: skip
    (folder_dir / "serial").write_text("01\n")
    (folder_dir / "config").write_text(_CONFIG.format(dir=folder_dir, digest=digest))


def reply(folder_dir: Path, query: bytes) -> bytes:
    """What the authority answers."""
    (folder_dir / "query").write_bytes(query)
    _run(
        "ts",
        "-reply",
        "-config",
        folder_dir / "config",
        "-queryfile",
        folder_dir / "query",
        "-out",
        folder_dir / "reply",
    )
    return (folder_dir / "reply").read_bytes()


@contextlib.contextmanager
def serving(folder_dir: Path, *, spoil: bytes | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """Its address, and the queries that came; ``spoil`` is answered instead."""
    queries: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            queries.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer = reply(folder_dir, queries[-1]) if spoil is None else spoil
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsa", queries
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
