"""Fetching, from a server on this machine: resumed, checked, atomic."""

from __future__ import annotations

import base64
import errno
import hashlib
import re
import threading
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.sources import download
from metagap.tasks.sources.download import Remote, fetch
from metagap.tasks.sources.published import Published

CONTENT = bytes(range(256)) * 4000


class Server:
    """What the server holds, how it behaves, and what it was asked for."""

    def __init__(self):
        self.content, self.tag = CONTENT, '"one"'
        self.breaks_after: int | None = None
        self.ranges, self.chunked, self.status = True, False, 200
        self.headers: dict[str, str] = {}
        self.asked: list[str | None] = []
        self.address = ""


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.status == 302:
                self.send_response(302)
                self.send_header("Location", state.headers["Location"])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if state.status != 200:
                self.send_error(state.status)
                return
            start, total = 0, len(state.content)
            if asked and state.ranges and self.headers.get("If-Range") == state.tag:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            if state.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(total - start))
            self.send_header("ETag", state.tag)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            stop = total if state.breaks_after is None else min(total, start + state.breaks_after)
            sent = state.content[start:stop]
            if state.chunked:
                sent = b"%x\r\n%b\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if stop == total else b"")
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        state.address = f"http://127.0.0.1:{running.server_port}/set.zip"
        yield state
        running.shutdown()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def remote(server: Server, **facts: Any) -> Remote:
    return Remote("sub/set.zip", server.address, **facts)


def here(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_checked_and_named(server, tmp_path):
    fetch(remote(server, md5=md5(CONTENT)), tmp_path, "Set")
    assert (tmp_path / "sub" / "set.zip").read_bytes() == CONTENT
    assert here(tmp_path) == ["sub/set.zip"]


def test_a_broken_download_goes_on_where_it_was(server, tmp_path):
    server.breaks_after = 300_000
    for kept in (300_000, 600_000):
        with pytest.raises(UserError, match=rf"Set: the connection to .* broke; {kept // 1000}\.0 kB are kept: run it"):
            fetch(remote(server), tmp_path, "Set")
        assert here(tmp_path) == ["sub/set.zip.part", "sub/set.zip.part.json"]
        assert (tmp_path / "sub" / "set.zip.part").read_bytes() == CONTENT[:kept]
    server.breaks_after = None
    fetch(remote(server, md5=md5(CONTENT)), tmp_path, "Set")
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert here(tmp_path) == ["sub/set.zip"]
    assert (tmp_path / "sub" / "set.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_of_unknown_length_ends_where_the_server_says(server, tmp_path, whole):
    server.chunked, server.breaks_after = True, None if whole else 300_000
    if not whole:
        with pytest.raises(UserError, match=r"the connection to .* broke; 262\.1 kB are kept"):
            fetch(remote(server), tmp_path, "Set")
        return
    fetch(remote(server), tmp_path, "Set")
    assert (tmp_path / "sub" / "set.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("reason", ["no ranges", "another version", "nothing known", "too long"])
def test_what_cannot_be_resumed_starts_over(server, tmp_path, reason):
    server.breaks_after = 300_000
    with pytest.raises(UserError):
        fetch(remote(server), tmp_path, "Set")
    server.breaks_after = None
    part = tmp_path / "sub" / "set.zip.part"
    if reason == "no ranges":
        server.ranges = False
    elif reason == "another version":
        server.content, server.tag = CONTENT[::-1], '"two"'
    elif reason == "nothing known":
        part.with_name("set.zip.part.json").unlink()
    else:
        part.write_bytes(bytes(len(CONTENT) + 7))
    fetch(remote(server, md5=md5(server.content)), tmp_path, "Set")
    assert (tmp_path / "sub" / "set.zip").read_bytes() == server.content


def test_a_download_that_was_whole_only_gets_its_name(server, tmp_path):
    server.breaks_after = 300_000
    with pytest.raises(UserError):
        fetch(remote(server), tmp_path, "Set")
    (tmp_path / "sub" / "set.zip.part").write_bytes(CONTENT)
    fetch(remote(server, md5=md5(CONTENT)), tmp_path, "Set")
    assert server.asked[-1] == f"bytes={len(CONTENT)}-"
    assert (tmp_path / "sub" / "set.zip").read_bytes() == CONTENT


def stated(content: bytes) -> list[dict[str, str]]:
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    encoded = base64.b64encode(digest).decode()
    return [{"x-goog-hash": f"crc32c=AAAAAA==, md5={encoded}"}, {"Content-MD5": encoded}, {"Content-MD5": digest.hex()}]


@pytest.mark.parametrize("form", range(3))
def test_the_checksum_that_the_server_states_is_compared(server, tmp_path, form):
    server.headers = stated(CONTENT)[form]
    fetch(remote(server), tmp_path, "Set")
    server.headers = stated(b"something else")[form]
    (tmp_path / "sub" / "set.zip").unlink()
    with pytest.raises(UserError, match="arrived with checksum"):
        fetch(remote(server), tmp_path, "Set")


def test_a_wrong_checksum_throws_the_file_away(server, tmp_path):
    with pytest.raises(
        UserError, match=rf"Set: 'set\.zip' arrived with checksum {md5(CONTENT)}, but the publisher's is 0"
    ):
        fetch(remote(server, md5="0" * 32), tmp_path, "Set")
    assert list(tmp_path.iterdir()) == []
    fetch(remote(server, md5=md5(CONTENT)), tmp_path, "Set")
    assert server.asked == [None, None]


def test_a_full_disk_is_said_and_what_arrived_is_kept(server, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.written = file, 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, block):
            if self.written + len(block) > 600_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.written += len(block)
            return self.file.write(block)

    real = Path.open
    full = True

    def opened(path, mode="r", *more, **options):
        file = real(path, mode, *more, **options)
        return Full(file) if full and path.suffix == ".part" and mode in ("ab", "wb") else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(UserError, match=r"set\.zip' cannot be written: No space left on device; 524\.3 kB are kept"):
        fetch(remote(server), tmp_path, "Set")
    assert here(tmp_path) == ["sub/set.zip.part", "sub/set.zip.part.json"]
    full = False
    fetch(remote(server, md5=md5(CONTENT)), tmp_path, "Set")
    assert server.asked == [None, f"bytes={2 * download.BLOCK}-"]


def test_too_little_room_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 5000}))
    with pytest.raises(UserError, match=r"'.*sub' has 5\.0 kB free, but 1\.0 MB are to be fetched"):
        fetch(remote(server), tmp_path, "Set")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(server, tmp_path):
    server.status = 404
    elsewhere = server.address.replace("set.zip", "elsewhere.zip")
    with pytest.raises(UserError, match=r"Set: the download failed: .*set\.zip: 404 Not Found; .*elsewhere\.zip: 404"):
        fetch(remote(server, mirrors=(elsewhere,)), tmp_path, "Set")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_of_the_users_stays(server, tmp_path):
    server.status = 404
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(UserError):
        fetch(Remote("top.bin", server.address), folder, "set")
    assert folder.is_dir()
    with pytest.raises(UserError):
        fetch(Remote("new/top.bin", server.address), folder, "set")
    assert list(folder.iterdir()) == []


