"""Every broken algorithm is caught, by the name of its fault; what is sound passes."""

from __future__ import annotations

from collections.abc import Iterator

import broken
import pytest

from benchmark.algorithms.controls import Pretrain, Scratch
from benchmark.algorithms.maml import FOMAML, MAML
from benchmark.algorithms.reptile import Reptile
from benchmark.checking import examine as checking
from benchmark.checking.examine import EXAMINATIONS, examine
from benchmark.checking.findings import Finding
from benchmark.errors import UserError


def findings(cls: type, *changes: str, until: str = "") -> dict[str, Finding]:
    """By examination; no further than the named one."""
    found = {}
    for finding in examine(cls, changes):
        found[finding.examination] = finding
        if finding.examination == until:
            break
    return found


def failed(found: dict[str, Finding]) -> list[str]:
    return [finding.examination for finding in found.values() if finding.outcome == "failed"]


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    broken.SEEN.clear()
    yield
    broken.SEEN.clear()


SOUND = {
    MAML: {},
    FOMAML: {"derivative": "as first_order says"},
    Reptile: {"derivative": "another objective", "support order": "depends on the order of the support examples"},
    Pretrain: {"derivative": "pooled examples"},
    Scratch: dict.fromkeys(
        ("gradients", "derivative", "query labels", "save and load", "learning"), "it is not trained"
    ),
}


@pytest.mark.parametrize("cls", SOUND, ids=lambda cls: cls.__name__)
def test_what_is_sound_passes(cls):
    found = findings(cls)
    assert list(found) == list(EXAMINATIONS)
    assert failed(found) == [], "\n".join(map(str, found.values()))
    for examination, note in SOUND[cls].items():
        assert found[examination].outcome == "noted"
        assert note in found[examination].text
    noted = {name for name, finding in found.items() if finding.outcome == "noted"}
    assert noted - {"documentation"} == set(SOUND[cls])


BROKEN = [
    (broken.LeaksLabels, "query labels", "the query labels leak"),
    (broken.KeepsStatistics, "other tasks", "depends on the tasks that were computed before it"),
    (broken.KeepsTheFirst, "other tasks", "depends on the tasks that were computed before it"),
    (broken.LooksAtBatchMates, "other tasks", "depends on the other tasks of its meta-batch"),
    (broken.IgnoresTheGenerator, "seeds", "init ignores its generator: it draws from torch's global random numbers"),
    (
        broken.WrongShape,
        "shapes",
        r"predict on the queries of regression with mlp, 1 shot gives shape (2,), not (2, 1)",
    ),
    (broken.ForgetsAParameter, "gradients", "the meta-parameter 'scale' is forgotten: nothing depends on it"),
    (broken.DetachesAParameter, "gradients", "the gradient of 'scale' is zero on every task, although the loss"),
    (broken.LeavesAParameterOut, "gradients", "meta_gradient forgets 'head.bias' on regression"),
    (
        broken.NotANumber,
        "finite values",
        "NaN in 'head.bias', 1 of 1 values: adapt after 1 steps on regression with mlp",
    ),
    (broken.WrongDerivative, "derivative", "meta_gradient is the default, yet is not the derivative of the query loss"),
    (broken.CannotBeMapped, "engine paths", "meta_gradient by the engine path 'vmap' on regression"),
    (broken.AnotherPath, "adaptation path", "after 1 of 3 steps adapt_path predicts other than adapt"),
    (broken.AnotherPrediction, "adaptation path", "after 0 of 3 steps predict_path gives other than predict"),
    (broken.CannotBeSaved, "save and load", "saving and loading on"),
    (broken.Unexplained, "contract", "field 'speed' has no default; field 'speed' has no description"),
    (broken.NoAdapt, "contract", "the class does not implement adapt"),
    (broken.TakesTooLittle, "contract", "adapt cannot be called as adapt(meta, support, steps)"),
    (broken.Crashes, "shapes", "fails with ValueError: no idea (broken.py, line"),
    (broken.NotEvenOne, "contract", "does not derive from benchmark.algorithms.base.Algorithm"),
]


@pytest.mark.parametrize(("cls", "examination", "text"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_broken_is_caught_by_name(cls, examination, text):
    finding = findings(cls, until=examination)[examination]
    assert finding.outcome == "failed", finding
    assert text in finding.text


def test_what_does_not_learn_is_caught():
    found = findings(broken.DoesNotLearn)
    assert failed(found) == ["learning"]
    assert "on sinusoids" in found["learning"].text
    assert "on drawn characters" in found["learning"].text
    assert "another objective" in found["derivative"].text


@pytest.mark.parametrize(
    ("cls", "examination", "outcome", "text"),
    [
        (broken.OnlyClasses, "shapes", "passed", "refuses regression (OnlyClasses needs classes)"),
        (broken.NoHead, "gradients", "noted", "play no part: 'head.bias', 'head.weight'"),
        (broken.ZeroByNature, "gradients", "passed", "none is zero throughout"),
        (broken.Undocumented, "documentation", "noted", "the class has no docstring"),
        (broken.Dropout, "seeds", "noted", "draws random numbers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_worth_a_word(cls, examination, outcome, text):
    found = findings(cls, until=examination)
    assert found[examination].outcome == outcome, found[examination]
    assert text in found[examination].text
    assert failed(found) == []


def test_a_contract_that_is_not_kept_ends_the_rest():
    found = findings(broken.NoAdapt)
    assert failed(found) == ["contract"]
    assert found["learning"].text == "not examined, for the contract is not kept"


def test_hyperparameters_can_be_set():
    assert failed(findings(Reptile, "inner_optimizer=sgd", "inner_lr=0.02", until="shapes")) == []
    for change, message in [
        ("inner_lrr=1", "unknown key 'inner_lrr'; did you mean 'inner_lr'?"),
        ("inner_lr=-1", "key 'inner_lr' = -1: input should be greater than 0"),
        ("inner_lr", "write it as key=value"),
    ]:
        with pytest.raises(UserError) as error:
            examine(MAML, [change])
        assert message in str(error.value)


def test_of_the_project_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there is no pyproject\.toml here"):
        checking.find(None)
    (tmp_path / "pyproject.toml").write_text('[project.entry-points."metagap.algorithms"]\nmine = "mine:Mine"\n')
    code = '"""Mine."""\nfrom benchmark.algorithms.maml import MAML\n\n\nclass Mine(MAML):\n    """Mine."""\n'
    (tmp_path / "mine.py").write_text(code)
    assert checking.find(None).__name__ == "Mine"
    assert checking.find("mine.py").__name__ == "Mine"
    (tmp_path / "two.py").write_text(code + "\n\nclass Yours(Mine):\n    pass\n")
    with pytest.raises(UserError, match=r"2 classes of kind algorithm in 'two\.py': Mine, Yours; say which"):
        checking.find("two.py")
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(UserError, match=r"pyproject\.toml cannot be read"):
        checking.find(None)
