"""MNIST fetched from its public mirrors, when a user asks for it: whole, checked files or none."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from harness.data import digits
from harness.data.digits import Published, fetched_folder
from harness.errors import HarnessError, RequestError

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_CHUNK = 1 << 20


def fetch_digits(folder: Path | None = None, mirrors: Sequence[str] = MIRRORS) -> Path:
    """Downloads MNIST's four files, unpacked, into `folder` (default: the user's cache) and returns the folder.

    A file that is there and whole is not fetched again. Mirrors are tried in turn, file by file. What is checked is the
    SHA-256 of the unpacked content, which is the same everywhere; a mirror may pack the files differently (gzip stores a
    time and a level), or a proxy may unpack them on the way. No answer is read further than the size that is expected, and
    only a whole, checked file ever takes its name in the folder.

    Raises RequestError for a mirror that is neither https nor on this machine, HarnessError, naming the file and what
    each mirror did, when none delivers it.
    """
    import filelock

    for mirror in mirrors:
        _check_mirror(mirror)
    target = fetched_folder() if folder is None else Path(folder).expanduser()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target / ".lock"):
            for name, published in digits.MNIST.items():
                _fetch(target, name, published, mirrors)
    except OSError as error:
        raise HarnessError(
            f"{target} cannot be written: {error.strerror or error}; free it, or give another folder"
        ) from None
    return target


def _check_mirror(mirror: str) -> None:
    try:
        parts = urlsplit(mirror)
        host = parts.hostname or ""
    except ValueError:
        raise RequestError(f"{mirror!r} is not an address; give https://host/folder/") from None
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise RequestError(f"the mirror {mirror!r} is not https; give one of {', '.join(MIRRORS)}, or another https address")


def _fetch(folder: Path, name: str, published: Published, mirrors: Sequence[str]) -> None:
    import pooch

    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                f"{mirror.rstrip('/')}/{name}.gz",
                known_hash=f"sha256:{published.sha256}",
                fname=name,
                path=folder,
                downloader=_unpacking_downloader(published.size),
            )
            return
        except (HarnessError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the folder: those of a mirror have none
                raise
            failures.append(f"{mirror}: {error}")
        except ValueError:
            failures.append(f"{mirror}: corrupted (its digest is not MNIST's)")
    raise HarnessError(
        f"{name}.gz could not be fetched; {'; '.join(failures) or 'no mirror was given'}; "
        "check the network, or give a folder that has it with --digits DIR"
    )


def _stay_secure(response: Any, *args: object, **options: object) -> None:
    """Refuses a mirror's redirection to an address that could not itself be a mirror."""
    if response.is_redirect:
        _check_mirror(urljoin(response.url, response.headers["location"]))


def _unpacking_downloader(size: int) -> Callable[..., None]:
    import pooch

    def download(url: str, output_file: str, pooch_instance: Any, check_only: bool = False) -> None:
        with open(output_file, "wb") as stream:
            unpacker = _Unpacker(stream, size)
            pooch.HTTPDownloader(timeout=30, chunk_size=1 << 16, hooks={"response": _stay_secure})(
                url, unpacker, pooch_instance, check_only=check_only
            )
            unpacker.finish()

    return download


class _Unpacker:
    """A file to write a download to: unpacks gzip as it comes and refuses more than the expected size."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size
        self._received = 0
        self._written = 0
        self._inflate: Any = None

    def write(self, piece: bytes) -> int:
        if piece and not self._received and piece[0] == 0x1F:  # IDX itself starts with a zero byte
            self._inflate = zlib.decompressobj(wbits=31)
        self._received += len(piece)
        if self._received > self._size + _CHUNK:
            raise HarnessError(f"the answer is longer than {self._size:,} bytes, the size of the unpacked file")
        try:
            content = piece if self._inflate is None else self._inflate.decompress(piece, self._size - self._written + 1)
        except zlib.error as error:
            raise HarnessError(f"corrupted ({error})") from None
        self._written += len(content)
        if self._written > self._size:
            raise HarnessError(f"the answer unpacks to more than the {self._size:,} bytes expected")
        self._stream.write(content)
        return len(piece)

    def flush(self) -> None:
        self._stream.flush()

    def finish(self) -> None:
        if self._written < self._size or (self._inflate is not None and not self._inflate.eof):
            raise HarnessError(f"truncated (it ends after {self._written:,} of {self._size:,} bytes)")
