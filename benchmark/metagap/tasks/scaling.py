"""How numbers of a file become inputs: scaled by the training examples or by the support set, never by queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["train", "support", "none"]

FORECASTS = 2
"""Revision of how forecasts are scaled by support sets."""

AT_ONCE = 2**24
"""Values that are looked at together, for statistics."""


@dataclass(frozen=True)
class Scaling:
    """What is done to every feature, which is the second axis of examples (n, features, ...).

    A number is shifted and scaled to mean 0 and standard deviation 1; a constant becomes 0, and so does what is missing
    (NaN). A term frequency is multiplied with its inverse document frequency among the training examples. An indicator
    stays what it is, and a code too, unless no training example has it: then it becomes 0. Targets (n, targets) are
    scaled like numbers, by the training examples, but not with the mode "none".

    Targets of forecasts, which are later values of the last feature, are scaled exactly as that feature is: with the
    mode "support", by the support set. There it keeps the factor of training where the support set has one value only,
    and with it an error of its forecasts.
    """

    mode: Mode
    levels: Tensor
    """(features,) see `Records.levels`."""
    center: Tensor
    """(features,) subtracted ..."""
    factor: Tensor
    """... before this is multiplied with (features,); 0 where training knows nothing of a feature."""
    coded: Tensor
    """(codes,) which features are codes."""
    known: Tensor
    """(codes, most levels) whether training knows a code; what is no code of a feature is unknown."""
    target_center: Tensor
    """(targets,)."""
    target_factor: Tensor
    """(targets,)."""
    forecasts: bool
    """Whether targets are later values of the last feature."""

    @classmethod
    def of(cls, mode: Mode, x: Tensor, y: Tensor | None, levels: Tensor, forecasts: bool = False) -> Scaling:
        """By training examples x (n, features, ...) and, in regression, their targets y (n, targets)."""
        center, factor = _statistics(x)
        number, indicator, code = levels == 0, levels == 1, levels > 1
        seen = torch.stack([(column.nan_to_num() != 0).any() for column in x.unbind(1)])
        if mode == "none":
            center, factor = torch.zeros_like(center), torch.ones_like(factor)
        factor = torch.where(number, factor, torch.where(indicator, seen, code).to(factor.dtype))
        if (frequency := levels < 0).any():
            factor = torch.where(frequency, 1.0 if mode == "none" else _rarity(x), factor)
        coded = code.nonzero().flatten()
        known = torch.zeros(len(coded), max(0, int(levels.max())), dtype=torch.bool)
        for own, feature in zip(known, coded.tolist(), strict=True):
            own[x[:, feature].long().unique()] = True
        of_targets = torch.zeros(1), torch.ones(1)
        if y is not None and mode != "none":
            of_targets = _statistics(x[:, -1:] if forecasts else y)
        return cls(mode, levels, torch.where(number, center, 0), factor, coded, known, *of_targets, forecasts)

    def to(self, device: torch.device) -> Scaling:
        """The same on a device."""
        return replace(
            self, **{name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        )

    def inputs(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """The support sets (T, n, features, ...) and queries of tasks as a network is given them."""
        axes = (1, 1, -1, *[1] * (support.ndim - 3))
        center, factor = self.center.view(axes), self.factor.view(axes)
        if self.mode == "support":
            number = self.levels.view(axes) == 0
            own_center, own_factor = _of_each(support)
            if self.forecasts:
                own_center[:, :, -1:], own_factor[:, :, -1:] = self._of_last(support)
            center, factor = torch.where(number, own_center, center), torch.where(number, own_factor, factor)
        scaled_support, scaled_query = (((self._known(x) - center) * factor).nan_to_num(0.0) for x in (support, query))
        return scaled_support, scaled_query

    def targets(self, y: Tensor, support: Tensor) -> Tensor:
        """Targets y (T, n, targets) of tasks with these support sets (T, n, features, ...), as they are to be
        predicted."""
        center, factor = self.target_center, self.target_factor
        if self.mode == "support" and self.forecasts:
            center, factor = (moment.view(-1, 1, 1) for moment in self._of_last(support))
        return (y - center) * factor

    def _of_last(self, support: Tensor) -> tuple[Tensor, Tensor]:
        """The statistics of the last feature of each support set (T, n, features, ...): (T, 1, 1, 1, ...)."""
        last = support[:, :, -1:]
        center, factor = _of_each(last)
        lacking = last.isnan().flatten(1).all(1).view(center.shape)
        return torch.where(lacking, self.target_center, center), torch.where(factor == 0, self.target_factor, factor)

    def unknown(self, x: Tensor) -> list[int]:
        """The indicators and codes that occur in x (n, features, ...), but in no training example."""
        unseen = ((self.levels == 1) & (self.factor == 0)).nonzero().flatten().tolist()
        found = [feature for feature in unseen if (x[:, feature] != 0).any()]
        for known, feature in zip(self.known, self.coded.tolist(), strict=True):
            codes = x[:, feature].long()
            if ((codes != 0) & ~known[codes]).any():
                found.append(feature)
        return found

    def _known(self, x: Tensor) -> Tensor:
        """The examples (T, n, features, ...) with codes that training does not know as 0."""
        if not len(self.coded):
            return x
        codes = x[:, :, self.coded]
        rows = torch.arange(len(self.coded), device=x.device)
        return x.index_copy(2, self.coded, codes * self.known[rows, codes.long()])


def _rarity(x: Tensor) -> Tensor:
    """The inverse document frequency of each feature of x (n, features): 1 + ln((1 + n) / (1 + those that have it))."""
    return 1 + ((1 + len(x)) / (1 + (x != 0).sum(0))).log()


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and inverse standard deviation of each feature of x (n, features, ...), without what is missing; 0 and 0
    where nothing is left, and 0 for that of a constant."""
    found = []
    for features in x.split(max(1, AT_ONCE * x.shape[1] // max(1, x.numel())), 1):
        values = features.double().transpose(0, 1).flatten(1)
        found.append(_moments(values, 1))
    center, factor = (torch.cat(parts).float() for parts in zip(*found, strict=True))
    return center, factor


def _of_each(support: Tensor) -> tuple[Tensor, Tensor]:
    """The same of each support set (T, n, features, ...): (T, 1, features, 1, ...)."""
    values = support.double().transpose(1, 2).flatten(2)
    shape = (len(support), 1, support.shape[2], *[1] * (support.ndim - 3))
    center, factor = (moment.to(support.dtype).view(shape) for moment in _moments(values, 2))
    return center, factor


def _moments(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    center = values.nanmean(axis)
    deviation = (values - center.unsqueeze(axis)).square().nanmean(axis).sqrt()
    constant = ~(values.nan_to_num(-torch.inf).amax(axis) > values.nan_to_num(torch.inf).amin(axis))
    return center.nan_to_num(0.0), torch.where(constant | deviation.isnan(), 0.0, 1 / deviation).nan_to_num(0.0)
