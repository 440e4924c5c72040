"""The tensor functions against scikit-learn, and under what the engine does with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from metagap.metrics import find, functions

WAYS = 5
CLASSES, LABELS = "classification", list(range(WAYS))
NAMES = ["accuracy", "balanced-accuracy", "macro-f1", "ece", "nll"]


def predictions(n=60, seed=0, unbalanced=False):
    """Logits (n, ways) and labels (n,); unbalanced: of three classes, in unequal numbers."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator).square() if unbalanced else torch.arange(n) % WAYS
    logits = torch.randn(n, WAYS, generator=generator, dtype=torch.float64)
    return 2 * logits + 2 * torch.nn.functional.one_hot(y, WAYS), y


def calibration_error(probabilities, y):
    """Guo et al. (2017), equation 3, bin by bin."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == y
    error = 0.0
    for b in range(1, 16):
        inside = (confidence > (b - 1) / 15) & (confidence <= b / 15)
        if inside.any():
            error += inside.sum() / len(y) * abs(right[inside].mean() - confidence[inside].mean())
    return error


def expected(name, logits, y):
    probabilities = torch.softmax(logits, 1).numpy()
    predicted, y = probabilities.argmax(1), y.numpy()
    return {
        "accuracy": lambda: oracle.accuracy_score(y, predicted),
        "balanced-accuracy": lambda: np.mean(
            [oracle.recall_score(y, predicted, labels=[c], average="macro") for c in set(y)]
        ),
        "macro-f1": lambda: oracle.f1_score(y, predicted, average="macro"),
        "ece": lambda: calibration_error(probabilities, y),
        "nll": lambda: oracle.log_loss(y, probabilities, labels=LABELS),
    }[name]()


@pytest.mark.parametrize("unbalanced", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_classification(name, unbalanced):
    for seed in range(5):
        logits, y = predictions(seed=seed, unbalanced=unbalanced)
        assert float(find(name).tensor_function()(logits, y)) == pytest.approx(expected(name, logits, y), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mse", oracle.mean_squared_error),
        ("rmse", oracle.root_mean_squared_error),
        ("mae", oracle.mean_absolute_error),
    ],
)
def test_regression(name, theirs):
    output, y = torch.randn(2, 30, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(find(name).tensor_function()(output, y)) == pytest.approx(theirs(y.numpy(), output.numpy()), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_mapped_and_traced_as_one_by_one(name):
    function = find(name).tensor_function()
    tasks = [predictions(seed=seed, unbalanced=seed > 1) for seed in range(4)]
    logits, y = (torch.stack(part) for part in zip(*tasks, strict=True))
    single = torch.stack([function(*task) for task in tasks])
    torch.testing.assert_close(vmap(function)(logits, y), single)
    traced = make_fx(vmap(function))(logits, y)
    torch.testing.assert_close(traced(logits.flip(0), y.flip(0)), single.flip(0))


@pytest.mark.parametrize(
    ("name", "worst"), [("accuracy", 0.0), ("balanced-accuracy", 0.0), ("macro-f1", 0.0), ("ece", 1.0)]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_wrong_with_full_confidence(name, worst, value):
    logits = torch.zeros(6, WAYS)
    logits[:, 0] = value
    assert float(find(name).tensor_function()(logits, torch.zeros(6, dtype=torch.long))) == worst


def test_calibrated_predictions_have_a_small_error():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    y = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert functions.expected_calibration_error(logits, y) < 0.01
    assert functions.expected_calibration_error(3 * logits, y) > 0.1


def test_the_example_of_the_guide():
    example = Path(__file__).parents[2] / "benchmark" / "examples" / "metric.py"
    top_two = find(f"{example}:TOP_TWO")
    logits, y = predictions()
    theirs = oracle.top_k_accuracy_score(y.numpy(), logits.numpy(), k=2, labels=LABELS)
    assert float(vmap(top_two.tensor_function())(logits[None], y[None])) == pytest.approx(theirs)
    assert top_two.chance_score(WAYS) == 0.4
