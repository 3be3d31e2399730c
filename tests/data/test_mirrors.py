"""MNIST fetched from a server on this machine: whole, checked files or none."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from idx_files import TEST, TRAIN, idx, images

from harness.data import digits as module
from harness.data.digits import Published, load_digits, verify_digits
from harness.data.mirrors import fetch_digits
from harness.errors import HarnessError, RequestError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DIGITS", raising=False)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answers: dict[str, bytes]
    lengths: dict[str, int]
    asked: list[str]
    redirect: str = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.rsplit("/", 1)[-1]
        body = self.server.answers.get(name)
        if self.server.redirect and self.path.startswith("/mnist/"):
            self.send_response(302)
            self.send_header("Location", self.server.redirect + name)
            self.end_headers()
            return
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.lengths.get(name, len(body))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


CONTENT = {
    TRAIN: idx(images(12, 0)),
    "train-labels-idx1-ubyte": idx(np.arange(12, dtype=np.uint8)),
    TEST: idx(images(4, 1)),
    "t10k-labels-idx1-ubyte": idx(np.arange(4, dtype=np.uint8)),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A mirror of a small stand-in for MNIST, whose sizes and digests are taken for the published ones."""
    published = {name: Published(len(body), hashlib.sha256(body).hexdigest()) for name, body in CONTENT.items()}
    monkeypatch.setattr(module, "MNIST", published)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with _Server(("127.0.0.1", 0), _Handler) as httpd:
        httpd.answers = {f"{name}.gz": gzip.compress(body) for name, body in CONTENT.items()}
        httpd.lengths, httpd.asked = {}, []
        thread = threading.Thread(target=functools.partial(httpd.serve_forever, poll_interval=0.02), daemon=True)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


def mirror(server: _Server, path: str = "mnist/") -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_fetched_digits_are_whole_verified_and_not_fetched_twice(tmp_path: Path, server: _Server) -> None:
    folder = fetch_digits(tmp_path / "cache", [mirror(server)])
    assert all(check.ok for check in verify_digits(folder))
    np.testing.assert_array_equal(load_digits(folder).test, images(4, 1))
    assert len(server.asked) == 4
    fetch_digits(folder, [mirror(server)])
    assert len(server.asked) == 4


def test_the_packing_of_a_mirror_does_not_matter(tmp_path: Path, server: _Server) -> None:
    server.answers = {name: gzip.compress(gzip.decompress(body), 1) for name, body in server.answers.items()}
    server.answers[f"{TEST}.gz"] = CONTENT[TEST]
    assert all(check.ok for check in verify_digits(fetch_digits(tmp_path, [mirror(server)])))


def test_by_default_they_go_to_the_users_cache(tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert not any(check.ok for check in verify_digits())
    assert fetch_digits(mirrors=[mirror(server)]) == tmp_path / "ablation-harness" / "mnist"
    assert all(check.ok for check in verify_digits())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda body: body[:-30], "truncated|damaged|corrupted"),
        (lambda body: body[:100] + b"\xff\x00" * 20 + body[140:], "corrupted|truncated|more than"),
        (lambda _: gzip.compress(idx(images(12, 9))), "corrupted"),
        (lambda _: gzip.compress(CONTENT[TRAIN] + bytes(30_000_000)), "unpacks to more than"),
        (lambda _: bytes(3_000_000), "more than|longer than"),
        (lambda _: b"<html>not found</html>", "truncated"),
        (lambda _: b"", "truncated"),
    ],
)
def test_a_damaged_answer_is_refused_and_leaves_nothing(tmp_path: Path, server: _Server, damage, message: str) -> None:
    server.answers[f"{TRAIN}.gz"] = damage(server.answers[f"{TRAIN}.gz"])
    with pytest.raises(HarnessError, match=f"{TRAIN}.gz could not be fetched.*({message})") as caught:
        fetch_digits(tmp_path, [mirror(server)])
    assert not isinstance(caught.value, RequestError)
    assert [path for path in tmp_path.iterdir() if path.name != ".lock"] == []


def test_a_connection_that_breaks_is_a_truncated_answer(tmp_path: Path, server: _Server) -> None:
    name = f"{TRAIN}.gz"
    server.lengths[name] = len(server.answers[name])
    server.answers[name] = server.answers[name][:500]
    with pytest.raises(HarnessError, match=f"{TRAIN}.gz could not be fetched"):
        fetch_digits(tmp_path, [mirror(server)])
    assert [path for path in tmp_path.iterdir() if path.name != ".lock"] == []


def test_the_next_mirror_is_tried_and_every_failure_is_told(tmp_path: Path, server: _Server) -> None:
    closed = "http://127.0.0.1:9/"
    fetch_digits(tmp_path / "a", [closed, mirror(server)])
    del server.answers[f"{TEST}.gz"]
    with pytest.raises(HarnessError, match=r"t10k-images.*127\.0\.0\.1:9.*; .*404"):
        fetch_digits(tmp_path / "b", [closed, mirror(server)])


@pytest.mark.parametrize(
    "address",
    ["http://example.org/", "ftp://127.0.0.1/", "file:///etc", "nonsense", "", "http://127.0.0.1.example.org/", "http://[/"],
)
def test_only_https_or_this_machine_may_be_a_mirror(tmp_path: Path, address: str) -> None:
    with pytest.raises(RequestError, match=r"is not https|is not an address"):
        fetch_digits(tmp_path / "x", [address])
    assert not (tmp_path / "x").exists()


def test_a_redirection_leads_to_https_or_this_machine_only(tmp_path: Path, server: _Server) -> None:
    server.redirect = "http://example.org/"
    with pytest.raises(HarnessError, match=r"could not be fetched.*is not https"):
        fetch_digits(tmp_path / "a", [mirror(server)])
    server.redirect = "/elsewhere/"
    assert all(check.ok for check in verify_digits(fetch_digits(tmp_path / "b", [mirror(server)])))


def test_verify_tells_changed_missing_and_foreign_files(tmp_path: Path, server: _Server) -> None:
    folder = fetch_digits(tmp_path, [mirror(server)])
    (folder / TRAIN).write_bytes(idx(images(12, 5)))
    (folder / TEST).write_bytes(CONTENT[TEST][:-5])
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"x")
    found = {check.file: check for check in verify_digits(folder)}
    assert not found[TRAIN].ok
    assert "sound IDX file of 12 items, but not MNIST's" in found[TRAIN].message
    assert not found[TEST].ok
    assert "truncated" in found[TEST].message
    assert found["train-labels-idx1-ubyte"].ok
    assert not found["t10k-labels-idx1-ubyte"].ok
    (folder / TEST).unlink()
    assert "has no" in {check.file: check for check in verify_digits(folder)}[TEST].message
    assert not any(check.ok for check in verify_digits(folder / "nowhere"))
