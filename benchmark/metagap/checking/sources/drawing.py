"""Drawing and looking up: the same draw is the same tasks, whole or in slices, and a seed decides all of it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binom

from metagap.checking.findings import Fault, Note
from metagap.checking.randomness import seed_all, states
from metagap.checking.sources.subject import Seen, Subject
from metagap.tasks.contract import check_draw, check_lookup
from metagap.tasks.episode import TaskSpec
from metagap.tasks.sampling import raw
from metagap.text import listed

TASKS = 4
RARE = 1e-9
"""What happens so rarely by chance does not happen by chance."""


def draws(subject: Subject) -> str:
    """Whether draws have a length, can be sliced, and come of their generator alone."""
    for part in subject.drawable:
        sampler = subject.sampler(part)
        check_draw(sampler.tasks, sampler.spec, TASKS)
        found = []
        for others in (1, 2):
            seed_all(others)
            before = states()
            found.append(raw(subject.sampler(part).draw(TASKS).draw))
            if touched := [library for library, state in states().items() if state != before[library]]:
                raise Fault(f"{part}: draw uses {touched[0]}'s global random numbers, and not its generator alone")
        if found[0] != found[1]:
            raise Fault(f"{part}: draw depends on global random numbers, and not on its generator alone")
        following = subject.sampler(part)
        first, second = (raw(following.draw(TASKS).draw) for _ in range(2))
        if first == second:
            raise Fault(f"{part}: two draws from one generator are the same tasks: it is not drawn from")
        if found[0] == raw(subject.sampler(part, seed=1).draw(TASKS).draw):
            raise Fault(f"{part}: other seeds draw the same tasks: the generator is not drawn from")
    return "of their generator alone; the same seed gives the same tasks, another seed others"


def episodes(subject: Subject) -> str:
    """Whether shapes, types and labels are as the form says, numbers finite, and a draw is always the same tasks."""
    count = 0
    for part in subject.drawable:
        sampler = subject.sampler(part)
        drawn = subject.seen[part].drawn
        seed_all(1)
        before = states()
        first = check_lookup(sampler.tasks, sampler.spec, drawn.draw)
        touched = [library for library, state in states().items() if state != before[library]]
        seed_all(2)
        again = sampler.tasks.episode(drawn.draw, sampler.spec)
        if any(not torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, again, strict=True)):
            raise Fault(f"{part}: episode gives something else for other global random numbers; draw has to draw all")
        if touched:
            raise Fault(f"{part}: episode uses {touched[0]}'s global random numbers; draw has to draw all")
        count += len(drawn)
    spec = subject.spec
    labels = f", labels 0..{spec.ways - 1} all present" if spec.kind.has_ways else ""
    return f"{count} tasks: shapes and types as the form says{labels}; looked up twice and in slices they are the same"


def overlap(subject: Subject) -> str:
    """Whether any query of a task is an example of its support set."""
    notes, told = [], 0
    for part, seen in subject.seen.items():
        support, query = seen.examples
        again = sum(int(np.isin(q, s).sum()) for s, q in zip(support, query, strict=True))
        told += query.size
        rows = getattr(seen.drawn.draw, "rows", None)
        if isinstance(rows, torch.Tensor) and rows.ndim == 3 and rows.shape[-1] > 1:
            ordered = rows.sort(-1).values
            if twice := int((ordered[..., 1:] == ordered[..., :-1]).sum()):
                raise Fault(f"{part}: {twice} examples were drawn twice for the same class of a task")
        else:
            rows = None
        if not again:
            continue
        found = f"{part}: {again} of {query.size} queries equal an example of the support set of their task"
        if getattr(subject.parts[part], "independent", False):
            notes.append(f"{found}, for examples are drawn independently")
        elif rows is None or _more_across_than_within(seen, subject.spec):
            raise Fault(f"{found}: what is learned by heart would count as generalization")
        else:
            notes.append(f"{found}: the data hold some examples more than once")
    if notes:
        raise Note("; ".join(notes))
    return f"none of {told} queries of {listed(list(subject.seen))} is in the support set of its task"


def _more_across_than_within(seen: Seen, spec: TaskSpec) -> bool:
    """Whether equal examples are support and query more often than both of one: of doubles in the data, some are."""
    across = within = 0
    for support, query in zip(*seen.examples, strict=True):
        both = np.unique(np.concatenate([support, query]))
        s, q = ((one[:, None] == both).sum(0) for one in (support, query))
        across += int((s * q).sum())
        within += int((s * (s - 1) + q * (q - 1)).sum()) // 2
    s, q = spec.shots, spec.queries
    chance = s * q / (s * q + (s * (s - 1) + q * (q - 1)) / 2)
    return float(binom.sf(across - 1, across + within, chance)) < RARE
