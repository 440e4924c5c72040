"""A source is held to its contract before anything is trained on it; a draw may be a tensor, a sample a series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metagap import results
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.report.frames import Frames
from metagap.report.page import write_report
from metagap.runner.cell import run_cell
from metagap.runner.preflight import check
from metagap.suite import expand, load_suite
from metagap.tasks.contract import examine
from metagap.tasks.episode import Episode, TaskSpec

SPEC = TaskSpec("classification", 3, 2, 4)


@dataclass
class Rows:
    """Classes of four numbers each; a draw is a tensor with the classes of each task."""

    x_shape: Any = (4,)
    class_count: Any = 6
    change: Any = lambda episode: episode
    shown: Any = lambda sample: sample
    made: Any = lambda draw: draw

    def draw(self, count, spec, generator):
        noise = torch.rand(count, 6, generator=generator, device=generator.device)
        return self.made(noise.argsort(1)[:, : spec.ways])

    def draw_open(self, count, spec, generator):
        return None

    def episode(self, draw, spec):
        def examples(each):
            y = torch.arange(spec.ways).repeat(each).expand(len(draw), -1)
            return draw.gather(1, y)[..., None].expand(-1, -1, 4).float(), y

        return self.change(Episode(*examples(spec.shots), *examples(spec.queries), draw))

    def sample(self, draw, spec):
        episode = self.episode(draw[:1], spec)._asdict()
        names = [f"c{n}" for n in draw[0].tolist()]
        return self.shown({"class_names": names, **{k: v[0].numpy() for k, v in episode.items() if k != "classes"}})


def test_a_draw_may_be_a_tensor():
    examine(Rows(), SPEC)


def changed(**fields: Any) -> dict[str, Any]:
    return {"change": lambda episode: episode._replace(**{k: v(getattr(episode, k)) for k, v in fields.items()})}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"x_shape": [4]}, r"x_shape: \[4\]; allowed"),
        ({"x_shape": (5,)}, r"support_x: float32 \(2, 6, 4\); allowed: floats \(2, 6, 5\)"),
        ({"class_count": 2}, r"classes: \d\.\.\d; allowed: 0\.\.1"),
        ({"class_count": None}, "class_count: None"),
        (changed(support_x=lambda x: x.long()), "support_x: int64"),
        (changed(query_x=lambda x: x[:, 1:]), r"query_x: float32 \(2, 11, 4\); allowed: floats \(2, 12, 4\)"),
        (changed(query_y=lambda y: y.float()), "query_y: float32"),
        (changed(support_y=lambda y: y + 1), "support_y: how many of each label"),
        (changed(query_y=lambda y: y * 0), "query_y: how many of each label: {0: 12}; allowed: 4 of each of 0..2"),
        (changed(classes=lambda c: c[:, :1]), "classes: int64"),
        ({"change": tuple}, "episode: tuple; allowed: an Episode"),
        ({"change": lambda episode: 1 / 0}, "fails with ZeroDivisionError: division by zero"),
        ({"shown": lambda sample: list(sample)}, "sample: list"),
        ({"shown": lambda sample: {"a": {}}}, r"sample\['a'\]: dict"),
        ({"made": lambda draw: [draw]}, r"len\(draw\(2\)\): 1; allowed: 2"),
        (
            {"made": lambda draw: draw + torch.rand(()).mul(1e6).long()},
            "draw: another one from the same random numbers",
        ),
        ({"made": lambda draw: iter(draw)}, "fails with TypeError"),
    ],
)
def test_what_breaks_the_contract_is_named(fault, message):
    with pytest.raises(UserError, match=f"its source .*{message}"):
        examine(replace(Rows(), **fault), SPEC)


PLUGIN = '''
from test_contract import Rows
from metagap.tasks.source import Source

class Numbers(Source):
    """Rows of numbers."""
    licence = citation = "none"
    kind: str = "classification"
    lies: bool = False

    def tasks(self, part, device):
        return Rows(class_count=1) if self.lies else Rows(shown=SHOWN)
'''

SUITE = """
title = "Numbers"
task = { ways = 2, shots = 1, queries = 2 }
model = { name = "mlp", hidden = [4] }
source = { name = "numbers.py:Numbers" }
training_classes = "all"
training = { iterations = 1 }
evaluation = { steps = 0, episodes = 4, diagnostics = [] }
algorithms.protonet = {}
[[splits]]
name = "old"
role = "meta-train"
"""


def page(name: str, shown: str) -> str:
    Path(f"{name}.py").write_text(PLUGIN.replace("SHOWN", shown))
    Path("numbers.toml").write_text(SUITE.replace("numbers.py", f"{name}.py"))
    cells = expand(load_suite("numbers.toml"))
    check(cells)
    run_cell(cells[0], Path("results"), Machine("cpu", engine="loop plain eager"))
    found = results.read(Path("results"), "numbers", cells[0].variant)
    return write_report(Frames.of(found), Path("reports/numbers")).read_text()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def test_a_series_is_drawn_and_what_cannot_be_drawn_is_said(here):
    assert "cannot be drawn" not in page("series", "lambda sample: sample")
    text = page("other", 'lambda sample: {"class_names": sample["class_names"], "other": sample["support_x"]}')
    assert "cannot be drawn" in text and "KeyError" in text and "<table" in text


def test_a_source_is_checked_before_training(here):
    Path("numbers.py").write_text(PLUGIN.replace("SHOWN", "dict"))
    Path("numbers.toml").write_text(SUITE.replace('Numbers" }', 'Numbers", lies = true }'))
    with pytest.raises(UserError, match=r"training of protonet: its source gives classes: .* allowed: 0\.\.0"):
        check(expand(load_suite("numbers.toml")))
