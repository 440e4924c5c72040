"""Every broken algorithm is caught, by the name of its fault; what is sound passes."""

from __future__ import annotations

from collections.abc import Iterator

import broken
import leaking
import pytest

from metagap.algorithms.controls import Pretrain, Scratch
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.reptile import Reptile
from metagap.checking import learning, paths
from metagap.checking.cases import KINDS, Subject, case
from metagap.checking.examine import EXAMINATIONS, examine
from metagap.checking.findings import Fault, Finding, finding
from metagap.checking.named import named
from metagap.checking.settings import make
from metagap.engine.strategy import Strategy
from metagap.errors import UserError


def findings(cls: type, *changes: str, until: str = "") -> dict[str, Finding]:
    """By examination; no further than the named one."""
    found = {}
    for one in examine(cls, changes):
        found[one.examination] = one
        if one.examination == until:
            break
    return found


def only(cls: type, examination: str) -> Finding:
    """What one examination finds, without those before it."""
    subject = Subject(cls, make(cls, []))
    for kind in KINDS:
        try:
            case(subject.algorithm, kind).seeded()
        except UserError as refusal:
            subject.unfit[kind] = f"{refusal}"
        except Fault:
            pass  # of init: the examination will say so
    return finding(examination, EXAMINATIONS[examination], subject)


def failed(found: dict[str, Finding]) -> list[str]:
    return [finding.examination for finding in found.values() if finding.outcome == "failed"]


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    broken.SEEN.clear()
    yield
    broken.SEEN.clear()


SOUND = {
    MAML: {},
    Pretrain: {"derivative": "pooled examples", "metrics": "pooled examples"},
    Scratch: dict.fromkeys(
        ("gradients", "derivative", "query labels", "metrics", "save and load", "learning"), "it is not trained"
    ),
}


@pytest.mark.parametrize(
    "cls", [pytest.param(cls, marks=[pytest.mark.slow] * (cls is MAML)) for cls in SOUND], ids=lambda cls: cls.__name__
)
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
    (broken.AdaptsTheNorm, "normalisation", "with adapt_norm = false the inner loop moves 'features.1.bias' all"),
    (
        broken.NotANumber,
        "finite values",
        "NaN in 'head.bias', 1 of 1 values: adapt after 1 steps on regression with mlp",
    ),
    (broken.WrongDerivative, "derivative", "meta_gradient is first order, and nothing says so"),
    (broken.AnotherPath, "adaptation path", "after 1 of 3 steps adapt_path predicts other than adapt"),
    (broken.AnotherPrediction, "adaptation path", "after 0 of 3 steps predict_path gives other than predict"),
    (broken.CannotBeSaved, "save and load", "saving and loading on"),
    (broken.Unexplained, "contract", "field 'speed' has no default; field 'speed' has no description"),
    (broken.NoAdapt, "contract", "the class does not implement adapt"),
    (broken.TakesTooLittle, "contract", "adapt cannot be called as adapt(meta, support, steps)"),
    (broken.Crashes, "shapes", "fails with ValueError: no idea (broken.py, line"),
    (broken.NotEvenOne, "contract", "does not derive from metagap.algorithms.base.Algorithm"),
]


