"""Windows of time series of the user's own, from a table with a row for each step."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import MinLen
from pydantic import Field, PositiveInt

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sources import columns
from metagap.tasks.sources.frames import located, read_frame
from metagap.tasks.sources.times import read_times
from metagap.tasks.sources.windows import changes, gaps, starts
from metagap.text import listed


class SeriesSource(RecordSource):
    """Windows of time series of your own, as `series:FILE`: a CSV, TSV, parquet or feather file with a row per step.

    An example is `window` consecutive steps, (channels, window). What is to be predicted is their class or, in
    regression, the next `horizon` values of `target`. No window crosses a gap in time, or holds two series, tasks,
    domains or classes; no two examples share a step. Forecasts are scaled as the channel of their target. The time of
    an example is that of its last step, so that `before` shows training nothing later.
    """

    licence = "yours"
    citation = "yours"
    named_by = "file"
    allows_missing = True
    revision = 2

    file: str = Field(description="a .csv, .tsv, .parquet or .feather file with a row for each step")
    target: str = Field(description="the column of the class of each step, or of the numbers that are to be predicted")
    window: PositiveInt = Field(description="steps of an example")
    horizon: PositiveInt = Field(default=1, description="in regression, the steps after them that are predicted")
    stride: PositiveInt | None = Field(
        default=None,
        description="steps from the begin of an example to that of the next; default, and least: window, in regression "
        "window + horizon",
    )
    time: str | None = Field(
        default=None, description="the column of dates or numbers that orders the steps; default: the order of the rows"
    )
    gap: float = Field(
        default=1.5,
        gt=1,
        description="a step of so many times the median step of its series is a gap; one of so small a part of it, too",
    )
    series: str | None = Field(default=None, description="the column that tells series apart; default: that of `task`")
    task: str | None = Field(
        default=None, description="the column that says which task a row belongs to; default: tasks are made of classes"
    )
    domain: str | None = Field(default=None, description="the column that `domains` is about")
    channels: Annotated[list[str], MinLen(1)] | None = Field(
        default=None,
        description="the columns that are the input, of which that of the target is put last; default: all others of "
        "numbers, and in regression the target",
    )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"series:{self.file}"

    def stamp(self) -> Any:
        """That of the file."""
        return stamp(located(self.file, self.called))

    def records(self) -> Records:
        """All windows."""
        frame = read_frame(located(self.file, self.called), self.called, frozenset(self._names.values()))
        notes = [*frame.notes]
        self._check(list(frame.table.columns))
        table, time, breaks = self._ordered(frame.table, notes)
        begin, longest = starts(breaks, self._extent, self.stride or self._extent)
        begin = begin[table[list(self._names.values())].notna().all(axis=1).to_numpy()[begin]]
        values = self._channels(table, frame.decimal_comma, notes)
        forecasts = self.kind == "regression" and self.target in values
        if forecasts:
            values[self.target] = values.pop(self.target)  # the last, as forecasts have it
        if self.kind == "regression":
            target = self._numbers(table, "target", self.target, frame.decimal_comma)
            ahead = target[np.minimum(begin[:, None] + np.arange(self.window, self._extent), len(target) - 1)]
            if missing := int(np.isnan(ahead).any(1).sum()):
                notes.append(f"{missing} windows left out, for a value that is to be predicted is missing")
            begin, y, classes = begin[~np.isnan(ahead).any(1)], ahead[~np.isnan(ahead).any(1)].astype(np.float32), []
        else:
            classes = columns.ordered(table[self.target].dropna().tolist())
            y = pd.Categorical(table[self.target], classes).codes.astype(np.int64)[begin]
        if not len(begin):
            raise UserError(
                f"{self.called}: window = {self.window}: an example is {self._extent} steps in a row of the same "
                f"{listed([*self._names])} without a gap, and the longest such run has {longest}; allowed: a smaller "
                f"window, or a gap above {self.gap:g}"
            )
        x = np.stack([*values.values()], 1)[begin[:, None] + np.arange(self.window)].transpose(0, 2, 1)
        if missing := int(np.isnan(x).sum()):
            notes.append(f"{missing} of {x.size} values are missing, and count as the mean")
        notes.append(f"channels: {listed([*values])}")
        task, domain = (
            None if name is None else table[name].iloc[begin].to_numpy(dtype=str) for name in (self.task, self.domain)
        )
        last = None if time is None else time[begin + self._extent - 1].astype("datetime64[s]")
        x = x.astype(np.float32)
        return Records(x, y, classes, task, domain, last, notes, [*values], forecasts=forecasts)

    @property
    def _extent(self) -> int:
        """Steps of an example, with those that are predicted."""
        return self.window + (self.horizon if self.kind == "regression" else 0)

    @property
    def _names(self) -> dict[str, str]:
        """The columns of names, by what they are for."""
        roles = {role: getattr(self, role) for role in ("task", "series", "domain")}
        if self.kind == "classification":
            roles["target"] = self.target
        return {role: name for role, name in roles.items() if name is not None}

    def _check(self, there: list[str]) -> None:
        """Raise UserError unless all columns that are named are there, and examples share no step."""
        if self.stride is not None and self.stride < self._extent:
            raise UserError(
                f"{self.called}: stride = {self.stride}: examples would share steps, and support sets show what is "
                f"asked of queries; allowed: at least {self._extent}, the steps of an example"
            )
        if self.kind == "regression" and self.task is None:
            raise UserError(f"{self.called}: regression needs `task`, the column that says which task a row belongs to")
        others = self._names | ({} if self.time is None else {"time": self.time})
        for role, name in [
            ("target", self.target),
            *others.items(),
            *(("channels", one) for one in self.channels or []),
        ]:
            if name not in there:
                hint = registry.suggest(name, there)
                raise UserError(f"{self.called}: {role} = '{name}': there is no such column{hint}")
            if role == "channels" and (name in others.values() or (self.channels or []).count(name) > 1):
                raise UserError(f"{self.called}: channels: column '{name}' is named twice, or has another role")

    def _ordered(self, table: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, np.ndarray | None, np.ndarray]:
        """The rows series by series in order of time, with names as texts; their times; which of them begin a run."""
        position, dates = np.arange(len(table)), None
        if self.time is not None:
            position, dates, known = read_times(table[self.time], f"{self.called}: time = '{self.time}'")
            if not known.all():
                notes.append(f"{(~known).sum()} rows without '{self.time}' left out")
            table, position, dates = table[known], position[known], None if dates is None else dates[known]
        table = table.assign(**{name: columns.names(table[name]) for name in self._names.values()})
        for role, name in self._names.items():
            if missing := int(table[name].isna().sum()):
                if missing == len(table):
                    raise UserError(f"{self.called}: {role} = '{name}': the column has no values")
                notes.append(f"{missing} rows without '{name}' left out")
        codes = {name: pd.factorize(table[name])[0] for name in self._names.values()}
        own = [codes[name] for name in (self.task, self.series) if name is not None]
        series = (
            np.unique(np.stack(own, 1), axis=0, return_inverse=True)[1].ravel() if own else np.zeros(len(table), int)
        )
        order = np.lexsort((position, series))
        if self.time is not None and (np.diff(order)[np.diff(series[order]) == 0] < 0).any():
            notes.append(f"rows were put in the order of '{self.time}'")
        table, position, series = table.iloc[order], position[order], series[order]
        twice = np.flatnonzero((np.diff(position) == 0) & (np.diff(series) == 0))
        if len(twice):
            raise UserError(
                f"{self.called}: time = '{self.time}': a series has two rows at {table[self.time].iloc[twice[0]]}; "
                "allowed: one, or name the column that tells series apart in `series`"
            )
        irregular = gaps(position, series, self.gap)
        if irregular.any():
            notes.append(f"{irregular.sum()} gaps in time, which no window crosses")
        breaks = irregular | changes([series, *(code[order] for code in codes.values())])
        return table, None if dates is None else dates[order], breaks

    def _channels(self, table: pd.DataFrame, decimal_comma: bool, notes: list[str]) -> dict[str, np.ndarray]:
        """The inputs (n,) by name."""
        if self.channels:
            return {name: self._numbers(table, "channels", name, decimal_comma) for name in self.channels}
        others = [name for name in table.columns if name not in {*self._names.values(), self.time}]
        read = {name: columns.numbers(table[name], decimal_comma) for name in others if table[name].notna().any()}
        if left := [name for name in others if read.get(name) is None]:
            notes.append(f"left out, as no columns of numbers: {listed(left)}")
        found = [name for name, values in read.items() if values is not None]
        if not found:
            raise UserError(f"{self.called}: no column is left that can be a channel, which holds numbers")
        return {name: self._numbers(table, "channels", name, decimal_comma) for name in found}

    def _numbers(self, table: pd.DataFrame, role: str, name: str, decimal_comma: bool) -> np.ndarray:
        """A column (n,). Raises UserError unless it holds numbers."""
        read = columns.numbers(table[name], decimal_comma)
        if read is None:
            odd = columns.no_numbers(columns.names(table[name]))
            such = f", such as '{odd.iloc[0]}'" if len(odd) else ""
            raise UserError(f"{self.called}: {role}: column '{name}' has values that are no numbers{such}")
        if infinite := columns.infinite(read[0]):
            raise UserError(f"{self.called}: {role}: column '{name}' has {infinite} infinite values")
        return read[0]
