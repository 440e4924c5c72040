"""Support sets with more examples of some classes than of others."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from metagap.errors import UserError
from metagap.suite.schema.task import Imbalance
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.images import ImageStore
from metagap.tasks.imbalance import BALANCED, IMBALANCES
from metagap.tasks.records import Records, RecordStore
from metagap.tasks.sampling import Sampler

NAMES = sorted(IMBALANCES)


def counts(name, size, shots, seed=0):
    return IMBALANCES[name](size, shots, torch.Generator().manual_seed(seed))


def images(sizes=(30, 12, 12, 12, 20, 12)):
    """Images whose pixels say which example they are."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    pixels = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return ImageStore.from_labels(pixels.clone(), labels, [f"c{i}" for i in range(len(sizes))])


def test_a_suite_allows_those_that_there_are():
    assert {BALANCED, *NAMES} == set(get_args(Imbalance))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("ways", "shots"), [(2, 2), (3, 2), (4, 3), (5, 5), (20, 4)])
def test_the_mean_is_the_shots_and_every_class_has_some(name, ways, shots):
    found = counts(name, torch.randint(20, 200, (300, ways)), shots)
    assert found.shape == (300, ways) and found.dtype == torch.long
    assert (found.sum(1) == ways * shots).all()
    assert int(found.min()) >= 1 and int(found.max()) <= 2 * shots - 1
    assert len(found.unique(dim=0)) > 1  # other classes are the small ones in other tasks


@pytest.mark.parametrize(("name", "expected"), [("linear", [1, 3, 5, 7, 9]), ("step", [1, 1, 5, 9, 9])])
def test_a_pattern_in_random_order(name, expected):
    found = counts(name, torch.full((4000, 5), 50), 5)
    assert found.sort(1).values.unique(dim=0).tolist() == [expected]
    assert found.double().mean(0).numpy() == pytest.approx(np.full(5, 5.0), abs=0.25)  # 5 standard errors


def test_random_numbers_are_all_equally_likely():
    every = [one for one in itertools.product(range(1, 4), repeat=3) if sum(one) == 6]
    n = 70_000
    found = [tuple(one) for one in counts("random", torch.full((n, 3), 50), 2).tolist()]
    expected = n / len(every)
    statistic = sum((found.count(one) - expected) ** 2 / expected for one in every)
    assert set(found) == set(every) and statistic < 22.5  # chi-square with 6 degrees of freedom, p = 0.001


