"""The finished cells of a suite as data frames; what is damaged is left out and named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, overload

import numpy as np
import pandas as pd

from metagap import kinds
from metagap.errors import UserError
from metagap.metrics import Metric
from metagap.results.environments import lettered
from metagap.results.episodes import Columns, Gathering, Recorded, read_episodes
from metagap.results.failures import Failed, diverged, failures, minute
from metagap.results.files import DamagedError
from metagap.results.frames import empty
from metagap.results.index import Marked
from metagap.results.markers import CLASSES, FORMAT, ROLLOUTS, read_config, read_file
from metagap.results.own import OWN, read_own
from metagap.results.survey import Survey, survey
from metagap.results.tables import Table
from metagap.results.training import ALONG, BESIDE, QUANTITIES
from metagap.suite import Suite, said

MEND = "`metagap run` does again what is needed, and keeps the damaged files under other names"


class _Episodes:
    """The field `episodes` of results: given as a data frame or as what was read, of which one is made on request."""

    @overload
    def __get__(self, results: None, of: type) -> NoReturn: ...
    @overload
    def __get__(self, results: Results, of: type) -> pd.DataFrame: ...
    def __get__(self, results: Results | None, of: type) -> pd.DataFrame:
        if results is None:
            raise AttributeError("episodes")  # the field has no default
        return results.recorded.frame

    def __set__(self, results: Results, given: pd.DataFrame | Recorded) -> None:
        results.__dict__["recorded"] = given if isinstance(given, Recorded) else Recorded.of(given)


@dataclass(frozen=True)
class Results:
    """The finished cells of one variant of a suite.

    suite: as it was run, with the resolved settings of the algorithms that have cells. cells: one row per cell. curves:
    one row per recorded training iteration. samples: one sample episode per split. notes: sentences that a reader of
    the numbers should know. episodes: one row per test episode and inner step. variant: what the configuration is known
    by, empty where cells of several are put together. metrics: what is recorded, the headline first; it is that of the
    columns query_score and support_score, and the others have columns of their own. classes: (algorithm, seed, split)
    -> which classes of the split each of its test episodes holds, (episodes, ways) by index, where that is recorded.
    rollouts: (algorithm, seed, split) -> what the learned policy does in the first test tasks, where tasks answer back.
    met: split -> a digest of its test episodes, where all cells met the same ones. failed: the cells without results,
    and those that diverged, whose scores count as the worst.
    along: the first episodes of every split at points of meta-training, as in `episodes` but at the headline step only
    and with a column `iteration`, from 0, the untrained start, to the end. quantities: what was measured beside the
    scores: algorithm, seed, quantity, iteration, split (empty: of the whole cell), episode (-1: a single number) and
    value (NaN where it does not apply; the notes say why). Both are empty where a suite does not ask for them.
    environments: one row for each different one, by the letter that `cells` has in its column `environment`.
    """

    suite: Suite
    cells: pd.DataFrame
    curves: pd.DataFrame
    samples: dict[str, dict[str, np.ndarray]]
    notes: list[str]
    episodes: _Episodes = _Episodes()
    variant: str = ""
    metrics: tuple[Metric, ...] = ()
    """By default the one of old records: that of the kind of task."""
    classes: dict[tuple[str, int, str], np.ndarray] = field(default_factory=dict)
    rollouts: dict[tuple[str, int, str], dict[str, np.ndarray]] = field(default_factory=dict)
    met: dict[str, str] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    along: pd.DataFrame = field(default_factory=partial(empty, ALONG))
    quantities: pd.DataFrame = field(default_factory=partial(empty, QUANTITIES))
    environments: pd.DataFrame = field(default_factory=pd.DataFrame)
    recorded: Recorded = field(init=False, repr=False, compare=False)
    """The test episodes, by column and as a data frame."""

    def __post_init__(self) -> None:
        if not self.metrics:
            object.__setattr__(self, "metrics", (self.suite.kind.metric,))

    @property
    def metric(self) -> Metric:
        """The headline metric."""
        return self.metrics[0]

    @property
    def columns(self) -> Columns:
        """The test episodes by column, which takes a small part of the time and memory of the data frame."""
        return self.recorded.columns

    def iterations(self, algorithm: str | None = None) -> list[int]:
        """The points of meta-training that were scored, of an algorithm or of any; none where no checkpoints were."""
        rows = self.along if algorithm is None else self.along[self.along["algorithm"] == algorithm]
        return sorted(int(one) for one in rows["iteration"].unique())

    def at(self, iteration: int) -> Results:
        """The same results with the episodes of this point of meta-training, for whatever reads `episodes`.

        An algorithm that does not train is the same at every point. Raises UserError where nothing was scored there.
        """
        points = {one: self.iterations(one) for one in self.along["algorithm"].unique()}
        here = {one: 0 if known == [0] else iteration for one, known in points.items()}
        rows = self.along[self.along["iteration"] == self.along["algorithm"].map(here)]
        if iteration not in self.iterations() or rows.empty:
            allowed = ", ".join(map(str, self.iterations())) or "none: the suite has no evaluation.checkpoints"
            raise UserError(f"nothing was scored at iteration {iteration}; allowed: {allowed}")
        return replace(self, episodes=rows.drop(columns="iteration").reset_index(drop=True))


def read(
    results: Path,
    suite: str,
    variant: str | None = None,
    hashes: Collection[str] = (),
    reference: str | None = None,
) -> Results:
    """The finished cells of `suite` below the folder `results`.

    Results of different variants (another budget, another network, other splits) are never mixed: without `variant`,
    that of the suite as its file says is read, or the one that was finished last where this is not known, and the notes
    say that there are others. hashes: of the cells that are meant where one was run with several settings. reference:
    the suite's, where it is not that of its last run. Damaged cells are left out, and the notes name the file. Raises
    UserError where there is nothing to read.
    """
    seen, own = survey(results / suite), read_own(results / suite)
    if variant is None and own is not None and own.sweep is not None:
        members = "; ".join(f"{one.variant} has {said(own.sweep.axes, one.values)}" for one in own.sweep.members)
        raise UserError(
            f"suite '{suite}' is a sweep: `metagap report {suite}` shows the whole of it; one of its members is named "
            f"by --variant: {members}"
        )
    variants = list(dict.fromkeys(one.head.variant for one in reversed(seen.found)))
    if not variants or variant not in (None, *variants):
        others = f"; there are the variants {', '.join(variants)}" if variants else ""
        what = f"suite '{suite}'" if variant is None else f"variant '{variant}' of suite '{suite}'"
        problem = f"no finished results of {what} in '{results / suite}'{others}; `metagap run {suite}` makes them"
        raise UserError("\n".join([problem, *remarks_of(seen)]))
    chosen = variant or (own.variant if own and own.variant in variants else variants[0])
    notes = []
    if variant is None and own is None and (path := results / suite / OWN).is_file():
        notes.append(
            f"'{path}' is damaged, which says what the suite's file has; what was finished last is shown. `metagap run "
            f"{suite}` writes it again."
        )
    if len(variants) > 1 and variant is None:
        notes.append(
            f"{len(variants) - 1} other configuration(s) of this suite are in the store and not shown "
            f"({', '.join(_name(v, seen) for v in variants if v != chosen)}; `metagap results list` tells them apart); "
            f"this one is {chosen}."
        )
    meant = {*hashes} or (own.hashes if own and own.variant == chosen else frozenset())
    latest = of_same_settings([one for one in seen.found if one.head.variant == chosen], meant, notes)
    notes += remarks_of(seen)
    failed = unmended([one for one in failures(results / suite) if one.variant in (chosen, "")], latest)
    notes += map(said_of, failed)
    cells = opened(latest, notes)
    if reference is None and own and own.variant == chosen:
        reference = own.reference
    return assemble(cells, list(dict.fromkeys(notes)), chosen, reference, failed)


def unmended(failed: Sequence[Failed], done: Mapping[tuple[str, int], Marked]) -> list[Failed]:
    """The failures of cells that were not finished since."""
    return [one for one in failed if (there := done.get((one.label, one.seed))) is None or there.finished < one.when]


def said_of(failed: Failed) -> str:
    """A failure as a sentence."""
    return f"{failed.label} seed {failed.seed} failed on {minute(failed.when)}: {failed}."


def of_same_settings(
    cells: Sequence[Marked], meant: Collection[str], notes: list[str]
) -> dict[tuple[str, int], Marked]:
    """The cells of each algorithm that agree with the one that is meant, or else with the last, whatever the seed.

    cells: in the order in which they were finished. meant: hashes. Sentences on what is left out are added to `notes`.
    """
    chosen: dict[tuple[str, int], Marked] = {}
    by_label: dict[str, list[Marked]] = {}
    for one in cells:
        by_label.setdefault(one.head.label, []).append(one)
    for label, ones in by_label.items():
        places = enumerate(ones)
        _, last = max(places, key=lambda pair: (bool(pair[1].head.settings), pair[1].hash in meant, pair[0]))
        chosen |= {(label, one.head.seed): one for one in ones if not one.head.settings}  # whose damage is reported
        chosen |= {(label, one.head.seed): one for one in ones if one.head.settings == last.head.settings}
        if left := sorted({one.head.seed for one in ones if one.head.settings not in ("", last.head.settings)}):
            which = "those of the suite" if last.hash in meant else "the last ones"
            seeds = ", ".join(map(str, left))
            notes.append(f"{label} was run with several settings; {which} are shown, others (seed {seeds}) are not.")
    return chosen


def _name(variant: str, seen: Survey) -> str:
    """A variant, and whether it is of an earlier version."""
    earlier = all(one.is_earlier for one in seen.found if one.head.variant == variant)
    return f"{variant} of an earlier version" if earlier else variant


def _versions(markers: Collection[Mapping[str, Any]]) -> Iterator[str]:
    """Sentences on cells that an earlier version of metagap wrote."""
    if earlier := sum(marker["format"] != FORMAT for marker in markers):
        yield (
            f"{earlier} cell(s) are of an earlier version of metagap, which recorded no revisions of the code: later "
            "corrections are not in their numbers."
        )
    if undigested := sum(marker["format"] == 1 for marker in markers):
        yield f"{undigested} cell(s) were written without digests: damage may go unseen."


def opened(
    cells: Mapping[tuple[str, int], Marked], notes: list[str]
) -> dict[tuple[str, int], tuple[Path, dict[str, Any]]]:
    """Their folders and what their markers say, for `assemble`; one that cannot be read any more is left out."""
    found = {}
    for key, one in cells.items():
        try:
            found[key] = one.path.parent, one.marker
        except DamagedError as error:
            notes.append(_left_out(error))
    return found


def _left_out(error: DamagedError) -> str:
    return f"{error}. That cell is left out; {MEND}."


def remarks_of(seen: Survey) -> Iterator[str]:
    """Sentences on what of a store is not shown."""
    yield from map(_left_out, seen.damaged.values())
    if seen.ignored:
        yield (
            f"{len(seen.ignored)} result(s) are of a format that this version does not know and are ignored, such as "
            f"'{seen.ignored[0]}'; running again repeats them."
        )


def assemble(
    cells: Mapping[tuple[str, int], tuple[Path, dict[str, Any]]],
    notes: list[str],
    variant: str = "",
    reference: str | None = None,
    failed: Sequence[Failed] = (),
) -> Results:
    """The results of chosen cells: (label, seed) -> the folder and what its marker says, with the files to be read.

    reference: of the suite; by default what it was when the last cell was run. failed: cells that have no results.

    A damaged cell is left out, and of one whose evaluation of a split is damaged, that split; the notes name the file.
    Raises UserError where nothing is left.
    """
    gathered, damage = Gathering(), []
    records: dict[tuple[str, int], _Record] = {}
    chosen = sorted((list(marker["suite"]["algorithms"]) for _, marker in cells.values()), key=len, reverse=True)
    labels = list(dict.fromkeys(label for names in chosen for label in names))  # in the order of the fullest run
    for label, seed in sorted(cells, key=lambda key: (_rank(key[0], labels), key[1])):
        try:
            records[label, seed] = _record(*cells[label, seed], partial(gathered.add, label, seed), damage)
        except DamagedError as error:
            damage.append(f"{error}. {label} seed {seed} is left out; {MEND}.")
    if not records:
        raise UserError("\n".join(["no result can be read", *notes, *damage]))
    notes = [*notes, *_versions([one.marker for one in records.values()]), *damage]
    rows, curves = [], []
    samples: dict[str, dict[str, np.ndarray]] = {}
    last = next(records[key].marker for key in reversed(list(cells)) if key in records)
    suite = dict(last["suite"])
    order = {split["name"]: i for i, split in enumerate(suite["splits"])}
    algorithms: dict[str, Any] = {}
    letters, environments = lettered([one.marker.get("environments") or [one.environment] for one in records.values()])
    for ((label, seed), one), letter in zip(records.items(), letters, strict=True):
        done = one.marker
        about = {"algorithm": label, "seed": seed, "hash": done["hash"], "environment": letter}
        rows.append({**about, **done["record"], **one.environment, **about})
        algorithms[label] = {
            "algorithm": done["algorithm"],
            **done["hyperparameters"],
            "training": done["training"],
            "evaluation": done["evaluation"],
        }
        if done["record"].get("diverged"):
            end = f" and ended after {done['record']['iterations']:,} iterations"
            notes.append(f"The meta-training of {label} with seed {seed} diverged{end}: its loss is not finite.")
        samples = {**one.samples, **samples}
        curves.append(one.curve.assign(algorithm=label, seed=seed))
        notes += [note for note in done["notes"] if note not in notes]
    met = {split: {one.marker["episodes"].get(split) for one in records.values()} - {None} for split in order}
    for split, digests in met.items():
        if len(digests) > 1:
            notes.append(
                f"The test episodes of '{split}' differ between cells (other data, or another version of metagap): "
                "differences on it are not paired. Removing the older cells and running again mends that."
            )
    suite |= {} if reference is None else {"reference": reference}
    suite |= {"algorithms": algorithms, "seeds": sorted({seed for _, seed in records})}
    counts = {label: sum(1 for name, _ in records if name == label) for label in algorithms}
    if len(set(counts.values())) > 1:
        notes.append(
            "Not every algorithm has the same seeds: " + ", ".join(f"{k} {v}" for k, v in counts.items()) + "."
        )
    samples = dict(sorted(samples.items(), key=lambda item: order.get(item[0], len(order))))
    metrics = _common(_metrics(last), [_metrics(one.marker) for one in records.values()])
    columns, read_again = gathered.columns(), partial(_frame, records)
    return Results(
        suite=Suite.recorded(suite),
        cells=pd.DataFrame(rows),
        episodes=Recorded(lambda: columns, read_again),
        curves=_concat(curves),
        samples=samples,
        notes=notes,
        classes=_shared({(*key, split): held for key, one in records.items() for split, held in one.classes.items()}),
        rollouts={(*key, split): held for key, one in records.items() for split, held in one.rollouts.items()},
        variant=variant,
        failed=(*failed, *filter(None, (diverged(one.marker) for one in records.values()))),
        metrics=metrics,
        along=_joined(ALONG, {key: one.along for key, one in records.items()}),
        quantities=_joined(QUANTITIES, {key: one.quantities for key, one in records.items()})[[*QUANTITIES]],
        environments=environments,
        met={split: next(iter(digests)) for split, digests in met.items() if len(digests) == 1},
    )


def _joined(columns: Mapping[str, type], frames: Mapping[tuple[str, int], list[pd.DataFrame]]) -> pd.DataFrame:
    """What the cells recorded beside their evaluations as one data frame, which has these columns at least."""
    found = [one.assign(algorithm=label, seed=seed) for (label, seed), some in frames.items() for one in some]
    if not found:
        return empty(columns)
    joined = pd.concat(found, ignore_index=True)
    return joined[[*columns, *(name for name in joined if name not in columns)]]


def _metrics(marker: Mapping[str, Any]) -> list[Metric]:
    """What a cell recorded, the headline first; cells of an earlier version have that of their kind of task."""
    if "metrics" in marker:
        return [Metric.of(description) for description in marker["metrics"]]
    return [kinds.find(marker["suite"]["task"]["kind"]).metric]


def _common(last: list[Metric], recorded: list[list[Metric]]) -> tuple[Metric, ...]:
    """The metrics that all cells recorded, in the order of `last`. Raises UserError where their headlines differ."""
    headlines = list(dict.fromkeys(metrics[0].name for metrics in recorded))
    if len(headlines) > 1:
        raise UserError(f"cells have different headline metrics: {', '.join(headlines)}")
    names = [{metric.name for metric in metrics} for metrics in recorded]
    return tuple(metric for metric in last if all(metric.name in some for some in names))


class _Record(NamedTuple):
    """What one cell left. files: the names of the evaluations that can be read."""

    folder: Path
    marker: dict[str, Any]
    environment: dict[str, Any]
    curve: pd.DataFrame
    files: list[str]
    samples: dict[str, dict[str, np.ndarray]]
    classes: dict[str, np.ndarray]
    rollouts: dict[str, dict[str, np.ndarray]]
    along: list[pd.DataFrame]
    quantities: list[pd.DataFrame]


def _record(folder: Path, marker: dict[str, Any], take: Callable[[Table], None], damage: list[str]) -> _Record:
    """The files of a cell, checked; the episodes of each split go to `take`, sentences on what is left out to `damage`.

    Raises DamagedError where nothing of the cell is left.
    """
    read_config(folder, marker)
    environment = read_file(folder, marker, "environment.json")
    curve = read_file(folder, marker, "curve.parquet")
    further = [metric.name for metric in _metrics(marker)[1:]]
    files, samples, classes, rollouts = [], {}, {}, {}
    for split, stem in marker["files"].items():
        name = f"evaluation/{stem}.parquet"
        try:
            episodes = read_episodes(folder, marker, name, further)
        except DamagedError as error:
            cell = f"{marker['label']} seed {marker['seed']}"
            damage.append(f"{error}. Split '{split}' of {cell} is left out; {MEND}.")
            continue
        take(episodes)
        files.append(name)
        sample = f"evaluation/{stem}.npz"
        if (folder / sample).is_file():  # left out of results that others may not show images of
            try:
                samples[split] = read_file(folder, marker, sample)
            except DamagedError as error:
                damage.append(f"{error}. The sample of split '{split}' is left out; {MEND}.")
        for ending, what, held in ((CLASSES, "classes", classes), (ROLLOUTS, "rollouts", rollouts)):
            if _has(folder, marker, stem, ending):
                try:
                    held[split] = read_file(folder, marker, f"evaluation/{stem}{ending}")
                except DamagedError as error:
                    damage.append(f"{error}. The {what} of split '{split}' are left out; {MEND}.")
    if not files:
        raise DamagedError(f"no evaluation of '{folder}' can be read")
    along, quantities = (_beside(folder, marker, kind, damage) for kind in BESIDE)
    classes = {split: held["classes"] for split, held in classes.items()}
    return _Record(folder, marker, environment, curve, files, samples, classes, rollouts, along, quantities)


def _beside(folder: Path, marker: Mapping[str, Any], kind: str, damage: list[str]) -> list[pd.DataFrame]:
    """What a cell has of a kind of record beside its evaluation; sentences on what is left out go to `damage`."""
    frames = []
    for name, stem in marker.get(kind, {}).items():
        try:
            frames.append(read_file(folder, marker, f"{kind}/{stem}.parquet"))
        except DamagedError as error:
            cell = f"{marker['label']} seed {marker['seed']}"
            damage.append(f"{error}. '{name}' of {cell} is left out of {BESIDE[kind]}; {MEND}.")
    return frames


def _has(folder: Path, marker: Mapping[str, Any], stem: str, ending: str) -> bool:
    """Whether the classes or the rollouts of a split's episodes belong to a cell and are here.

    The markers of earlier versions know none, also where a later run of another variant has put them there.
    """
    name = f"evaluation/{stem}{ending}"
    return name in marker.get("sha256", {}) and (folder / name).is_file()


def _shared(classes: dict[tuple[str, int, str], np.ndarray]) -> dict[tuple[str, int, str], np.ndarray]:
    """The same with equal arrays once in memory: cells meet the same episodes."""
    once: dict[tuple[str, bytes], np.ndarray] = {}
    return {key: once.setdefault((key[2], held.tobytes()), held) for key, held in classes.items()}


def _frame(records: Mapping[tuple[str, int], _Record]) -> pd.DataFrame:
    """All columns of the evaluations, read again; raises DamagedError where one was damaged meanwhile."""
    return _concat(
        [
            read_file(one.folder, one.marker, name).assign(algorithm=label, seed=seed)
            for (label, seed), one in records.items()
            for name in one.files
        ]
    )


def _rank(label: str, labels: list[str]) -> tuple[int, str]:
    return (labels.index(label) if label in labels else len(labels), label)


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