def test_a_mirror_is_asked_where_the_first_address_fails(server, tmp_path):
    nobody = Remote("set.zip", "http://127.0.0.1:9/set.zip", md5(CONTENT), (server.address,))
    fetch(nobody, tmp_path, "Set")
    assert here(tmp_path) == ["set.zip"]


def test_two_processes_do_not_fetch_the_same(server, tmp_path, monkeypatch):
    taken: list[FileLock] = []

    def busy(path, timeout):
        taken.append(FileLock(path))
        taken[-1].acquire()
        return FileLock(path, timeout=timeout)

    monkeypatch.setattr(download, "FileLock", busy)
    with pytest.raises(UserError, match="another process is fetching"):
        fetch(remote(server), tmp_path, "Set")
    taken[0].release()
    assert server.asked == []


@pytest.mark.parametrize("url", ["http://example.org/set.zip", "ftp://example.org/set.zip", "file:///etc/passwd"])
def test_what_anybody_may_have_changed_is_not_asked_for(tmp_path, monkeypatch, url):
    monkeypatch.setattr(download._opener, "open", None)
    with pytest.raises(UserError, match=r"Set: the download failed: .*without a known checksum .*allowed: https"):
        fetch(Remote("sub/set.zip", url, mirrors=("http://example.com/set.zip",)), tmp_path, "Set")
    assert list(tmp_path.iterdir()) == []


def test_no_source_of_ours_comes_by_http_without_a_checksum():
    for name in registry.names("source"):
        source = registry.load("source", name)
        known = issubclass(source, Published) and not any(f.is_required() for f in source.model_fields.values())
        for remote in source().addresses() if known else ():
            assert remote.md5 or all(url.startswith("https://") for url in (remote.url, *remote.mirrors)), remote


@pytest.mark.parametrize("to", ["http://example.org/a.zip", "ftp://example.org/a.zip", "file:///etc/passwd"])
def test_a_redirection_away_from_https_is_not_followed(to):
    asked = urllib.request.Request("https://example.org/set.zip")
    with pytest.raises(urllib.error.HTTPError, match="away from https"):
        download._Redirects().redirect_request(asked, None, 302, "Found", Message(), to)
    there = download._Redirects().redirect_request(asked, None, 302, "Found", Message(), "https://example.com/a.zip")
    assert there.full_url == "https://example.com/a.zip"


def test_a_redirection_on_this_machine_does_not_lead_away(server, tmp_path):
    server.status, server.headers = 302, {"Location": "http://example.org/set.zip"}
    with pytest.raises(UserError, match=r"302 a redirection away from https is not followed"):
        fetch(remote(server), tmp_path, "Set")
