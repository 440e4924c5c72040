"""What a metric says of itself."""

import json
import math
import subprocess
import sys

import pytest

from metagap.errors import UserError
from metagap.metrics import Margin, Metric, find, names
from metagap.metrics.classification import ACCURACY, ECE, NLL
from metagap.metrics.regression import MSE


def made(**changes):
    fields = {"name": "half", "label": "half", "about": "Half.", "kinds": ("regression",), "function": "a:b"}
    return Metric(**fields | {"higher_is_better": True, "margin": Margin(0.1)} | changes)


def test_the_registered_ones():
    assert names("classification") == ["accuracy", "balanced-accuracy", "ece", "macro-f1", "nll"]
    assert names("regression") == ["mae", "mse", "rmse"]
    for name in [*names("classification"), *names("regression")]:
        assert callable(find(name).tensor_function())
        assert find(name).about.endswith(".")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Top 2"}, "needs a name of a-z, 0-9 and single hyphens"),
        ({"name": "loss"}, "needs another name than score and loss"),
        ({"kinds": "regression"}, "needs a tuple of kinds"),
        ({"statistic": "mode"}, "needs a statistic of mean, median, iqm"),
        ({"axis": "log"}, "has a logarithmic axis and values below zero"),
        ({"bounds": (1, 0)}, r"needs bounds \(least, greatest\)"),
        ({"scale": -1}, "needs a scale above zero"),
    ],
)
def test_what_cannot_be(changes, said):
    with pytest.raises(UserError, match=f"^metric '.*' {said}"):
        made(**changes)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nowhere", "allowed: package.module:name of a function"),
        ("metagap.nothing:f", "cannot be imported: ModuleNotFoundError"),
        ("metagap.metrics.functions:BINS", "is no function but int"),
    ],
)
def test_a_function_that_is_not_there(function, said):
    with pytest.raises(UserError, match=f"^metric 'half' .*{said}|^metric 'half' is '{function}'; {said}"):
        made(function=function).tensor_function()


@pytest.mark.parametrize("metric", [ACCURACY, ECE, NLL, MSE], ids=str)
def test_a_description_says_all_but_the_function(metric):
    again = Metric.of(json.loads(json.dumps(metric.described([2, 5]), allow_nan=False)))
    for field in ("name", "label", "kinds", "bounds", "margin", "unit", "gap_unit", "scale", "statistic", "axis"):
        assert getattr(again, field) == getattr(metric, field)
    assert again.chance_score(5) == metric.chance_score(5)
    assert again.axis_label == metric.axis_label
    with pytest.raises(UserError):
        again.tensor_function()


def test_a_description_of_a_later_version_is_read():
    assert Metric.of({**MSE.described([1]), "colour": "blue"}).name == "mse"


def test_scores_are_printed_in_their_unit_and_direction():
    assert ACCURACY.score(0.931, 0.927, 0.935) == "93.1 ± 0.4"
    assert ECE.score(-0.05, -0.06, -0.04) == "5.0 ± 1.0"
    assert MSE.score(-0.38, -0.44, -0.35) == "0.38 [0.35, 0.44]"
    assert ECE.gap(0.02) == "+2.0"
    assert (ACCURACY.gap_unit, MSE.gap_unit) == ("percentage points", "MSE")
    assert (ACCURACY.best_score, MSE.best_score, MSE.worst_score) == (1, 0, -math.inf)
    assert (NLL.chance_score(5), MSE.chance_score(1)) == (-math.log(5), None)


def test_no_torch_is_needed():
    code = "import sys; from metagap import kinds, metrics; metrics.names('regression')"
    code += "; kinds.find('regression').metric; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
