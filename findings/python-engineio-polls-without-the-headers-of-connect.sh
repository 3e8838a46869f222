#!/usr/bin/env bash
# python-engineio: the headers that connect() is given come with the first poll and with the WebSocket only.
#
# Packages:  python-engineio 4.15.1, requests 2.34.2, simple-websocket 1.1.0 (PyPI); engine.io-client 6.6.8 (npm).
# Valid use: Client().connect(url, headers={"Authorization": ...}), which then polls.
# Expected:  each request of the session has the headers, as with extraHeaders of the JavaScript client. A
#            proxy or a server in front may ask for the credential of each request: they are separate.
# Happens:   the request that opens the session has them. The polls and the posts after it do not.
# For a site: behind a proxy that checks a token, the Python client opens sessions, and each poll is refused.
#            The client reports a lost connection. With a server that compares the credential of each request
#            with the one that opened the session, it is the same.
# Way around: give the client an http_session of `requests` that has the headers, or use
#            transports=["websocket"].
#
# Output seen:
#   client                      opening    poll    post
#   engine.io-client 6.6.8      yes        yes     yes
#   python-engineio 4.15.1      yes        no      no
#   with its own http_session   yes        yes     yes
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v npm >/dev/null || { echo "node and npm are missing" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  python-engineio==4.15.1 requests==2.34.2 simple-websocket==1.1.0
npm install --silent --no-audit --no-fund --prefix "$folder" engine.io-client@6.6.8 >/dev/null

cat >"$folder/client.js" <<'JAVASCRIPT'
const { Socket } = require("engine.io-client");
const socket = new Socket(process.argv[2], { transports: ["polling"], extraHeaders: { Authorization: "word" } });
socket.on("open", () => socket.send("hello"));
socket.on("close", () => process.exit());
socket.on("error", () => process.exit());
JAVASCRIPT

cat >"$folder/main.py" <<'PYTHON'
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import engineio
import requests

OPEN = "0" + json.dumps({"sid": "s", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 9999})
PACKAGES = sys.argv[1]


class Server(BaseHTTPRequestHandler):
    """An Engine.IO server that notes which requests have the header, and says goodbye after a post."""

    def log_message(self, *args):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        kind = "poll" if "sid=" in self.path else "opening"
        self.server.seen.setdefault(kind, "Authorization" in self.headers)
        if kind == "poll":
            self.server.posted.wait(20)
        self.answer("1" if kind == "poll" else OPEN)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.setdefault("post", "Authorization" in self.headers)
        self.answer("ok")
        self.server.posted.set()


def watch(run):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.seen, server.posted = {}, threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    return [server.seen.get(kind) for kind in ("opening", "poll", "post")]


def python(url, **options):
    client = engineio.Client(**options)
    client.connect(url, transports=["polling"], headers={"Authorization": "word"})
    client.send("hello")
    client.wait()


def javascript(url):
    subprocess.run(["node", f"{PACKAGES}/client.js", url], check=True, timeout=30)


def with_session(url):
    session = requests.Session()
    session.headers["Authorization"] = "word"
    python(url, http_session=session)


rows = {
    "engine.io-client 6.6.8": watch(javascript),
    "python-engineio 4.15.1": watch(python),
    "with its own http_session": watch(with_session),
}
print(f"{'client':28}opening    poll    post")
for name, seen in rows.items():
    words = ["yes" if each else "no" for each in seen]
    print(f"{name:28}{words[0]:11}{words[1]:8}{words[2]}")
if list(rows.values()) != [[True] * 3, [True, False, False], [True] * 3]:
    sys.exit("The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/main.py" "$folder"
