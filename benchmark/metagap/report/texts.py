"""The words of the page: findings, notes, what gaps and intervals mean, and what was run."""

from __future__ import annotations

import pandas as pd

from metagap import __version__
from metagap.report.frames import Frames
from metagap.report.panels import Prose, Text
from metagap.report.verdict import verdict

MEANINGS = (
    (
        "crossed",
        "New training runs and new episodes together: would another run on other episodes of these splits agree? The "
        "headline of scores, gaps and averages. Claims need three seeds.",
    ),
    ("seeds", "New training runs on these very episodes: t over the seeds."),
    ("episodes", "New episodes for these very runs: t over the episodes. The convention of most papers."),
    (
        "classes",
        "New classes for these very runs, as if the test classes were a sample of classes like them.",
    ),
    (
        "disjoint tasks",
        "New images of these classes for these very runs: episodes that share no image (Lafargue et al. 2024). It says "
        "nothing about new classes. Its score is that of fewer episodes.",
    ),
    (
        "domains",
        "New domains, training runs and episodes: an average gap as that of domains like these, not of these.",
    ),
)


def findings(frames: Frames) -> Prose:
    """Who is best, what new domains cost, and what is significant."""
    return Prose(paragraphs=verdict(frames), style="verdict")


def notes(frames: Frames) -> Prose:
    """What a reader of the numbers should know."""
    return Prose(items=frames.notes, style="notes")


def deviations(frames: Frames) -> Prose:
    """In what the suite differs from what it is compared with."""
    return Prose(items=frames.deviations, style="deviations")


def formulas(frames: Frames) -> Prose | None:
    """How every gap of the two tables is computed."""
    rows = pd.concat([frames.headline_gaps(within) for within in (False, True)])
    terms = [(kind.name, kind.formula) for kind in frames.gap_kinds.values() if kind.name in set(rows["gap"])]
    reference = frames.reference(rows)
    return Prose(terms=[*terms, *([("the reference", reference)] if reference else []), *frames.kind.terms])


def intervals(frames: Frames) -> Prose:
    """What each interval resamples; tasks that share no example have neither classes nor disjoint tasks."""
    shared = ("classes", "disjoint tasks")
    return Prose(terms=[term for term in MEANINGS if "open" in frames.kind.diagnostics or term[0] not in shared])


def facts(frames: Frames) -> list[tuple[str, str]]:
    """The suite in a few words; the first five are at the top of the page."""
    suite = frames.suite
    facts = [
        ("Task", f"{suite.shape()} {suite.kind}"),
        ("Model", suite.model["name"]),
        ("Training data", ", ".join(suite.source.get("sources", [suite.source["name"]]))),
        (
            "Training",
            f"{suite.training.iterations:,} iterations of {suite.training.meta_batch} tasks, {frames.seed_words}",
        ),
        ("Test", _test(frames)),
    ]
    if frames.kind.has_ways:
        facts.append(("Batch normalization", suite.evaluation.batch_norm))
    return [*facts, ("Algorithms", ", ".join(frames.algorithms))]


def _test(frames: Frames) -> str:
    """How much is scored."""
    tasks, rollouts = frames.suite.evaluation.episodes, frames.suite.task.queries
    if frames.kind.acts:
        return f"{tasks:,} tasks per split and {rollouts:,} rollouts of each, the same for all"
    return f"{tasks:,} episodes per split, the same for all"


def budget(frames: Frames) -> Prose:
    """What was run, once for all models, and the hyper-parameters of each algorithm."""
    cells = frames.cells

    def values(column: str) -> str:
        return ", ".join(dict.fromkeys(cells[column].astype(str))) if column in cells else "not recorded"

    lines = [
        ("Device", values("device")),
        ("Environment", f"torch {values('torch')}, metagap {values('metagap') if 'metagap' in cells else __version__}"),
        ("Commit", values("commit")),
        ("Seeds", ", ".join(map(str, frames.suite.seeds))),
        ("Evaluated parameters", values("selection")),
    ]
    for name in frames.algorithms:
        entry = frames.suite.algorithms[name]
        settings = [f"{key} = {value}" for key, value in entry.hyperparameters.items()]
        settings.append(f"{frames.headline_step(name)} inner steps at test")
        kind = f"{entry.algorithm}: " if entry.algorithm != name else ""
        lines.append((name, kind + ", ".join(settings)))
    return Prose(terms=[*facts(frames), *lines])


FINDINGS = Text(name="findings", section="findings", write=findings)
NOTES = Text(name="notes", section="findings", write=notes)
DEVIATIONS = Text(
    name="deviations",
    section="published",
    heading="Known deviations from the published protocol",
    write=deviations,
)
FORMULAS = Text(name="formulas", section="gaps", folded="How each gap is computed", write=formulas)
INTERVALS = Text(name="what-intervals-mean", section="intervals", write=intervals)
BUDGET = Text(name="budget", section="provenance", write=budget)
