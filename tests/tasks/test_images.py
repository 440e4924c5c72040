"""The episode sampler: what is drawn, and that nothing is drawn twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metagap import digests
from metagap.errors import UserError
from metagap.tasks import groups
from metagap.tasks.episode import TaskSpec
from metagap.tasks.groups import choose
from metagap.tasks.images import ImageStore, pixel_statistics, resize
from metagap.tasks.sampling import raw


def store_of(sizes: list[int], size: int = 3) -> ImageStore:
    """Classes of these sizes; the first pixel is the class, the second the image within it."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    images = torch.zeros(len(labels), 1, size, size, dtype=torch.uint8)
    images[:, 0, 0, 0] = labels
    images[:, 0, 0, 1] = torch.cat([torch.arange(n) for n in sizes])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return ImageStore.from_labels(images[order], labels[order], [f"c{i}" for i in range(len(sizes))])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=10),
    ways=st.integers(2, 5),
    shots=st.integers(1, 3),
    queries=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_no_class_and_no_image_twice(sizes, ways, shots, queries, seed):
    store, spec = store_of(sizes), TaskSpec("classification", ways, shots, queries)
    eligible = [c for c, n in enumerate(sizes) if n >= shots + queries]
    if len(eligible) < ways:
        with pytest.raises(UserError, match=f"{ways} ways.*{len(eligible)} such classes"):
            store.draw(4, spec, generator(seed))
        return
    episode = store.episode(store.draw(4, spec, generator(seed)), spec)
    assert episode.support_x.shape == (4, ways * shots, 1, 3, 3)
    assert episode.query_x.shape == (4, ways * queries, 1, 3, 3)
    for sx, sy, qx, qy, classes in zip(*episode, strict=True):
        assert len(set(classes.tolist())) == ways
        assert set(classes.tolist()) <= set(eligible)
        pixels = (torch.cat([sx, qx])[:, 0, 0, :2] * 255).round().long()
        labels = torch.cat([sy, qy])
        assert torch.equal(pixels[:, 0], classes[labels])  # every label stands for its class
        assert len({tuple(pair) for pair in pixels.tolist()}) == len(labels)  # support and query share no image
        assert torch.equal(sy, torch.arange(ways).repeat(shots))
        assert torch.equal(qy, torch.arange(ways).repeat(queries))


def test_choose_is_uniform_over_ordered_choices():
    chosen = choose(torch.full((60_000,), 5), 3, generator())
    codes, counts = torch.unique(chosen @ torch.tensor([25, 5, 1]), return_counts=True)
    assert len(codes) == 60
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@settings(max_examples=40, deadline=None)
@given(size=st.lists(st.integers(1, 30), min_size=1, max_size=20), seed=st.integers(0, 2**31))
def test_choose_gives_distinct_numbers_in_range(size, seed):
    count = min(size)
    chosen = choose(torch.tensor(size), count, generator(seed))
    assert (chosen >= 0).all()
    assert (chosen < torch.tensor(size)[:, None]).all()
    assert all(len(set(row.tolist())) == count for row in chosen)


def test_classes_and_images_are_drawn_uniformly():
    store, spec = store_of([4, 6, 9, 4]), TaskSpec("classification", 2, 1, 2)
    draw = store.draw(40_000, spec, generator())
    assert stats.chisquare(torch.bincount(draw.classes[:, 0]).numpy()).pvalue > 1e-3
    in_largest = draw.rows[draw.classes == 2][:, 0] - store.start[2]
    assert stats.chisquare(torch.bincount(in_largest, minlength=9).numpy()).pvalue > 1e-3


def test_draws_depend_on_the_generator_alone():
    store, spec = store_of([6] * 8), TaskSpec("classification", 3, 1, 2)
    first, same, other = (store.draw(20, spec, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.rows, same.rows)
    assert not torch.equal(first.rows, other.rows)


@pytest.mark.parametrize(
    ("meet", "kept"), [(None, "be396876a1c6bf73"), (True, "95d1a8195c0d9d17"), (False, "b7f5147e142045c8")]
)
def test_draws_and_episodes_stay_what_they_were(meet, kept):
    """Other ones could not be compared to any result that there is."""
    store, spec = store_of([5, 7, 3, 9, 12, 2, 8]), TaskSpec("classification", 3, 2, 3)
    store = store if meet is None else store.rotated(meet)
    draws = [store.draw(50, spec, generator(3)), store.draw_open(50, spec, generator(4))]
    episodes = [field.numpy().tobytes() for draw in draws for field in store.episode(draw, spec)]
    assert digests.of_bytes(b"".join([*map(raw, draws), *episodes]))[:16] == kept


def test_looking_up_chunks_is_looking_up_all():
    store, spec = store_of([6] * 8).rotated(), TaskSpec("classification", 3, 1, 2)
    draw = store.draw(10, spec, generator())
    whole, parts = store.episode(draw, spec), [store.episode(draw[i : i + 4], spec) for i in range(0, 10, 4)]
    assert torch.equal(whole.query_x, torch.cat([part.query_x for part in parts]))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=3, max_size=8), rotate=st.booleans(), seed=st.integers(0, 2**31))
