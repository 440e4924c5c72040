"""How a function of one task is computed for many."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from metagap.algorithms.base import Algorithm
from metagap.engine.layers import FORMS, Form
from metagap.errors import UserError

How = Literal["vmap", "loop"]
Run = Literal["eager", "traced", "compiled"]


class Plan(NamedTuple):
    """How a function of one task is mapped over tasks and run. None of it changes what is computed."""

    how: How = "vmap"
    """vmap: many tasks in every operation; loop: task by task."""
    form: Form = "plain"
    """Of the network's layers, see `layers`."""
    run: Run = "eager"
    """eager: as it is written; traced: as a list of tensor operations; compiled: these made into kernels by torch."""
    chunk: int = 256
    """Tasks at once, at most; always 1 in a loop."""
    share: bool | None = True
    """Compute what is needed twice only once, and keep it; False: save the memory; None: as `tracing` finds better. For
    traced and compiled runs."""

    def __str__(self) -> str:
        at_once = [f"chunk={self.chunk}"] if self.how == "vmap" and self.chunk != MOST_TASKS else []
        again = ["recompute"] if self.share is False else []
        return " ".join([self.how, self.form, self.run, *at_once, *again])


MOST_TASKS = 256


AS_WRITTEN = Plan("loop")
"""One task at a time, eagerly: what every algorithm can follow."""


def permitted(plan: Plan, algorithm: Algorithm) -> Plan:
    """`plan`, or the one that an algorithm which is not mappable can follow."""
    return plan if algorithm.mappable else AS_WRITTEN


def parse(text: str, plan: Plan) -> Plan:
    """`plan` with the choices that `text` names, such as `vmap traced` or `loop channels-last`; raises UserError."""
    words = text.replace(",", " ").split()
    for choices in (get_args(How), FORMS, get_args(Run), ("share", "recompute")):
        if len(chosen := list(dict.fromkeys(word for word in words if word in choices))) > 1:
            raise UserError(f"--engine '{text}': {' and '.join(chosen)} exclude each other")
    if "loop" in words and any(word.startswith("chunk=") for word in words):
        raise UserError(f"--engine '{text}': a loop takes one task at a time, so it has no chunk")
    for word in words:
        if word in get_args(How):
            plan = plan._replace(how=word)
        elif word in FORMS:
            plan = plan._replace(form=word)
        elif word in get_args(Run):
            plan = plan._replace(run=word)
        elif word in ("share", "recompute"):
            plan = plan._replace(share=word == "share")
        elif word.startswith("chunk=") and word[6:].isdigit() and int(word[6:]):
            plan = plan._replace(chunk=int(word[6:]))
        elif word != "auto":
            allowed = ["auto", *get_args(How), *FORMS, *get_args(Run), "share", "recompute", "chunk=N"]
            raise UserError(f"--engine: '{word}' is not allowed; allowed, one or several: {', '.join(allowed)}")
    return plan
