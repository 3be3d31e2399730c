"""The page on localhost, for this machine alone."""

from __future__ import annotations

import http.client
import json
import threading

import pytest

from harness.errors import RequestError
from harness.watching.board import Reader
from harness.watching.server import make_server


def test_the_server_answers_localhost_alone(whole: Reader) -> None:
    with make_server(whole, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str, host: str = "localhost") -> tuple[int, str]:
            client = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            client.request("GET", path, headers={"Host": f"{host}:{server.server_address[1]}"})
            answer = client.getresponse()
            return answer.status, answer.read().decode()

        assert get("/")[1].startswith("<!doctype html>")
        assert json.loads(get("/board.json")[1])["counts"] == {"finished": 8, "failed": 1}
        assert get("/../secrets")[0] == 404
        assert get("/", "evil.example")[0] == 403
        with pytest.raises(RequestError, match="in use"):
            make_server(whole, server.server_address[1])
        server.shutdown()