def test_open_tasks_share_no_image(sizes, rotate, seed):
    store, spec = store_of(sizes), TaskSpec("classification", 2, 1, 2)
    chunks = [n // 3 for n in sizes]
    if sum(n > 0 for n in chunks) < 2:
        return
    if rotate:
        store = store.rotated()
    draw = store.draw_open(10_000, spec, generator(seed))
    assert draw.rows.unique().numel() == draw.rows.numel()
    # As many as there can be: half of all chunks, unless the largest class has more than all others.
    assert len(draw) == min(sum(chunks) // 2, sum(chunks) - max(chunks))
    assert len(store.draw_open(1, spec, generator(seed))) == 1


def test_rotations_are_new_classes():
    store = store_of([5, 5]).rotated()
    assert store.class_count == 8
    assert store.names[2:4] == ("c0/90", "c1/90")
    spec = TaskSpec("classification", 8, 1, 1)
    draw = store.draw(3, spec, generator())
    episode = store.episode(draw, spec)
    for classes, rows, x in zip(draw.classes, draw.rows, episode.support_x, strict=True):
        for way in range(8):
            expected = store.images[rows[way, 0]].rot90(int(classes[way]) // 2, (-2, -1))
            assert torch.equal((x[way] * 255).round().to(torch.uint8), expected)


def test_held_out_images_are_never_drawn_for_training():
    store, spec = store_of([9, 9, 9]), TaskSpec("classification", 3, 1, 2)
    train = store.without_last(4).draw(500, spec, generator()).rows
    held = store.only_last(4).draw(500, spec, generator()).rows
    assert train.unique().numel() == 15
    assert held.unique().numel() == 12
    assert not np.intersect1d(train, held).size


def test_normalisation_by_the_statistics_of_the_pixels():
    store = store_of([4, 7, 3]).subset([2, 0])
    pixels = torch.cat([store.images[s : s + n] for s, n in zip(store.start, store.size, strict=True)]).double() / 255
    mean, std = pixel_statistics(store)
    assert mean == pytest.approx(float(pixels.mean()))
    assert std == pytest.approx(float(pixels.std(correction=0)))
    spec = TaskSpec("classification", 2, 1, 1)
    draw = store.draw(2, spec, generator())
    raw, scaled = store.episode(draw, spec).query_x, store.normalised(mean, std).episode(draw, spec).query_x
    torch.testing.assert_close(scaled * std + mean, raw)


def test_rotating_needs_square_images():
    store = ImageStore.from_labels(torch.zeros(4, 1, 3, 5, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]), ["a", "b"])
    with pytest.raises(UserError, match="square images, these are 3 x 5"):
        store.rotated()


def test_what_does_not_fit_on_the_device_is_sent_by_the_meta_batch(monkeypatch):
    store, spec = store_of([6] * 8).rotated(), TaskSpec("classification", 3, 1, 2)
    monkeypatch.setattr(groups, "free_memory", lambda device: 2 * store.images.nbytes - 2)
    sent = store.to("meta")  # a device without contents stands for a GPU
    assert sent.streamed
    assert sent.images.device.type == "cpu"
    draw = sent.draw(5, spec, generator())
    assert torch.equal(draw.rows, store.draw(5, spec, generator()).rows)
    episode = sent.episode(draw, spec)
    assert {field.device.type for field in episode} == {"meta"}
    assert [field.shape for field in episode] == [field.shape for field in store.episode(draw, spec)]
    monkeypatch.setattr(groups, "free_memory", lambda device: 2 * store.images.nbytes)
    assert store.to("meta").images.device.type == "meta"
    assert not store.to("cpu").streamed


def test_resizing_keeps_brightness_and_colour():
    pictures = torch.zeros(2, 20, 20, 3, dtype=torch.uint8)
    pictures[0, ..., 0], pictures[1] = 200, 90
    small = resize(pictures, 5, 3)
    assert small.shape == (2, 3, 5, 5)
    assert small[0, 0].unique().tolist() == [200]
    assert resize(pictures, 5, 1)[:, 0, 0, 0].tolist() == [round(0.299 * 200), 90]
    assert resize(pictures[..., 0], 5, 3).shape == (2, 3, 5, 5)


def test_one_rotation_is_drawn_for_each_class_of_a_task():
    store, spec = store_of([3, 6, 6, 6]).rotated(meet=False), TaskSpec("classification", 3, 1, 3)
    classes = store.draw(20_000, spec, generator()).classes
    kinds, turns = classes % 4, classes // 4
    assert (kinds.sort(1).values == torch.tensor([1, 2, 3])).all()  # of the fourth there are too few images
    tasks, counts = torch.unique(kinds * 4 + turns, dim=0, return_counts=True)
    assert len(tasks) == 6 * 4**3
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    with pytest.raises(UserError, match=r"4 ways.*3 such classes, whose rotations count as one"):
        store.draw(1, spec._replace(ways=4), generator())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([3, 4, 9], ""),
        ([3, 1, 9], "1 of 3 classes has fewer than 3 images and is never drawn"),
        ([2, 1, 9, 9], "2 of 4 classes have fewer than 3 images and are never drawn"),
    ],
)
def test_classes_that_are_never_drawn_are_counted(sizes, message):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    store = ImageStore.from_labels(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels, [*map(str, sizes)])
    assert store.remark(TaskSpec("classification", 2, 1, 2)) == message
