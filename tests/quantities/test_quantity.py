"""What a quantity says of itself, and what a suite may ask for."""

from __future__ import annotations

import pytest

from metagap import quantities, registry
from metagap.errors import UserError
from metagap.quantities import Quantity
from metagap.results.training import ALONG
from metagap.suite import expand, load_suite
from report.synthetic import make_results


def made(**changes):
    fields = {"name": "half", "about": "Half.", "citation": "none", "cost": "nothing", "measure": lambda _: 0.5}
    return Quantity(**fields | changes)


@pytest.mark.parametrize("name", registry.names("quantity"))
def test_the_registered_ones(name):
    found = quantities.find(name)
    assert found.about.endswith(".") and found.citation and found.cost
    assert set(found.kinds) <= set(registry.names("kind"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Top 2"}, "needs a name of a-z, 0-9 and single hyphens"),
        ({"kinds": "regression"}, "needs a tuple of kinds"),
        ({"of": "seed"}, "needs an `of` of split and cell"),
        ({"measure": 3}, "needs a function `measure`"),
    ],
)
def test_what_cannot_be(changes, said):
    with pytest.raises(UserError, match=f"^quantity '.*' {said}"):
        made(**changes)


PLUGIN = """
from metagap.quantities import Quantity
HALF = Quantity(name="half", about="Half.", citation="none", cost="nothing", kinds=("regression",),
                measure=lambda watched: 0.5)
"""


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"quantities": ["adaptaton-norm"]}, "unknown quantity 'adaptaton-norm'; did you mean 'adaptation-norm'?"),
        ({"quantities": ["{plugin}:HALF"]}, "HALF' is for regression, not for classification"),
        ({"quantities": ["{plugin}:THIRD"]}, "no Quantity 'THIRD' in"),
        ({"checkpoints": 7}, "evaluation.checkpoints = 7, but 'maml' has 6 iterations; allowed: at most one"),
        ({"checkpoints": 2, "checkpoint_splits": ["newer"]}, "no split is called 'newer'; did you mean 'new'?"),
        ({"checkpoint_episodes": 5}, "checkpoint_episodes is of no use without checkpoints"),
        ({"quantity_episodes": 5}, "quantity_episodes is of no use without quantities"),
    ],
)
def test_what_a_suite_cannot_ask_for(tiny_suite, tmp_path, evaluation, said):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    if "quantities" in evaluation:
        evaluation = {"quantities": [name.format(plugin=plugin) for name in evaluation["quantities"]]}
    path = tiny_suite("images", evaluation=evaluation)
    with pytest.raises(UserError) as error:
        load_suite(str(path))
    assert said in str(error.value)


def test_an_algorithm_has_no_checkpoints_of_its_own(tiny_suite):
    path = tiny_suite("images", algorithms={"maml": {"evaluation": {"checkpoints": 2}}})
    with pytest.raises(UserError, match=r"algorithms.maml.evaluation: unknown key 'checkpoints'"):
        load_suite(str(path))


def test_what_is_asked_for_makes_a_variant_but_no_other_cell(tiny_suite):
    def first(**evaluation):
        return expand(load_suite(str(tiny_suite("images", evaluation=evaluation))))[0]

    cells = [first(), first(checkpoints=2), first(quantities=["adaptation-norm"]), first(checkpoints=3)]
    assert len({cell.hash for cell in cells}) == 1
    assert len({cell.variant for cell in cells}) == 4


@pytest.mark.parametrize(
    ("checkpoints", "iterations", "points"),
    [
        (None, 10, []),
        (1, 10, [0, 10]),
        (4, 10, [0, 3, 5, 8, 10]),
        (3, 2, [0, 1, 2]),
    ],
)
def test_points_are_evenly_spaced_and_end_at_the_end(tiny_suite, checkpoints, iterations, points):
    evaluation = load_suite(str(tiny_suite("images"))).evaluation.model_copy(update={"checkpoints": checkpoints})
    assert evaluation.points(iterations) == points


def test_results_of_no_checkpoints_have_empty_frames():
    finished = make_results(small=True, episodes=4, seeds=(0,))
    assert list(finished.along) == list(ALONG)
    assert finished.quantities.empty and finished.iterations() == []
    with pytest.raises(UserError, match=r"nothing was scored at iteration 3; allowed: none: the suite has no"):
        finished.at(3)