@pytest.mark.parametrize(("cls", "examination", "text"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_broken_is_caught_by_name(cls, examination, text):
    finding = only(cls, examination) if examination != "contract" else findings(cls, until=examination)[examination]
    assert finding.outcome == "failed", finding
    assert text in finding.text


def test_what_cannot_be_mapped_is_noted(monkeypatch):
    monkeypatch.setattr(paths, "PLANS", {kind: ["vmap traced"] for kind in paths.PLANS})
    finding = only(broken.CannotBeMapped, "engine paths")
    assert finding.outcome == "noted", finding
    assert "since it looks at values" in finding.text


PLACES = "predictions go by the place of a query"
BESIDE = "predictions depend on the other queries of the batch, although the network has no batch norm"
LEAKING = [
    (leaking.InTurn, "query order", PLACES),
    (leaking.InBlocks, "query order", PLACES),
    (leaking.ByPlace, "query order", PLACES),
    (leaking.LastIsSpecial, "query order", PLACES),
    (leaking.HiddenByNoise, "query order", PLACES),
    (leaking.Recentres, "query batch", BESIDE),
    (leaking.Standardises, "query batch", BESIDE),
    (leaking.SharesOut, "query batch", BESIDE),
    (leaking.Balances, "query batch", BESIDE),
    (leaking.Competes, "query batch", BESIDE),
    (leaking.ManyAtOnce, "query batch", BESIDE),
    (leaking.QueriesInTheSupport, "query labels", "the query labels leak into adaptation"),
    (leaking.HeadOfTheQueries, "query labels", "the query labels leak into adaptation"),
    (leaking.LabelsBehindTheBack, "query labels", "the query labels leak into adaptation"),
    (leaking.CentredByTheQueries, "query labels", "the queries leak into adaptation"),
    (leaking.PlacesOfTheSupport, "support labels", "takes the place of a support example for its class"),
    (leaking.FirstOrderInSecret, "derivative", "meta_gradient is first order, and nothing says so"),
    (leaking.SecondOrderInSecret, "derivative", "claims to be first order, but meta_gradient is the exact derivative"),
    (leaking.Uphill, "derivative", "meta_gradient points uphill"),
    (leaking.OfTheNetworkItself, "gradients", "neither the loss nor the predictions depend on the meta-parameters"),
    (leaking.PlacesToo, "support labels", "takes the place of a support example for its class"),
    (leaking.HalfTheGradient, "derivative", "meta_gradient is not the derivative of the query loss after adaptation"),
    (leaking.ClimbsInTheHead, "inner steps", "climbs the support loss in 'head.bias' on every task"),
    (leaking.ClimbsBySign, "inner steps", "climbs the support loss in 'head.weight' on every task"),
    (leaking.ClimbsInPart, "inner steps", "values of 'head.weight', every one on every task"),
    (leaking.ClimbsLater, "inner steps", "inner step 2 climbs the support loss in"),
    (leaking.ErrorForScore, "metrics", "the metric 'score' is 2.78, which cannot be minus the MSE"),
    (leaking.AlwaysRight, "metrics", "that of the predictions after adaptation is"),
    (leaking.SupportScore, "metrics", "the metric 'score' of meta_gradient is"),
    (leaking.InPercent, "metrics", "which cannot be the accuracy"),
    (leaking.AnotherLoss, "metrics", "the metric 'loss' of meta_gradient is"),
    (leaking.SameForAllSeeds, "seeds", "init gives two seeds the same meta-parameters"),
    (leaking.WeightsOfItsOwn, "seeds", "init gives two seeds the same 'head.weight'"),
    (leaking.GeneratorOfItsOwn, "seeds", "init gives two seeds the same 'scale'"),
    (leaking.SeedsNumPy, "seeds", "init ignores its generator: it draws from NumPy's global random numbers"),
    (leaking.SetsTheSeed, "seeds", "sets the seed of torch's global random numbers"),
    (leaking.DrawsInPython, "seeds", "draws from Python's or NumPy's random numbers"),
    (leaking.ZerosInPart, "gradients", "is zero on every task, although support and query loss depend on them"),
    (leaking.ChangesMeta, "inputs", "adapt changes 'head.bias' of its meta-parameters in place"),
    (leaking.ChangesExamples, "inputs", "adapt changes its support x in place"),
    (leaking.ChangesLabels, "inputs", "meta_gradient changes its query y in place"),
    (leaking.AddsToMeta, "inputs", "adapt changes 'seen' of its meta-parameters in place"),
    (leaking.KeepsOnItself, "other tasks", "depends on the tasks that were computed before it"),
    (leaking.CountsCalls, "other tasks", "depends on the tasks that were computed before it"),
]


@pytest.mark.parametrize(("cls", "examination", "text"), LEAKING, ids=lambda v: getattr(v, "__name__", ""))
def test_what_leaks_or_claims_too_much_is_caught_by_name(cls, examination, text):
    finding = only(cls, examination)
    assert finding.outcome == "failed", finding
    assert text in finding.text


@pytest.mark.parametrize(
    ("cls", "examination", "outcome", "text"),
    [
        (leaking.SaysTransductive, "query batch", "noted", "as `transductive` says"),
        (leaking.RandomPredictions, "query order", "noted", "predictions of the same parameters are random"),
        (leaking.OnlySaysTransductive, "query batch", "noted", "says `transductive`, yet"),
        (leaking.SaysFirstOrder, "derivative", "noted", "as it says, first order"),
        (leaking.AnotherObjective, "derivative", "noted", "of another objective, as `derivative` says"),
        (leaking.NoLabels, "support labels", "noted", "predictions do not depend on the labels of the support set"),
        (leaking.Preconditioned, "inner steps", "passed", "goes down the support loss"),
        (leaking.StartsFromIdentity, "seeds", "passed", "two seeds differ"),
        *[(MAML, name, "passed", "") for name in ("query order", "query batch", "metrics", "inputs", "inner steps")],
        *[(Reptile, name, "passed", "") for name in ("gradients", "metrics", "inner steps", "seeds")],
        (Reptile, "derivative", "noted", "of another objective, as `derivative` says"),
        (Reptile, "support order", "noted", "depends on the order of the support examples"),
        *[(FOMAML, name, "passed", "") for name in ("gradients", "metrics", "query labels")],
        (FOMAML, "derivative", "noted", "as it says, first order"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_says_what_it_does_is_no_fault(cls, examination, outcome, text):
    finding = only(cls, examination)
    assert finding.outcome == outcome, finding
    assert text in finding.text


def test_what_does_not_learn_is_caught(monkeypatch):
    for kind, toy in learning.TOYS.items():
        few = toy._replace(training=toy.training.model_copy(update={"iterations": 20}), strategy=Strategy("vmap"))
        monkeypatch.setitem(learning.TOYS, kind, few)
    finding = only(broken.DoesNotLearn, "learning")
    assert finding.outcome == "failed"
    assert "on sinusoids" in finding.text
    assert "on drawn characters" in finding.text


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
        named(None)
    (tmp_path / "pyproject.toml").write_text('[project.entry-points."metagap.algorithms"]\nmine = "mine:Mine"\n')
    code = '"""Mine."""\nfrom metagap.algorithms.maml import MAML\n\n\nclass Mine(MAML):\n    """Mine."""\n'
    (tmp_path / "mine.py").write_text(code)
    assert named(None) == ("algorithm", "./mine.py:Mine")
    assert named("mine.py") == ("algorithm", "mine.py:Mine")
    (tmp_path / "two.py").write_text(code + "\n\nclass Yours(Mine):\n    pass\n")
    with pytest.raises(UserError, match=r"2 classes of kind algorithm in 'two\.py': Mine, Yours; say which"):
        named("two.py")
    (tmp_path / "pyproject.toml").write_text("[project")
    with pytest.raises(UserError, match=r"pyproject\.toml cannot be read"):
        named(None)