def test_meta_dataset_follows_how_large_classes_are():
    sizes = torch.tensor([[100.0, 100.0, 400.0]]).expand(20_000, 3)
    found = counts("meta-dataset", sizes, 20).double()
    uniform = torch.rand(200_000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight = sizes[:1].double() * 2 ** (2 * uniform - 1)
    rest = 57 * weight / weight.sum(1, keepdim=True)
    expected = 1 + torch.where(rest > 38, 38, rest)  # what is above the most goes to the others
    assert (found[:, 0].mean() - found[:, 1].mean()).abs() < 0.15
    assert found[:, 2].mean() == pytest.approx(float(expected[:, 2].mean()), abs=0.3)
    balanced = counts("meta-dataset", torch.full((5000, 5), 50), 10)
    assert int(balanced.min()) >= 3 and int(balanced.max()) <= 19 and balanced.double().std() > 2


@pytest.mark.parametrize("name", NAMES)
def test_episodes_of_images_have_the_examples_that_were_drawn(name):
    store, spec = images(), TaskSpec("classification", 4, 3, 2, imbalance=name)
    draw = store.draw(50, spec, torch.Generator().manual_seed(0))
    episode = store.episode(draw, spec)
    which = [(x[:, :, 0, 0, 0] * 255).round().long() for x in (episode.support_x, episode.query_x)]
    of_class = torch.arange(6).repeat_interleave(torch.tensor([30, 12, 12, 12, 20, 12]))
    for examples, labels in zip(which, (episode.support_y, episode.query_y), strict=True):
        assert torch.equal(of_class[examples], episode.classes.gather(1, labels))
    for task in range(50):
        support, query = (set(examples[task].tolist()) for examples in which)
        assert len(support) == 12 and len(query) == 8 and not support & query
        assert torch.equal(episode.support_y[task].bincount(minlength=4), draw.counts[task])
        assert episode.query_y[task].bincount(minlength=4).tolist() == [2] * 4
    for got, want in zip(store.episode(draw[7:9], spec), episode, strict=True):
        assert torch.equal(got, want[7:9])


def test_any_run_of_the_support_set_has_about_the_shares_of_the_whole():
    spec = TaskSpec("classification", 3, 5, 1, imbalance="linear")
    store = images((30, 30, 30))
    labels = store.episode(store.draw(20, spec, torch.Generator().manual_seed(0)), spec).support_y
    whole = (labels[..., None] == torch.arange(3)).double().cumsum(1)
    share = whole[:, -1:] * torch.arange(1, 16)[:, None] / 15
    assert float((whole - share).abs().max()) <= 1


@pytest.mark.parametrize("fixed", [False, True])
def test_tasks_of_a_file_have_them_too(fixed):
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat([0, 1, 2], 20), 4)
    records = Records(np.arange(240, dtype=np.float32)[:, None], y, ("a", "b", "c"), np.repeat(list("wxyz"), 60))
    store, spec = RecordStore.of(records, fixed=fixed), TaskSpec("classification", 3, 4, 2, imbalance="linear")
    draw = store.draw(200, spec, torch.Generator().manual_seed(int(rng.integers(100))))
    episode = store.episode(draw, spec)
    assert torch.equal(
        torch.from_numpy(y)[episode.support_x[..., 0].long()], episode.classes.gather(1, episode.support_y)
    )
    found = (episode.support_y[..., None] == torch.arange(3)).sum(1)
    assert found.sort(1).values.unique(dim=0).tolist() == [[1, 4, 7]]
    assert len(found.unique(dim=0)) == 6
    if fixed:
        assert torch.equal(episode.classes, torch.arange(3).expand(200, 3))
    examine(store, spec)


def test_open_tasks_share_no_example():
    store, spec = images((18, 18, 18, 18)), TaskSpec("classification", 2, 2, 3, imbalance="random")
    draw = store.draw_open(100, spec, torch.Generator().manual_seed(0))
    assert len(draw) == 6 and draw.rows.unique().numel() == draw.rows.numel()
    assert (store.episode(draw, spec).support_y.sum(1) >= 1).all()


def test_classes_that_may_be_too_small_are_never_drawn():
    spec = TaskSpec("classification", 2, 3, 2, imbalance="step")
    with pytest.raises(UserError, match="1 to 5 shots and 2 queries need 2 classes of at least 7 images; there are 1"):
        images((6, 6, 30)).draw(1, spec, torch.Generator())


class Balanced:
    """Tasks that know nothing of an imbalance."""

    def __init__(self, store):
        self.x_shape, self.class_count, self.draw, self.episode = store.x_shape, 6, store.draw, store.episode


def test_a_source_of_balanced_tasks_is_refused():
    spec = TaskSpec("classification", 2, 3, 2)
    examine(Balanced(images()), spec)
    with pytest.raises(UserError, match="imbalance = 'random', but its source draws balanced tasks alone"):
        examine(Balanced(images()), spec._replace(imbalance="random"))


def test_a_source_that_draws_other_numbers_is_refused():
    store, spec = images(), TaskSpec("classification", 2, 3, 2, imbalance="linear")
    told = Balanced(store)
    told.imbalanced = True
    told.draw = lambda count, _, generator: store.draw(count, spec._replace(shots=6, imbalance="none"), generator)
    told.episode = lambda draw, _: store.episode(draw, spec._replace(shots=6, imbalance="none"))
    with pytest.raises(UserError, match="support_x"):
        examine(told, spec)


def test_classes_are_recorded_as_of_balanced_tasks():
    sampler = Sampler(images(), TaskSpec("classification", 3, 2, 2, imbalance="random"), seed=0)
    assert sampler.classes(sampler.draw(5)).shape == (5, 3)
