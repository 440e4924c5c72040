"""Is every number a number?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metagap.checking.cases import Case, Subject
from metagap.checking.findings import Fault


def finite(subject: Subject) -> str:
    """Whether all values are finite, in both precisions, on ordinary tasks."""
    for dtype in (torch.float32, torch.float64):
        for one in subject.cases(dtype):
            _need_finite(one.meta, f"init on {one}")
            for seed in range(3):
                _examine(one, seed)
    return "no NaN and no infinity in what init, adapt, predict and meta_gradient give, in float32 and float64"


def _examine(one: Case, seed: int) -> None:
    task = one.task(seed)
    own = one.unbound.inner_steps
    _need_finite(one.adapt(one.meta, task), f"adapt after {own} steps on {one}")
    for steps, fast in enumerate(one.adapt_path(one.meta, task, own)):
        _need_finite(fast, f"adapt_path after {steps} steps on {one}")
        _need_finite({"output": one.predict(fast, task.query_x)}, f"predict after {steps} steps on {one}")
    if one.unbound.trains:
        gradient, metrics = one.gradient(one.meta, one.training_task(seed))
        _need_finite(gradient, f"meta_gradient on {one}")
        _need_finite(metrics, f"the metrics of meta_gradient on {one}")


def _need_finite(values: Mapping[str, Tensor], place: str) -> None:
    for name, value in values.items():
        if not value.isfinite().all():
            what = "NaN" if value.isnan().any() else "infinity"
            share = f"{int((~value.isfinite()).sum())} of {value.numel()} values"
            raise Fault(f"{what} in '{name}', {share}: {place}, in {str(value.dtype).removeprefix('torch.')}")
