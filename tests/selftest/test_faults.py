"""A short form of `metagap selftest faults`, and that it would see a fault."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter

import pytest

from metagap.cli import main
from metagap.selftest import faults, flips, kills, tiny
from metagap.selftest.flips import _Seen

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and fork")


def test_flipped_bits_change_no_number_in_silence(tmp_path):
    told: list[int] = []
    tally = flips.flip(5, seed=1, folder=tmp_path, advance=lambda: told.append(1))
    assert tally.faults == [] and len(told) == tally.flips.total() == 5
    assert tally.noticed.total() > 2 and tally.verified.total() > 2


def test_a_number_that_changes_in_silence_is_a_fault():
    good = _Seen({("curve", "a", 0): "1", ("failed", "a", 1): "2"}, frozenset({"note"}), "v")
    assert good.silently_other(good) == []
    other = _Seen({**good.numbers, ("curve", "a", 0): "3"}, good.notes | {"said"}, "v")
    assert other.silently_other(good) == ["('curve', 'a', 0) is another one"]
    less = {("curve", "a", 0): "1"}
    assert _Seen(less, good.notes, "v").silently_other(good) == ["('failed', 'a', 1) is lost"]
    assert _Seen(less, frozenset({"it is damaged"}), "v").silently_other(good) == []
    assert _Seen(other.numbers, frozenset({"2 others"}), "w").silently_other(good) == ["the variant is another"]


def test_disturbed_runs_end_with_the_records_of_an_undisturbed_one(tmp_path):
    tally = kills.disturb(2, seed=3, folder=tmp_path, advance=lambda: None)
    assert tally.faults == [] and tally.troubles.total() == 2 and tally.runs >= 2


def test_other_records_are_faults(tmp_path):
    folder = tmp_path / "store" / tiny.NAME
    folder.mkdir(parents=True)
    for name in ("a.npz", "b.npz", "a.npz.damaged", ".index"):
        (folder / name).write_bytes(name.encode())
    expected = tiny.records(tmp_path / "store")
    assert set(expected) == {"a.npz", "b.npz"}
    assert list(kills.differences(expected, tmp_path / "store")) == []
    (folder / "a.npz").write_bytes(b"c")
    shutil.move(folder / "b.npz", folder / "c.npz")
    found = ["'a.npz' is another one", "'b.npz' is lost", "'c.npz' is left over"]
    assert list(kills.differences(expected, tmp_path / "store")) == found


def test_troubles_are_of_all_kinds():
    troubles = list(kills.Trouble.all(24, random.Random(0)))
    assert set(Counter(trouble[:2] for trouble in troubles).values()) == {2}
    assert all(0 <= trouble.moment < 1 for trouble in troubles)


def test_costs_and_dates_are_no_part_of_a_record():
    value = {"seconds": 1.0, "loss": [1, {"date": "now", "x": 2}], "sha256": {}}
    assert tiny.without_costs(value) == {"loss": [1, {"x": 2}]}


def test_faults_end_with_their_lines(monkeypatch, capsys):
    tallies = {"killed": kills.Tally(Counter({("SIGKILL", "a worker"): 2}), 5, 1, ["store-1: 'x' is lost"])}
    tallies["flipped"] = flips.Tally(
        Counter(marker=2), Counter(marker=2), Counter(marker=1), Counter(marker=1), Counter(), []
    )
    monkeypatch.setattr(faults, "run", lambda counts, seed, workers, advance: tallies)
    monkeypatch.setattr(sys, "argv", ["metagap", "selftest", "faults", "--kills", "2", "--flips", "2"])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 1 and captured.err == "metagap: 1 fault\nstore-1: 'x' is lost\n"
    assert "SIGKILL" in captured.out and "marker" in captured.out


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "tally.md"
    given = ["--kills", "24", "--flips", "34", "--seed", "5", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["metagap", "selftest", "faults", *given])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code, capsys.readouterr().err
    assert "Runs that were disturbed" in out.read_text() or "24 were disturbed" in out.read_text()
