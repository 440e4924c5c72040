"""metagap in Python: load a suite, run it, and read what came out as data frames, figures and reports.

    import metagap

    report = metagap.run("quickstart", {"training.iterations": 50}, algorithms=["maml", "reptile"], seeds=[0])
    report.scores

Everything here is what the command line does, with the same files: what one has run the other shows.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from metagap import listing
from metagap.analysis import comparisons
from metagap.analysis import power as powers
from metagap.analysis.across_suites import AcrossSuites, read_across
from metagap.analysis.along import Along
from metagap.analysis.associations import Associations, read_associations
from metagap.analysis.comparisons import Comparisons
from metagap.analysis.domains import Domains, domains
from metagap.analysis.trends import Trends, trends
from metagap.errors import UserError
from metagap.registry import suggest
from metagap.report import across_suites as across_pages
from metagap.report import associations as association_pages
from metagap.report import domains as domain_pages
from metagap.report import sweeps as sweep_pages
from metagap.report.contents import page_contents
from metagap.report.frames import Frames
from metagap.report.page import write_report
from metagap.report.panels import Panel, Shown, TableKind
from metagap.report.table import Table
from metagap.report.verdict import plain, verdict
from metagap.results import Results, SweepResults, read_own, read_sweep, survey, write_own, write_own_sweep
from metagap.results import read as read_results
from metagap.suite import Suite, Sweep, expand, load_chosen, variation, with_choices
from metagap.suite import load_suite as suite_of_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Made = TypeVar("Made")

SHOWN = ("leaders", "scores")
"""The tables of a report that a notebook shows."""


class Report:
    """What is known of one suite: the records as data frames, the numbers made from them, figures and the page.

    `records` are the cells as they lie in the store; `frames` what the page is made of. Notebooks show its findings
    and its scores.
    """

    def __init__(self, records: Results):
        """records: of one suite, see `metagap.results.read`."""
        self.records = records

    @cached_property
    def frames(self) -> Frames:
        """All numbers of the report, computed when they are first asked for."""
        return Frames.of(self.records)

    @property
    def suite(self) -> Suite:
        """The suite as it was run."""
        return self.records.suite

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers should know."""
        return self.frames.notes

    @property
    def cells(self) -> pd.DataFrame:
        """A row per cell (algorithm x seed): its time, device, versions, and which checkpoint was tested."""
        return self.records.cells

    @property
    def episodes(self) -> pd.DataFrame:
        """A row per test episode and inner step: algorithm, seed, split, condition, step, and what was recorded.

        query_score and support_score are the headline metric, oriented so that more is better: accuracy, or -MSE.
        """
        return self.records.episodes

    @property
    def curves(self) -> pd.DataFrame:
        """A row per recorded iteration of meta-training: algorithm, seed, iteration, loss, score, val_loss, ..."""
        return self.records.curves

    @property
    def along(self) -> pd.DataFrame:
        """A row per episode at points of meta-training (`iteration`), where the suite has `evaluation.checkpoints`."""
        return self.records.along

    @property
    def quantities(self) -> pd.DataFrame:
        """A row per value that was measured beside the scores: algorithm, seed, quantity, iteration, split, ..."""
        return self.records.quantities

    def at(self, iteration: int) -> Report:
        """The report as it were if training had ended at this point of it. Raises UserError for any other point."""
        return Report(self.records.at(iteration))

    @property
    def scores(self) -> pd.DataFrame:
        """A row per algorithm, split, condition and statistic at the headline step, with every interval."""
        return self.frames.scores

    @property
    def gaps(self) -> pd.DataFrame:
        """A row per algorithm, gap, split and statistic: value, low, high, and what the interval is over."""
        return self.frames.gaps

    @property
    def along_training(self) -> Along:
        """Tables of what changes along meta-training, empty where nothing was scored there: see their functions."""
        return self.frames.along

    @property
    def comparisons(self) -> pd.DataFrame:
        """A row per pair of algorithms, split and statistic: paired difference, interval, corrected p and verdict."""
        return self.frames.pairs

    @property
    def gap_comparisons(self) -> pd.DataFrame:
        """A row per pair of algorithms, gap and statistic: whose gap is smaller, by how much, is it significant."""
        return self.frames.gap_pairs

    def compare(self, a: str, b: str, split: str | None = None) -> Comparisons:
        """By how much a differs from b: a frame of `scores`, positive where a is better, and one of `gaps`.

        Raises UserError for an algorithm or a split that there is not.
        """
        return comparisons.compare(self.records, a, b, split)

    def power(
        self,
        a: str | None = None,
        b: str | None = None,
        difference: float | None = None,
        power: float = powers.POWER,
        on: str | None = None,
    ) -> powers.Power:
        """How many seeds and episodes it takes to find a difference of a and b, or of every pair.

        difference: in printed units, 2 percentage points by default; the frames of the answer are in scores. power: the
        probability with which it is to be found. on: a split or "average". Raises UserError for an algorithm or a split
        that there is not, for numbers out of range and for fewer than two seeds.
        """
        return powers.power(self.records, a, b, difference, power, on)

    @property
    def findings(self) -> str:
        """Who is best, what new domains cost, and what is significant, in sentences."""
        return plain(verdict(self.frames))

    @cached_property
    def _contents(self) -> list[Shown]:
        return page_contents()[0]

    @property
    def _panels(self) -> dict[str, Panel]:
        return {one.name: one for one in self._contents if isinstance(one, Panel)}

    @property
    def _tables(self) -> dict[str, TableKind]:
        return {one.name: one for one in self._contents if isinstance(one, TableKind)}

    @property
    def figures(self) -> list[str]:
        """The names that `figure` knows: all of the page's, and those of plugins."""
        return list(self._panels)

    @property
    def tables(self) -> list[str]:
        """The names that `table` knows: all of the page's, and those of plugins."""
        return list(self._tables)

    def figure(self, name: str) -> Figure:
        """A figure as the page has it, to be changed and saved at will; its matplotlib axes are in `.axes`.

        Raises UserError for a name that `figures` does not have, and where the results have nothing to draw.
        """
        _known("figure", name, self.figures)
        return _there(f"figure '{name}'", self._panels[name].figure(self.frames))

    def table(self, name: str) -> Table:
        """A table as the page has it, with its caption; `.frame`, `.csv()`, `.markdown()` and `.latex()` are its forms.

        Raises UserError for a name that `tables` does not have, and where the results have nothing to show.
        """
        _known("table", name, self.tables)
        return _there(f"table '{name}'", self._tables[name].make(self.frames))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the page with its figures and tables, and return its path; other files in the folder are left alone.

        Raises UserError where a file cannot be written.
        """
        return write_report(self.frames, Path(folder))

    def __repr__(self) -> str:
        name, algorithms = self.suite.name, ", ".join(self.suite.algorithms)
        rows = self.records.columns.rows
        return f"<Report of '{name}': {algorithms}; {len(self.cells)} cells, {rows:,} rows of episodes>"

    def _repr_html_(self) -> str:
        """Findings, leaders, scores and notes: what a notebook shows of it."""
        parts = [f"<h3>{html.escape(self.suite.title)}</h3>"]
        for paragraph in verdict(self.frames):
            words = [
                f"<b>{html.escape(phrase.text)}</b>" if phrase.strong else html.escape(phrase.text)
                for phrase in paragraph
            ]
            parts.append(f"<p>{''.join(words)}</p>")
        for name in SHOWN:
            if (table := self._tables[name].make(self.frames)) is not None:
                parts.append(table.frame.to_html(index=False, border=0))
                parts.append(f"<p><small>{html.escape(table.caption)}</small></p>")
        parts += [f"<p><small>Note: {html.escape(note)}</small></p>" for note in self.notes]
        return "\n".join(parts)


class SuitesReport:
    """Algorithms compared across suites: `numbers` has data frames and the test; figures, tables and the page."""

    numbers: Any
    _pages: ModuleType = across_pages
    _shown: tuple[str, ...] = ("ranks", "scores")

    def __init__(self, numbers: AcrossSuites):
        """numbers: see `metagap.analysis.across_suites.AcrossSuites`."""
        self.numbers = numbers

    @property
    def figures(self) -> list[str]:
        """The names that `figure` knows."""
        return list(self._pages.FIGURES)

    @property
    def tables(self) -> list[str]:
        """The names that `table` knows."""
        return list(self._pages.TABLES)

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers should know."""
        return self.numbers.notes

    @property
    def findings(self) -> str:
        """What the numbers say, in sentences."""
        said = self._pages.said(self.numbers)
        return said if isinstance(said, str) else "\n".join(said)

    def figure(self, name: str) -> Figure:
        """A figure as the page has it. Raises UserError for a name that `figures` does not have, or nothing to draw."""
        _known("figure", name, self.figures)
        return _there(f"figure '{name}'", self._pages.figure(self.numbers, name))

    def table(self, name: str) -> Table:
        """A table as the page has it. Raises UserError for a name that `tables` does not have, or nothing to show."""
        _known("table", name, self.tables)
        return _there(f"table '{name}'", self._pages.TABLES[name](self.numbers))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the page with its figures and tables, and return its path.

        Raises UserError where a file cannot be written.
        """
        return self._pages.write(self.numbers, Path(folder))

    def __repr__(self) -> str:
        suites, algorithms = (", ".join(names) for names in (self.numbers.suites, self.numbers.algorithms))
        return f"<{type(self).__name__} of {suites}: {algorithms}>"

    def _repr_html_(self) -> str:
        """Findings, the first tables and notes: what a notebook shows of it."""
        parts = [f"<p>{html.escape(self.findings)}</p>"]
        parts += [self.table(name).frame.to_html(index=False, border=0) for name in self._shown]
        parts += [f"<p><small>Note: {html.escape(note)}</small></p>" for note in self.notes]
        return "\n".join(parts)


class AssociationsReport(SuitesReport):
    """What goes with the gap: `numbers` has data frames; figures, tables and the page."""

    _pages: ModuleType = association_pages
    _shown: tuple[str, ...] = ("correlations",)

    def __init__(self, numbers: Associations):
        """numbers: see `metagap.analysis.associations.Associations`."""
        self.numbers = numbers


class DomainReport:
    """The suites that each hold a domain out, together: `numbers` has data frames; tables and the page."""

    def __init__(self, numbers: Domains):
        """numbers: see `metagap.analysis.domains.Domains`."""
        self.numbers = numbers

    tables = list(domain_pages.TABLES)
    """The names that `table` knows."""

    @property
    def scores(self) -> pd.DataFrame:
        """A row per algorithm and held-out domain, and for their average: the score on it, or the gap to it."""
        return self.numbers.scores

    @property
    def rules(self) -> pd.DataFrame:
        """A row per algorithm and rule of selection: the score on the held-out domains, and what it costs."""
        return self.numbers.rules

    @property
    def selected(self) -> pd.DataFrame:
        """A row per algorithm, rule, held-out domain and seed: which iteration was selected."""
        return self.numbers.selected

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers should know."""
        return self.numbers.notes

    @property
    def members(self) -> dict[tuple[str, ...], Report]:
        """The report of each suite, by the names of the one or two domains that it holds out."""
        return {names: Report(one) for names, one in self.numbers.results.members.items()}

    @property
    def findings(self) -> str:
        """Who scores how on the held-out domains, and what the selection costs, in sentences."""
        return plain(domain_pages.findings(self.numbers))

    def table(self, name: str) -> Table:
        """A table as the page has it. Raises UserError for a name that `tables` does not have, or nothing to show."""
        _known("table", name, self.tables)
        return _there(f"table '{name}'", domain_pages.TABLES[name](self.numbers))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the page with its tables, and return its path. Raises UserError where a file cannot be written."""
        return domain_pages.write(self.numbers, Path(folder))

    def __repr__(self) -> str:
        return f"<DomainReport of '{self.numbers.results.suite.name}' over {', '.join(self.numbers.domains)}>"


def _of_members(found: SweepResults) -> SweepReport | DomainReport:
    """The report of a sweep, or of suites that each hold a domain out."""
    return SweepReport(trends(found)) if found.axes else DomainReport(domains(found))


class SweepReport:
    """The members of a sweep together: `numbers` has data frames of points and trends; figures, tables and the page."""

    def __init__(self, numbers: Trends):
        """numbers: see `metagap.analysis.trends.Trends`."""
        self.numbers = numbers

    tables = list(sweep_pages.TABLES)
    """The names that `table` knows."""

    @property
    def figures(self) -> list[str]:
        """The names that `figure` knows."""
        return list(sweep_pages.figures_of(self.numbers))

    @property
    def points(self) -> pd.DataFrame:
        """A row per member, algorithm and score or gap, with its interval."""
        return self.numbers.points

    @property
    def trends(self) -> pd.DataFrame:
        """A row per algorithm, score or gap, and key: the slope, its interval, and whether there is a trend."""
        return self.numbers.trends

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the numbers should know."""
        return self.numbers.notes

    @property
    def members(self) -> dict[tuple[float, ...], Report]:
        """The report of each member, by its values."""
        return {values: Report(one) for values, one in self.numbers.results.members.items()}

    @property
    def findings(self) -> str:
        """What rises and falls with the values, in sentences."""
        return plain(sweep_pages.findings(self.numbers))

    def figure(self, name: str) -> Figure:
        """A figure as the page has it. Raises UserError for a name that `figures` does not have, or nothing to draw."""
        _known("figure", name, self.figures)
        return _there(f"figure '{name}'", sweep_pages.figure(self.numbers, name))

    def table(self, name: str) -> Table:
        """A table as the page has it. Raises UserError for a name that `tables` does not have, or nothing to show."""
        _known("table", name, self.tables)
        return _there(f"table '{name}'", sweep_pages.TABLES[name](self.numbers))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the page with its figures and tables, and return its path.

        Raises UserError where a file cannot be written.
        """
        return sweep_pages.write(self.numbers, Path(folder))

    def __repr__(self) -> str:
        over = " and ".join(f"{axis.key} = {axis.values}" for axis in self.numbers.axes)
        return f"<SweepReport of '{self.numbers.results.suite.name}' over {over}>"

    def _repr_html_(self) -> str:
        """Findings, trends and notes: what a notebook shows of it."""
        parts = [f"<p>{html.escape(self.findings)}</p>", self.table("trends").frame.to_html(index=False, border=0)]
        return "\n".join([*parts, *(f"<p><small>Note: {html.escape(note)}</small></p>" for note in self.notes)])


def available(what: str) -> pd.DataFrame:
    """What there is, with a sentence each: "suites", "tables", "algorithms", "models" or "sources"."""
    return pd.DataFrame(listing.listing(what))


def load_suite(
    name_or_path: str | os.PathLike[str],
    changes: Mapping[str, Any] | None = None,
    *,
    algorithms: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Suite:
    """A suite, resolved: every default is filled in.

    name_or_path: a name of `available("suites")` or a TOML file. changes: dotted keys with their values, such as
    {"training.lr": 0.01, "splits.digits.shots": 5}. algorithms: only these, by label or name or FILE.py:CLASS. seeds:
    instead of the suite's. Raises UserError with file, key, what was found and what is allowed.
    """
    return with_choices(suite_of_file(os.fspath(name_or_path), _settings(changes)), algorithms, seeds)


def run(
    what: str | os.PathLike[str] | Suite,
    changes: Mapping[str, Any] | None = None,
    *,
    algorithms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    results: str | os.PathLike[str] = "results",
    device: str = "auto",
    engine: str = "auto",
    jobs: int | None = None,
    devices_per_cell: int = 1,
    launch: str = "local",
    launch_set: Mapping[str, Any] | None = None,
    time_limit: str | None = None,
    retry_failed: bool = False,
    quiet: bool = False,
) -> Report | Any:
    """Meta-train and evaluate what is missing of a suite, and report all of it; of a sweep, a `SweepReport`; of a suite
    that leaves a domain out, a `DomainReport`.

    what: a suite, or what `load_suite` makes one of, with the same further arguments. results: the folder of the store.
    device: "auto", "cpu" or "cuda". engine: as `metagap run --engine`. jobs: cells that run at the same time.
    devices_per_cell: how many devices train a cell together. launch: the executor that runs them, by its name or as
    FILE.py:NAME; launch_set: its settings. time_limit: what a cell may take, such as "2h". retry_failed: run again
    what failed, also where it would fail in the same way. quiet: show no progress. In a script, call it below
    `if __name__ == "__main__":`, for the workers import the script.

    Raises UserError for bad input, CellError where cells failed; what has been run is kept in the store.
    """
    from metagap import executors
    from metagap.engine.machines import asked
    from metagap.executors.running import error_of, run_cells
    from metagap.executors.sweeps import plan_of, run_sweep
    from metagap.runner.cell import unfinished
    from metagap.runner.preflight import check
    from metagap.screen import Screen

    if isinstance(what, Suite):
        if changes or algorithms or seeds:
            raise TypeError("changes, algorithms and seeds are for metagap.load_suite: this suite is made already")
        chosen, written = what, None
    else:
        chosen, written = load_chosen(os.fspath(what), _settings(changes))
    machine = asked(
        device=device, engine=engine, workers=jobs, time_limit=time_limit, devices_per_cell=devices_per_cell
    )
    executor = executors.find(launch, launch_set or {})
    executor.place(machine)
    store, console = Path(results), Screen(quiet=quiet)
    if isinstance(chosen, Sweep):
        sweep = chosen.with_choices(algorithms, seeds)
        if failed := run_sweep(sweep, store, machine, console, executor, retry=retry_failed):
            raise error_of(failed)
        plan, name = plan_of(sweep), sweep.first.name
        if not sweep.variation(written if isinstance(written, Sweep) else None):
            plan = write_own_sweep(store / name, plan)
        return _of_members(read_sweep(store, name, plan))
    chosen = with_choices(chosen, algorithms, seeds)
    cells = expand(chosen)
    pending = unfinished(cells, store)
    earlier = survey(store / chosen.name).notes if pending else []
    if pending:
        for note in [*earlier, *check(pending)]:
            console.print(f"Note: {note}", markup=False)
        if failed := run_cells(pending, store, machine, console, executor, retry=retry_failed):
            raise error_of(failed)
    hashes = {cell.hash for cell in cells}
    if isinstance(written, Suite) and not variation(cells[0], written):
        write_own(store / chosen.name, cells[0].variant, hashes, chosen.reference)
    found = read_results(store, chosen.name, cells[0].variant, hashes, chosen.reference)
    found.notes[:0] = earlier
    return Report(found)


def read(name: str, results: str | os.PathLike[str] = "results", variant: str | None = None) -> Report | Any:
    """The report of what has been run of a suite, by its name, or the `SweepReport` of a sweep,
    or the `DomainReport` of one that leaves a domain out.

    It needs neither torch nor data.

    variant: of several configurations that were run, the one meant; see `metagap results list`. Raises UserError where
    there is nothing to read.
    """
    own = read_own(Path(results) / name)
    if variant is None and own is not None and own.sweep is not None:
        return _of_members(read_sweep(Path(results), name, own.sweep))
    return Report(read_results(Path(results), name, variant))


def compare_suites(
    names: Sequence[str | os.PathLike[str]],
    on: str = "cross-domain",
    results: str | os.PathLike[str] = "results",
) -> SuitesReport:
    """Compare the algorithms that all of these suites have results of; needs neither torch nor data.

    names: of two suites or more, or their files. on: "cross-domain" or "in-distribution", the splits whose mean is a
    suite's score. results: the folder of the store. Raises UserError where there is nothing to compare.
    """
    return SuitesReport(read_across([os.fspath(name) for name in names], on, Path(results)))


def associations(
    names: Sequence[str | os.PathLike[str]], results: str | os.PathLike[str] = "results"
) -> AssociationsReport:
    """Say which recorded quantities go with the gaps over these suites; needs neither torch nor data.

    names: of two suites or more with quantities, or their files. results: the folder of the store. Raises UserError
    where a suite has no results or no quantities.
    """
    return AssociationsReport(read_associations([os.fspath(name) for name in names], Path(results)))


def _known(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise UserError(f"no {what} '{name}'{suggest(name, names)}")


def _there(what: str, made: Made | None) -> Made:
    if made is None:
        raise UserError(f"{what}: these results have nothing for it to show")
    return made


def _settings(changes: Mapping[str, Any] | None) -> list[str]:
    """Changes as `--set` takes them."""
    return [f"{key}={_toml(value)}" for key, value in (changes or {}).items()]


def _toml(value: Any) -> str:
    """A value as `--set` takes it."""
    import json

    if value is None:
        raise TypeError("None is no value of a suite file; leave the key out")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
