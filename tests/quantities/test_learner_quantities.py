"""Every algorithm that we register has every quantity of the learner, or a sentence that says why not."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from watching import IMAGES, POINTS, watched

from metagap import quantities, registry
from metagap.errors import UserError
from packages import predictors

NAMES = (
    "gradient-alignment",
    "gradient-inner-product",
    "support-query-alignment",
    "adapted-support-query-alignment",
    "adaptation-coherence",
    "gradient-coherence",
    "adapted-gradient-coherence",
    "initial-curvature",
    "path-curvature",
    "largest-curvature",
    "body-change",
    "head-change",
    "feature-similarity",
    "permutation-spread",
    "memorization",
)
NO_STEPS = dict.fromkeys(NAMES[:-2], "has no inner gradient steps")
NO_WEIGHTS = dict.fromkeys(("body-change", "head-change"), "adapts none of the network's own weights")
NO_HEAD = {"head-change": "the head is zero where"}
NOT = {
    "protonet": NO_STEPS,
    "matchingnet": NO_STEPS,
    "relationnet": NO_STEPS,
    "r2d2": NO_STEPS,
    "nearest-neighbour": NO_STEPS,
    "ridge-regression": NO_STEPS,
    "logistic-regression": NO_STEPS,
    "boosted-trees": NO_STEPS,
    "mean-value": NO_STEPS,
    "last-value": NO_STEPS,
    "bayes": dict.fromkeys({*NAMES[:-2]} - {"adaptation-coherence"}, "predicts something else than its network")
    | NO_WEIGHTS,
    "cavia": NO_WEIGHTS,
    "baseline": NO_HEAD,
}
"""What algorithms do not have, and the words that say why."""


def values(name: str, spec) -> dict[str, list[float]]:
    """The quantities of an algorithm, of those that apply."""
    seen, found = watched(registry.load("algorithm", name)(), spec, tasks=2, dtype=torch.float32), {}
    lacks = NOT.get(name, {}) | (NO_HEAD if name == "pretrain" and spec is IMAGES else {})
    if NOT.get(name) is NO_STEPS and not spec.kind.has_ways:  # without labels there is nothing to shuffle
        lacks |= {"memorization": "has no inner gradient steps"}
    for quantity in map(quantities.find, NAMES):
        if spec.kind.name in quantity.kinds:
            why = quantity.applies(seen)
            assert lacks[quantity.name] in why if quantity.name in lacks else not why, (quantity.name, why)
            if not why:
                measured = torch.as_tensor(quantity.measure(seen))
                assert measured.shape in ((), (2,))
                found[quantity.name] = measured.flatten().tolist()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", predictors())
def test_all_have_them_or_say_why_not(name):
    if name.startswith("learn2learn"):
        pytest.importorskip("learn2learn")
    for spec in (IMAGES, POINTS):
        with contextlib.suppress(UserError):  # of those for classification alone
            found = values(name, spec)
            assert found or (NOT.get(name) is NO_STEPS and not spec.kind.has_ways)
            assert all(math.isfinite(value) for one in found.values() for value in one), found


@pytest.mark.slow
def test_maml_of_others_has_the_same_ones():
    pytest.importorskip("learn2learn")
    ours, theirs = values("maml", POINTS), values("learn2learn-maml", POINTS)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert theirs[name] == pytest.approx(value, rel=1e-3), name
