"""Does the inner loop leave alone what it is told to? Scale and shift of normalisation, where `adapt_norm` is off."""

from __future__ import annotations

from dataclasses import replace

import torch

from metagap.algorithms.base import norm_parameters
from metagap.checking.cases import Subject
from metagap.checking.findings import Fault, Note


def normalisation(subject: Subject) -> str:
    """Whether an algorithm with the setting `adapt_norm` heeds it."""
    subject.need_instance()
    if "adapt_norm" not in type(subject.algorithm).model_fields:
        raise Note("nothing to examine: it has no setting `adapt_norm`")
    off = subject.algorithm.model_copy(update={"adapt_norm": False})
    cases = [one for one in subject.cases() if norm_parameters(one.network)]
    if not cases:
        raise Note("not examined, for no network that it works on has normalisation")
    for usual in cases:
        one = replace(usual, unbound=off).seeded()
        fast = one.adapt(one.meta, one.task(), one.unbound.inner_steps + 1)
        kept = [name for name in sorted(norm_parameters(one.network)) if name in one.meta and name in fast]
        if moved := [name for name in kept if not torch.equal(fast[name], one.meta[name])]:
            raise Fault(
                f"with adapt_norm = false the inner loop moves '{moved[0]}' all the same; take "
                f"`self.support_gradient`, which heeds the setting, instead of a gradient of one's own ({one})"
            )
    return "with adapt_norm = false the inner loop leaves scale and shift of normalisation as they are"
