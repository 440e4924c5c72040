"""What lies in the folder of a report and is not the report's is never replaced or removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from metagap.errors import UserError
from metagap.report.folder import MANIFEST, publish
from metagap.results import write_signed

FIRST = {"figures/a.svg": b"a", "tables/data/b.csv": b"b", "index.html": b"ours 1"}
SECOND = {"figures/c.svg": b"c", "tables/data/b.csv": b"b", "index.html": b"ours 2"}


def there(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_own_files_are_replaced_and_those_of_before_removed(tmp_path):
    publish(FIRST, tmp_path / "new" / "out", b"ours")
    publish(SECOND, tmp_path / "new" / "out", b"ours")
    assert there(tmp_path / "new" / "out") == SECOND


def test_files_of_others_stay_whatever_they_are_called(tmp_path):
    mine = {"index.html": b"my page", "figures/a.svg": b"mine", "figures/me.jpg": b"me", "tables/thesis.tex": b"years"}
    for name, data in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    publish(FIRST, tmp_path, b"ours")
    kept = {"index.html.kept": b"my page", "figures/a.svg.kept": b"mine", "figures/me.jpg": b"me"}
    assert there(tmp_path) == {**FIRST, **kept, "tables/thesis.tex": b"years"}


def test_own_files_that_were_edited_are_somebodys_work(tmp_path):
    publish(FIRST, tmp_path, b"ours")
    for name in ("figures/a.svg", "index.html"):
        (tmp_path / name).write_bytes(b"edited")
    publish(SECOND, tmp_path, b"ours")
    assert there(tmp_path) == {**SECOND, "figures/a.svg": b"edited", "index.html.kept": b"edited"}
    (tmp_path / "index.html").write_bytes(b"edited again")
    publish(FIRST, tmp_path, b"ours")
    assert there(tmp_path)["index.html.kept-2"] == b"edited again"


def test_reports_without_a_manifest_are_known_by_their_page(tmp_path):
    publish(FIRST, tmp_path, b"ours")
    (tmp_path / MANIFEST).unlink()
    publish(SECOND, tmp_path, b"ours")
    assert there(tmp_path) == {**SECOND, "figures/a.svg": b"a"}


def test_a_report_that_broke_off_is_replaced_by_the_next(tmp_path, monkeypatch):
    publish(FIRST, tmp_path, b"ours")
    from metagap.report import folder

    write = folder.write_bytes
    monkeypatch.setattr(folder, "write_bytes", lambda path, data: write(path, data) if path.suffix == ".svg" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish({**SECOND, "tables/data/b.csv": b"bb"}, tmp_path, b"ours")
    monkeypatch.undo()
    publish(SECOND, tmp_path, b"ours")
    assert there(tmp_path) == SECOND


@pytest.mark.parametrize("name", ["../mine.txt", "figures/../../mine.txt"])
def test_a_forged_manifest_reaches_nothing_outside(tmp_path, name):
    mine, out = tmp_path / "mine.txt", tmp_path / "out"
    digest = publish(FIRST, out, b"ours") or write_signed(mine, {})
    write_signed(out / MANIFEST, {"files": {name: [digest], str(mine): [digest]}})
    publish(SECOND, out, b"ours")
    assert mine.is_file()


@pytest.mark.parametrize(
    ("name", "message"), [("tables", "is a file"), ("figures/a.svg/x", "is a folder"), ("", "is a f")]
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path, name, message):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"'.*' {message}.*another --out"):
        publish(FIRST, out, b"ours")
    assert sorted(tmp_path.rglob("*")) == before
