"""Labels of algorithms that sound like columns: the tables are those of other labels, word for word."""

from __future__ import annotations

import pytest
import synthetic
from synthetic import SKILL, all_tables, make_results

from metagap.errors import UserError
from metagap.report.frames import Frames
from metagap.suite import load_suite, with_algorithms
from metagap.suite.schema.suite import HEADINGS
from packages import install

LABELS = ("algorithm", "role", "statistic", "seed", "episode", "score")


def test_a_label_may_sound_like_a_column(monkeypatch):
    plain = tuple(f"x{place}" for place in range(len(LABELS)))
    monkeypatch.setattr(synthetic, "SKILL", {name: SKILL["maml"] for name in (*LABELS, *plain)})
    ours, theirs = (
        all_tables(Frames.of(make_results(algorithms=names, small=True, episodes=12, published=False)))
        for names in (LABELS, plain)
    )
    assert list(ours) == list(theirs)
    renamed = dict(zip(plain, LABELS, strict=True))
    for name, table in theirs.items():
        assert list(ours[name].frame) == [renamed.get(column, column) for column in table.frame]
        assert ours[name].frame.shape == table.frame.shape
        numbers = [column for column in table.frame if column not in table.plain][table.labels :]
        for column in numbers:
            assert list(ours[name].frame[renamed.get(column, column)]) == list(table.frame[column]), (name, column)


@pytest.mark.parametrize("label", HEADINGS)
def test_one_that_is_a_column_is_refused_from_a_package_too(site, label):
    install(site, "theirs", {"algorithms": {label: "metagap.algorithms.maml:MAML"}}, "")
    with pytest.raises(UserError, match=f"--algorithm {label}: an algorithm is labelled '{label}'.*another label"):
        with_algorithms(load_suite("quickstart"), [label])
