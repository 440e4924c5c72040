"""How much an unseen domain can cost any learner at most, where the tasks' distributions are known."""

from __future__ import annotations

from typing import Any

from metagap.quantities.quantity import Quantity, Watched


def _measure(watched: Watched) -> float:
    source: Any = watched.source_tasks
    return source.total_variation(watched.target_tasks, watched.spec)


def _unknown(watched: Watched) -> str:
    source, target = watched.source_tasks, watched.target_tasks
    if not hasattr(source, "total_variation") or type(source) is not type(target):
        return "the total variation between these tasks is not known: it is for sources linear and sinusoid"
    return ""


TOTAL_VARIATION_BOUND = Quantity(
    name="total-variation-bound",
    about="Upper bound on the total variation between training tasks and those of the split: the expected loss of no "
    "learner, as a share of what it is clipped at, differs by more; 1 says nothing, 0 that there is no gap.",
    citation="Fallah, Mokhtari, Ozdaglar (2021), Generalization of Model-Agnostic Meta-Learning Algorithms: Recurring "
    "and Unseen Tasks, NeurIPS; the constants are ours",
    cost="nothing",
    measure=_measure,
    applies=_unknown,
)
