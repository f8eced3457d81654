"""Downloads from a server on this machine that behaves as badly as real ones."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lexgraph_testing import run, write
from waiting import HANG, wait_for

from lexgraph import download, registry
from lexgraph.common.errors import UserError

CONTENT = bytes(range(256)) * 4000  # 1 MB: several blocks


@dataclass
class Server:
    """What the server has and how it behaves; what it was asked.

    Attributes:
        breaks: how many bytes of the body come before the connection breaks, one number an answer; None: all.
        ranges: whether it heeds Range, and If-Range with it.
        status: instead of the file.
        location: where it redirects to.
        halt: what the second half of the body waits for.
    """

    content: bytes = CONTENT
    etag: str | None = '"one"'
    breaks: list[int | None] = field(default_factory=list)
    ranges: bool = True
    heeds_if_range: bool = True
    lengths: bool = True
    status: list[int] = field(default_factory=list)
    location: str | None = None
    halt: threading.Event | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def url(self, name: str = "words.txt") -> str:
        return f"http://127.0.0.1:{self.port}/folder/{name}?x=1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    behaviour = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serve(self, behaviour)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        behaviour.port = httpd.server_address[1]
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield behaviour
        httpd.shutdown()
        thread.join()


def serve(handler: http.server.BaseHTTPRequestHandler, server: Server) -> None:
    server.asked.append({name.lower(): value for name, value in handler.headers.items()})
    if server.status:
        handler.send_error(server.status.pop(0))
        return
    if server.location:
        handler.send_response(302)
        handler.send_header("Location", server.location)
        handler.end_headers()
        return
    start = 0
    wanted = handler.headers.get("Range") if server.ranges else None
    if wanted and (not server.heeds_if_range or handler.headers.get("If-Range") == server.etag):
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(server.content):
            handler.send_error(416)
            return
    body = server.content[start:]
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
    if server.lengths:
        handler.send_header("Content-Length", str(len(body)))
    if server.etag:
        handler.send_header("ETag", server.etag)
    handler.end_headers()
    end = server.breaks.pop(0) if server.breaks else None
    sent = body[:end]
    handler.wfile.write(sent[: len(sent) // 2])
    handler.wfile.flush()
    if server.halt:
        server.halt.wait(HANG)
        return
    handler.wfile.write(sent[len(sent) // 2 :])
    handler.close_connection = True


def source(*files: dict[str, object], name: str = "mine") -> registry.RegisteredSource:
    return registry.RegisteredSource(
        name=name,
        reader="pairs",
        what="",
        home="https://example.org/",
        licence="CC0",
        size="1 MB",
        files=tuple(registry.RemoteFile.model_validate(file) for file in files),
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_lands_under_its_own_name_with_its_hash_beside(server: Server, tmp_path: Path):
    (done,) = download.download(source({"url": server.url()}), tmp_path)
    assert done.path == tmp_path / "mine/words.txt"
    assert done.path.read_bytes() == CONTENT
    assert (done.bytes, done.sha256) == (len(CONTENT), sha256(CONTENT))
    assert done.check == "none registered, written to words.txt.sha256"
    assert names(tmp_path) == ["words.txt", "words.txt.sha256"]
    assert subprocess.run(["sha256sum", "-c", "words.txt.sha256"], cwd=done.path.parent, check=False).returncode == 0


def test_a_broken_connection_is_gone_on_with(server: Server, tmp_path: Path):
    server.breaks = [300_000, 200_000, None]
    (done,) = download.download(source({"url": server.url(), "sha256": sha256(CONTENT)}), tmp_path)
    assert done.path.read_bytes() == CONTENT
    assert [asked.get("range") for asked in server.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert server.asked[1]["if-range"] == '"one"'
    assert done.check == "registry"
    assert names(tmp_path) == ["words.txt"]


def test_a_connection_that_breaks_for_good_leaves_the_partial_file(server: Server, tmp_path: Path):
    server.breaks = [300_000] + [0] * 10
    mine = source({"url": server.url()})
    with pytest.raises(UserError, match=r"300,000 bytes are in .*words.txt.partial\n  remedy: run the same command"):
        download.download(mine, tmp_path)
    assert len(server.asked) == download.TRIES
    server.breaks = []
    (done,) = download.download(mine, tmp_path)
    assert server.asked[-1]["range"] == "bytes=300000-"
    assert done.path.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_from_the_start(server: Server, tmp_path: Path):
    server.ranges = False
    server.breaks = [300_000, None]
    (done,) = download.download(source({"url": server.url()}), tmp_path)
    assert done.path.read_bytes() == CONTENT


def test_a_server_that_always_breaks_at_the_same_place_is_not_asked_for_ever(server: Server, tmp_path: Path):
    server.ranges = False
    server.breaks = [300_000] * 100
    with pytest.raises(UserError, match="broke off after 300,000 of 1,024,000 bytes"):
        download.download(source({"url": server.url()}), tmp_path)
    assert len(server.asked) == download.TRIES


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_meanwhile_starts_over(server: Server, tmp_path: Path, heeds_if_range: bool):
    server.breaks = [300_000] + [0] * 10
    mine = source({"url": server.url()})
    with pytest.raises(UserError):
        download.download(mine, tmp_path)
    server.content, server.etag, server.breaks = CONTENT[::-1], '"two"', []
    server.heeds_if_range = heeds_if_range
    (done,) = download.download(mine, tmp_path)
    assert done.path.read_bytes() == CONTENT[::-1]


def test_a_file_that_shrank_meanwhile_starts_over(server: Server, tmp_path: Path):
    server.breaks = [300_000] + [0] * 10
    mine = source({"url": server.url()})
    with pytest.raises(UserError):
        download.download(mine, tmp_path)
    server.content, server.breaks, server.heeds_if_range = b"small now", [], False
    (done,) = download.download(mine, tmp_path)
    assert done.path.read_bytes() == b"small now"


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_mark_of_the_version_nothing_is_pieced_together(server: Server, tmp_path: Path, etag: str | None):
    server.etag = etag
    server.breaks = [300_000, None]
    (done,) = download.download(source({"url": server.url()}), tmp_path)
    assert done.path.read_bytes() == CONTENT
    assert [asked.get("range") for asked in server.asked] == [None, None]


def test_what_came_from_another_address_is_not_gone_on_with(server: Server, tmp_path: Path):
    server.breaks = [300_000] + [0] * 10
    with pytest.raises(UserError):
        download.download(source({"url": server.url()}), tmp_path)
    server.breaks = []
    download.download(source({"url": server.url() + "&mirror"}), tmp_path)
    assert "range" not in server.asked[-1]


def test_a_wrong_file_is_removed(server: Server, tmp_path: Path):
    mine = source({"url": server.url(), "sha256": "0" * 64})
    with pytest.raises(UserError, match=f"not the expected file: sha256 {sha256(CONTENT)}, registered is 000"):
        download.download(mine, tmp_path)
    assert names(tmp_path) == []


def test_a_file_of_another_length_is_refused(server: Server, tmp_path: Path):
    with pytest.raises(UserError, match="not the expected file: bytes 1024000, registered is 1024001"):
        download.download(source({"url": server.url(), "bytes": len(CONTENT) + 1}), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_larger_than_registered_is_refused(server: Server, tmp_path: Path, lengths: bool):
    server.lengths = lengths
    with pytest.raises(UserError, match="larger than registered: more than 700,000 bytes"):
        download.download(source({"url": server.url(), "max_bytes": 700_000}), tmp_path)
    assert names(tmp_path) == []


def test_a_different_file_is_never_overwritten(server: Server, tmp_path: Path):
    mine = write(tmp_path / "mine/words.txt", "my own work")
    for hashes in ({}, {"sha256": sha256(CONTENT)}):
        with pytest.raises(UserError, match=r"file (of unknown origin )?stands there"):
            download.download(source({"url": server.url()} | hashes), tmp_path)
    assert mine.read_text() == "my own work"
    assert server.asked == []


def test_a_partial_file_of_another_program_is_not_removed(server: Server, tmp_path: Path):
    """Browsers and other programs use the same ending."""
    other = write(tmp_path / "mine/words.txt.partial", "half of it")
    with pytest.raises(UserError, match=r"words\.txt\.partial: a file that is no download of this command"):
        download.download(source({"url": server.url()}), tmp_path)
    assert other.read_text() == "half of it"


def test_a_file_that_is_there_already_is_not_fetched_again(server: Server, tmp_path: Path):
    for file in ({"url": server.url("a.txt")}, {"url": server.url("b.txt"), "sha256": sha256(CONTENT)}):
        download.download(source(file), tmp_path)
        (again,) = download.download(source(file), tmp_path)
        assert again.check.endswith("already there")
    assert len(server.asked) == 2


def test_without_a_registered_hash_the_next_download_is_compared(server: Server, tmp_path: Path):
    mine = source({"url": server.url()})
    download.download(mine, tmp_path)[0].path.unlink()
    assert download.download(mine, tmp_path)[0].check == "earlier download"
    (tmp_path / "mine/words.txt").unlink()
    server.content = b"a new edition"
    assert (
        download.download(mine, tmp_path)[0].check == f"changed since the earlier download ({sha256(CONTENT)[:12]}...)"
    )


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path):
    server.status = [503, 429]
    (done,) = download.download(source({"url": server.url()}), tmp_path)
    assert done.path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there_is_said_with_the_way_round(server: Server, tmp_path: Path, status: int):
    server.status = [status] * 10
    with pytest.raises(UserError) as error:
        download.download(source({"url": server.url(), "input": "synonyms"}), tmp_path)
    assert f"the server says {status}" in str(error.value)
    assert "download it by hand from https://example.org/ and run: lexgraph ingest pairs --synonyms FILE" in str(
        error.value
    )
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_no_network(server: Server, tmp_path: Path):
    with pytest.raises(UserError, match="refused") as error:
        download.download(source({"url": "http://127.0.0.1:1/words.txt"}), tmp_path)
    assert "https://example.org/" in str(error.value)


@pytest.mark.parametrize("location", ["http://example.org/words.txt", "ftp://example.org/a"])
def test_redirects_to_unsafe_addresses_are_refused(server: Server, tmp_path: Path, location: str):
    server.location = location
    with pytest.raises(UserError, match="an address that is not safe"):
        download.download(source({"url": server.url()}), tmp_path)


def test_a_full_disk_is_said_at_once_and_gone_on_from(server: Server, tmp_path: Path):
    mine = source({"url": server.url()})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"words\.txt\.partial: cannot write there: File too large"):
            download.download(mine, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(server.asked) == 1
    (done,) = download.download(mine, tmp_path)
    assert server.asked[-1]["range"] == "bytes=300000-"
    assert done.path.read_bytes() == CONTENT


def test_redirects_to_files_are_refused(server: Server, tmp_path: Path):
    server.location = "file:///etc/passwd"
    with pytest.raises(UserError, match="is not allowed"):
        download.download(source({"url": server.url()}), tmp_path)
    assert names(tmp_path) == []


def test_redirects_end(server: Server, tmp_path: Path):
    server.location = server.url()
    with pytest.raises(UserError, match="redirect"):
        download.download(source({"url": server.url()}), tmp_path)
    assert len(server.asked) < 12


def test_two_processes_do_not_write_the_same_file(server: Server, tmp_path: Path):
    server.halt = threading.Event()
    mine = source({"url": server.url()})
    first = threading.Thread(target=download.download, args=(mine, tmp_path))
    first.start()
    wait_for(lambda: server.asked)
    with pytest.raises(UserError, match="another process is downloading"):
        download.download(mine, tmp_path)
    server.halt.set()
    server.halt = None
    first.join()
    assert (tmp_path / "mine/words.txt").read_bytes() == CONTENT


def own_registry(folder: Path, server: Server, **keys: object) -> Path:
    url = json.dumps(server.url())
    more = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    return write(
        folder / "registry.toml",
        '[[source]]\nname = "mine"\nreader = "roget"\nwhat = "w"\nhome = "https://example.org/"\nlicence = "CC0"\n'
        f'size = "1 MB"\n[[source.files]]\nurl = {url}\n{more}\n',
    )


def test_the_command(server: Server, tmp_path: Path):
    mine = own_registry(tmp_path, server, sha256=sha256(CONTENT))
    done = run("download", "mine", "--registry", mine, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert f"words.txt  1,024,000  {sha256(CONTENT)}  registry" in done.out
    assert f"lexgraph ingest roget {tmp_path}/out/mine/words.txt" in done.err.replace("\n", "")
    assert (tmp_path / "out/mine/words.txt").read_bytes() == CONTENT


def test_an_interruption_leaves_the_partial_file_and_says_how_to_go_on(server: Server, tmp_path: Path):
    server.halt = threading.Event()
    arguments = ["download", "mine", "--registry", own_registry(tmp_path, server), "--out", tmp_path]
    process = subprocess.Popen(
        [sys.executable, "-m", "lexgraph", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"no_proxy": "127.0.0.1"},
    )
    partial = tmp_path / "mine/words.txt.partial"
    wait_for(lambda: partial.exists() and partial.stat().st_size, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=HANG)
    server.halt.set()
    server.halt = None
    assert process.returncode == 130
    assert f"bytes are in {partial}; they are gone on with next time" in said
    assert "run the same command again to go on" in said
    held = partial.stat().st_size
    done = run(*arguments)
    assert done.status == 0, done.err
    assert server.asked[-1]["range"] == f"bytes={held}-"
    assert (tmp_path / "mine/words.txt").read_bytes() == CONTENT


def test_the_list(tmp_path: Path):
    listed = run("download", "--list").out
    assert run("download").out == listed
    lines = [line.split()[0] for line in listed.splitlines()]
    assert lines == ["name", "wiktionary", "wiktionary-dump", "roget", "hg2vec", "morpholex", "wordnet"]
    unknown = run("download", "oed")
    assert unknown.status == 1
    assert "no source 'oed' is registered; there are: wiktionary," in unknown.err


def test_every_registered_source_can_be_downloaded_within_bounds():
    for entry in registry.load().values():
        assert entry.files, entry.name
        for file in entry.files:
            assert file.url.startswith("https://")
            assert file.limit is not None


HEAD = '[[source]]\nname = "a"\nreader = "r"\nwhat = "w"\nhome = "h"\nlicence = "l"\nsize = "s"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[source\n", r"registry.toml:1: not valid TOML"),
        ("", "source: Field required"),
        (HEAD + "colour = 1\n", "source.0.colour: Extra inputs"),
        (HEAD.replace('"a"', '"../a"'), "source.0.name: String should match"),
        (HEAD + HEAD, "two sources have the same name"),
        (HEAD + 'files = [{url = "ftp://example.org/a"}]\n', "source.0.files.0: not an https address"),
        (HEAD + 'files = [{url = "http://example.org/a"}]\n', "not an https address"),
        (HEAD + 'files = [{url = "https://[1"}]\n', "files.0"),
        (HEAD + 'files = [{url = "https://example.org/a/..%2f..%2fb"}]\n', None),
        (HEAD + 'files = [{url = "https://example.org/a/%2e%2e"}]\n', "source.0.files.0.name"),
        (HEAD + 'files = [{url = "https://example.org/"}]\n', "source.0.files.0.name"),
        (HEAD + 'files = [{url = "https://example.org/a", name = "../../b"}]\n', "source.0.files.0.name"),
        (HEAD + 'files = [{url = "https://example.org/a", sha256 = "12"}]\n', "source.0.files.0.sha256"),
    ],
)
def test_a_wrong_registry_is_refused_and_no_path_leaves_the_folder(tmp_path: Path, text: str, message: str | None):
    path = write(tmp_path / "registry.toml", text)
    if message is None:
        assert [file.name for file in registry.load(path)["a"].files] == ["b"]
    else:
        with pytest.raises(UserError, match=message):
            registry.load(path)


def test_a_missing_registry(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        registry.load(tmp_path / "none.toml")


def test_a_source_without_files_says_where_to_go(tmp_path: Path):
    with pytest.raises(UserError, match=r"by hand from https://example\.org/ and run: lexgraph ingest pairs FILE"):
        download.download(source(), tmp_path)
