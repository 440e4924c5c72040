"""The page of tasks that answer back: in the words of the field, and without what means nothing for them."""

from __future__ import annotations

import re

import pytest

from metagap.machine import Machine
from metagap.report import page
from metagap.report.contents import CONTENTS
from metagap.report.figures.training import TRAINING
from metagap.report.frames import Frames
from metagap.report.panels import Panel
from metagap.report.tables.settings import SETTINGS, outer_rule
from metagap.results import read
from metagap.runner.cell import run_cell
from metagap.suite import expand, load_suite
from tiny_suites import write


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Frames:
    folder = tmp_path_factory.mktemp("plane")
    for cell in expand(load_suite(str(write(folder, "plane", seeds=[0])))):
        run_cell(cell, folder, Machine("cpu", engine="loop plain eager"))
    return Frames.of(read(folder, "tiny"))


@pytest.fixture(scope="module")
def text(frames, tmp_path_factory) -> str:
    few = [shown for shown in CONTENTS if not isinstance(shown, Panel)]
    path = page.write_report(frames, tmp_path_factory.mktemp("page"), few)
    return re.sub(r"<svg.*?</svg>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_it_speaks_of_rollouts(text):
    for said in (
        "3-rollout control",
        "5 tasks per split and 2 rollouts of each",
        "Within a split: support and query, adaptation<",
        "a stage of rollouts is collected with the policy so far",
        "one run of a policy in a task, which the field calls an episode too",
        "what random actions do (thin)",
    ):
        assert said in text, said


def test_it_says_nothing_of_images_labels_and_loss(text):
    for said in (
        "disjoint",
        "memorization",
        "batch statistics",
        "image",
        "5-shot",
        "gap in loss",
        "error ratio",
        ">nan",
    ):
        assert said not in text, said


def test_policies_are_shown_for_each_algorithm_and_split(text, frames):
    section = re.search(r'<section id="rollouts">.*?</section>', text, flags=re.DOTALL)[0]
    assert "What the policies do" in section and "cannot be drawn" not in text
    assert len(re.findall("<figcaption", section)) == len(frames.algorithms) + len(frames.splits)
    assert "after 1 inner step" in section


def test_training_is_shown_as_a_return(frames):
    figure = TRAINING.figure(frames)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["return after adaptation"]
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    assert drawn and all(values.max() < 0 for values in drawn if len(values))


def test_an_untrained_policy_is_the_reference(frames, tmp_path):
    suite = load_suite(str(write(tmp_path, "plane", algorithms={"policy-scratch": {}})))
    assert suite.reference_label == "policy-scratch" and frames.suite.reference_label == ""


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"outer": "trpo", "max_kl": 0.02}, "TRPO, divergence up to 0.02"),
        ({"outer": "ppo", "outer_steps": 5}, "PPO, 5 steps of adam at 0.001, linear to 0"),
        ({"outer": "gradient"}, "adam at 0.001, linear to 0"),
        ({}, "adam at 0.001, linear to 0"),
    ],
)
def test_the_outer_rule_is_named(policy, said):
    assert outer_rule({"optimizer": "adam", "lr": 0.001, "schedule": "linear"}, policy) == said


def test_the_settings_are_those_that_have_an_effect(frames):
    table = SETTINGS.make(frames).frame.set_index("algorithm")
    assert table.loc["fomaml-trpo", "outer loop"] == "TRPO, divergence up to 0.01"
    assert table.loc["policy-random", "hyper-parameters"] == "inner_steps 0"
