"""Several stores as one, whose tasks are each of one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from metagap.errors import UserError
from metagap.tasks.groups import Grouped, Mix
from metagap.tasks.images import ImageStore
from metagap.tasks.records import RecordStore

S = TypeVar("S", bound=Grouped)


def mixed_images(stores: Mapping[str, ImageStore], weights: Mapping[str, float]) -> ImageStore:
    """A store with the classes of all stores, one behind the other, called by the name of their store and their own.

    weights: of each store; its tasks are drawn with its share of them. Raises UserError where images differ in shape.
    """
    members = [*stores.values()]
    _refuse_different(stores, "their images have the shapes", lambda store: store.x_shape)
    return ImageStore(
        images=_behind(members, lambda store: store.images),
        start=_shifted(members, lambda store: store.start, lambda store: len(store.images)),
        size=torch.cat([store.size for store in members]),
        turns=torch.cat([store.turns for store in members]),
        names=_called(stores, lambda store: store.names),
        meet=all(store.meet for store in members),
        digests=tuple(digest for store in members for digest in store.digests),
        mix=_mix(stores, weights),
    )


def mixed_records(stores: Mapping[str, RecordStore], weights: Mapping[str, float]) -> RecordStore:
    """A store with the tasks or the classes of all stores, one behind the other, not scaled yet.

    Where all stores have the same classes, these are the classes; otherwise they are called like those of images.
    Raises UserError where examples differ in shape, or the stores in how tasks are made of them.
    """
    members = [*stores.values()]
    _refuse_different(stores, "their examples have the shapes", lambda store: store.x_shape)
    _refuse_different(stores, "their features are called", lambda store: store.features)
    _refuse_different(stores, "their categories and their numbers are", lambda store: store.levels.tolist())
    _refuse_different(stores, "the numbers of their targets are", lambda store: store.outputs)
    _refuse_different(stores, "targets are later values of the last feature", lambda store: store.forecasts)
    _refuse_different(stores, "the tasks are those of the file", lambda store: store.of_file)
    same = len({store.classes for store in members}) == 1
    if members[0].fixed and not same:
        raise UserError("labels = 'fixed' is for sources with the same classes, and these have different ones")
    return RecordStore(
        x=_behind(members, lambda store: store.x),
        y=None if members[0].y is None else torch.cat([store.y for store in members if store.y is not None]),
        start=_shifted(members, lambda store: store.start, lambda store: len(store.x)),
        size=torch.cat([store.size for store in members]),
        label=_shifted(members, lambda store: store.label, lambda store: 0 if same else len(store.classes)),
        task=_shifted(members, lambda store: store.task, lambda store: len(store.tasks))
        if members[0].of_file
        else None,
        classes=members[0].classes if same else _called(stores, lambda store: store.classes),
        tasks=_called(stores, lambda store: store.tasks),
        levels=members[0].levels,
        features=members[0].features,
        forecasts=members[0].forecasts,
        fixed=members[0].fixed,
        mix=_mix(stores, weights),
    )


def _mix(stores: Mapping[str, Grouped], weights: Mapping[str, float]) -> Mix:
    sizes = torch.tensor([len(store.size) for store in stores.values()])
    shares = torch.tensor([weights[name] for name in stores], dtype=torch.float64)
    return Mix(tuple(stores), shares, torch.arange(len(sizes)).repeat_interleave(sizes))


def _shifted(members: Sequence[S], indices: Callable[[S], Any], number: Callable[[S], int]) -> Tensor:
    """Indices of each store into what it has, as those into what all of them have: `number` is how much one has."""
    before = [sum(map(number, members[:place])) for place in range(len(members))]
    return torch.cat([indices(store) + first for store, first in zip(members, before, strict=True)])


def _called(stores: Mapping[str, S], names: Callable[[S], Sequence[str]]) -> tuple[str, ...]:
    return tuple(f"{member}/{name}" for member, store in stores.items() for name in names(store))


def _refuse_different(stores: Mapping[str, S], what: str, fact: Callable[[S], Any]) -> None:
    """Raise UserError with the fact about each store where they do not all have the same."""
    facts = {name: fact(store) for name, store in stores.items()}
    if any(one != other for one in facts.values() for other in facts.values()):
        raise UserError(f"its sources do not go together: {what} {'; '.join(_facts(facts))}")


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, fact in facts.items():
        yield f"{fact} in {name}"


def _behind(members: Sequence[S], examples: Callable[[S], Tensor]) -> Tensor:
    """The examples of all stores in one tensor, the same one for all parts of them: parts are views."""
    tensors = [examples(store) for store in members]
    key = tuple((tensor.data_ptr(), tensor.shape) for tensor in tensors)
    if key not in _known:
        _known[key] = (tensors, torch.cat(tensors))
    return _known[key][1]


_known: dict[Any, tuple[list[Tensor], Tensor]] = {}
"""What this process has put behind one another; the parts are kept, so that no other tensor comes to lie there."""
