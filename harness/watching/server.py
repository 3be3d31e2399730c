"""The page on localhost, for this machine alone."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.errors import HarnessError, RequestError
from harness.watching.board import Reader
from harness.watching.page import page

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")


def make_server(reader: Reader, port: int) -> ThreadingHTTPServer:
    """A server of / (the page) and /board.json, read from the store for each request. Raises RequestError for a port in use.

    Args:
        port: 0 for a free one.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if str(self.headers.get("Host", "")).rpartition(":")[0] not in NAMES:
                self._answer(403, "text/plain", "this page is for localhost")  # a name of another site that leads here
                return
            try:
                if self.path == "/board.json":
                    self._answer(200, "application/json", json.dumps(reader.read().record()))
                elif self.path == "/":
                    self._answer(200, "text/html", page(reader.read()))
                else:
                    self._answer(404, "text/plain", "there are / and /board.json")
            except HarnessError as error:
                self._answer(503, "text/plain", str(error))

        def _answer(self, code: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing: stderr has the table."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise RequestError(f"--port {port}: {error.strerror or error}; choose another, or 0 for a free one") from None
