"""The tables of a report as text, made once and written as CSV, Markdown, LaTeX and HTML from the same frame."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pandas as pd

from metagap.analysis.gaps import DOMAIN_GAP, what_positive_means
from metagap.report import published as beside
from metagap.report.frames import STATISTICS, Frames
from metagap.text import MISSING, probability, share, uncertain

SCORE = "score"
WORD = 18  # characters of a word that may be broken beyond
HEAD = 11  # characters of a line in the headings on paper
WRAP = 16  # characters of a line in the headings of a LaTeX table
LATEX = str.maketrans(
    {
        **{character: "\\" + character for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
        **{"±": r"$\pm$", "∞": r"$\infty$", "−": "$-$", "–": "--", "→": r"$\to$", "“": "``", "”": "''"},
        **{"√": r"$\surd$", "²": r"$^2$", "·": r"$\cdot$", "×": r"$\times$", "≈": r"$\approx$", "Δ": r"$\Delta$"},
        **{"…": r"\dots{}", "—": "---", "’": "'", "‘": "`", "≤": r"$\leq$", "≥": r"$\geq$", "`": r"\textasciigrave{}"},
        **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "σ": r"$\sigma$"},
    }
)


@dataclass(frozen=True)
class Table:
    """A table of finished text.

    Attributes:
        name: file name without suffix.
        caption: what is shown, in which unit, with which interval.
        frame: text cells; the first `labels` columns name the row.
        groups: column -> heading above it, for the columns that have one.
        labels: how many leading columns are row labels.
        best: (row position, column) of the cells set in bold.
        plain: columns of prose, aligned to the left.
        notes: what a reader of the numbers should know; the page says it once for all tables.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    groups: dict[str, str] = field(default_factory=dict)
    labels: int = 1
    best: frozenset[tuple[int, str]] = frozenset()
    plain: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def heads(self) -> list[tuple[str, int]]:
        """The upper heading row as (text, number of columns it spans); empty without groups."""
        spans: list[tuple[str, int]] = []
        for column in self.frame.columns if self.groups else ():
            group = self.groups.get(column, "")
            if spans and spans[-1][0] == group:
                spans[-1] = (group, spans[-1][1] + 1)
            else:
                spans.append((group, 1))
        return spans

    @property
    def ems(self) -> int:
        """The least width on paper, in widths of its letter size, if cells are broken between words."""
        return self._ems(r"(?<!±)\s")

    @property
    def ems_whole(self) -> int:
        """The same if numbers stay together with their intervals."""
        return self._ems(None)

    def _ems(self, breaks: str | None) -> int:
        width = 0.0
        for column in self.frame.columns:
            left = self.is_left(column)
            pattern = r"[\s-]" if left else breaks
            pieces = [
                piece for text in self.frame[column] for piece in (re.split(pattern, text) if pattern else [text])
            ]
            longest = max(map(len, pieces), default=0)
            heads = max(map(len, re.split(r"[\s-]", column)))
            width += 0.66 * max(min(longest, WORD + 1) if left else longest, min(heads, HEAD)) + 0.8
            width += 1.2 if column == self.frame.columns[0] else 0  # the dot of an algorithm
        return math.ceil(width)

    def csv(self) -> str:
        """Comma-separated, as displayed, with one heading row: a group is written before its columns."""
        names = {c: f"{group}: {c}" for c, group in self.groups.items() if group}
        return self.frame.rename(columns=names).to_csv(index=False)

    def markdown(self) -> str:
        """A pipe table with caption and notes below."""
        align = ["---" if self.is_left(c) else "---:" for c in self.frame.columns]
        groups = [self.groups.get(c, "") for c in self.frame.columns]
        heads = [
            f"{_md(group)}:<br>{_md(c)}" if group else _md(c)
            for group, c in zip(groups, self.frame.columns, strict=True)
        ]
        rows = [heads, align, *self._set(_md, "**{}**").itertuples(index=False)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n\n".join(["\n".join(lines), *map(_md, (self.caption, *self.notes))]) + "\n"

    def latex(self) -> str:
        """A booktabs table, notes at the end of the caption, never wider than a line; needs booktabs and graphicx."""
        frame = self._set(_tex, r"\textbf{{{}}}")
        align = "".join("l" if self.is_left(c) else "r" for c in frame.columns)
        heads = [_stacked(c, "l" if self.is_left(c) else "r") for c in frame.columns]
        groups = [_tex(self.groups.get(c, "")) for c in frame.columns]
        frame.columns = pd.MultiIndex.from_arrays([groups, heads]) if self.groups else heads
        caption = _tex(" ".join([self.caption, *self.notes]))
        text = frame.to_latex(
            index=False, escape=False, column_format=align, multicolumn_format="c", caption=caption,
            label=f"tab:{self.name}", position="htbp",
        )  # fmt: skip
        fit = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" + "\n"
        text = text.replace(r"\caption", "\\centering\n\\caption", 1).replace(
            r"\begin{tabular}", fit + r"\begin{tabular}"
        )
        return text.replace(r"\end{tabular}", "\\end{tabular}}")

    def _set(self, escape: Callable[[str], str], bold: str) -> pd.DataFrame:
        """The frame as escaped text, the best cells in bold."""
        columns = {
            column: [
                bold.format(escape(text)) if (row, column) in self.best else escape(text)
                for row, text in enumerate(self.frame[column])
            ]
            for column in self.frame.columns
        }
        return pd.DataFrame(columns, columns=self.frame.columns, dtype=str)

    def records(self) -> list[dict]:
        """The rows for the page: cells with their role, and whether the row opens a new block of first labels."""
        rows, before = [], None
        for position, values in enumerate(self.frame.itertuples(index=False)):
            first = values[0] if self.labels > 1 else None
            cells = [
                {
                    "text": text,
                    "label": number < self.labels,
                    "again": number == 0 and first is not None and first == before,
                    "left": self.is_left(column),
                    "best": (position, column) in self.best,
                }
                for number, (column, text) in enumerate(zip(self.frame.columns, values, strict=True))
            ]
            rows.append({"cells": cells, "opens": first is not None and first != before})
            before = first
        return rows

    def is_left(self, column: str) -> bool:
        """Whether a column holds words."""
        return column in self.plain or list(self.frame.columns).index(column) < self.labels


def leaders(frames: Frames) -> Table | None:
    """In-distribution, mean cross-domain, domain gap and rank group, the best algorithm first; None without splits."""
    measure, table = frames.measure, frames.headline_leaders()
    home, domains = frames.role("in-distribution")[:1], frames.role("cross-domain")
    if not home and not domains:
        return None
    away = "mean cross-domain" if len(domains) > 1 else "cross-domain"
    columns = {"in-distribution": ("home", measure.score), away: ("away", measure.score)}
    columns[DOMAIN_GAP.name] = ("gap", measure.gap)
    rows = [
        {"algorithm": row["algorithm"]}
        | {
            name: text(*(row[side + end] for end in ("", "_low", "_high")))
            for name, (side, text) in columns.items()
            if table[side].notna().any()
        }
        | ({"rank group": row["group"] or MISSING} if len(table) > 1 else {})
        for row in table.to_dict("records")
    ]
    key = away if domains else "in-distribution"
    statistic = f", {frames.statistic_name} over the episodes," if measure.log else ","
    caption = f"{measure.heading}{statistic} with the {frames.interval}"
    caption += f"; {DOMAIN_GAP.name} in {measure.gap_unit}. " if home and domains else ". "
    caption += f"In-distribution: {frames.split_label(home[0])}. " if home else ""
    caption += f"Cross-domain: {_listed([frames.split_label(name) for name in domains])}. " if domains else ""
    if len(rows) > 1:
        caption += f"Sorted by {key}. Rank group: algorithms that share a letter are not significantly different there "
        caption += "(a compact letter display of the paired comparisons: two share a letter where neither is better). "
        caption += frames.correction
    return Table("leaders", caption.strip(), pd.DataFrame(rows), plain=frozenset({"rank group"}))


def scores(frames: Frames, condition: str = "standard", statistic: str | None = None) -> Table:
    """Algorithms by splits, grouped by role; the best score of a split is bold."""
    statistic = statistic or frames.measure.statistic
    table = frames.headline_scores(statistic, condition)
    groups = {name: role for role, names in frames.split_groups() for name in names if name in set(table["split"])}
    cells = table.set_index(["algorithm", "split"])
    rows = {
        algorithm: {
            name: frames.measure.score(*cells.loc[(algorithm, name), ["score", "low", "high"]])
            if (algorithm, name) in cells.index
            else MISSING
            for name in groups
        }
        for algorithm in frames.algorithms
    }
    frame = pd.DataFrame(
        [{"algorithm": algorithm, **row} for algorithm, row in rows.items()], columns=["algorithm", *groups]
    )
    labels = {name: frames.split_label(name) for name in groups}
    best = set()
    for name in groups:
        best |= {(frames.algorithms.index(winner), labels[name]) for winner in frames.best(name, statistic)}
    return Table(
        name=f"scores-{statistic}" if frames.measure.log else "scores",
        caption=f"{frames.measure.heading}: {STATISTICS[statistic]} at the headline inner step, "
        f"with the {frames.interval}. "
        "Bold: the best of each column, significantly better than the next or not.",
        frame=frame.rename(columns=labels),
        groups={labels[name]: role for name, role in groups.items()},
        best=frozenset(best),
    )


def gaps(frames: Frames, within: bool = False) -> Table | None:
    """Gap and split by algorithm: the gaps between splits, or those within a split; None without any."""
    table = frames.headline_gaps(within)
    if table.empty:
        return None
    cells = table.set_index(["gap", "split", "algorithm"])
    rows = []
    for gap, split in dict.fromkeys(zip(table["gap"], table["split"], strict=True)):
        row = {"gap": gap, "split": frames.gap_row(split)}
        text = frames.measure.score if frames.gap_kinds[gap].sign == "score" else frames.measure.gap
        for algorithm in frames.algorithms:
            key = (gap, split, algorithm)
            row[algorithm] = text(*cells.loc[key, ["value", "low", "high"]]) if key in cells.index else MISSING
        rows.append(row)
    sign = what_positive_means([frames.gap_kinds[gap] for gap in dict.fromkeys(table["gap"])])
    return Table(
        name="gaps-within" if within else "gaps",
        caption=f"In {frames.measure.gap_unit}. {sign} Each gap is computed seed by seed; 95% interval over "
        + " or ".join(dict.fromkeys(table["interval"]))
        + (f". {frames.statistic_name.capitalize()} over the episodes." if frames.measure.log else "."),
        frame=pd.DataFrame(rows, columns=["gap", "split", *frames.algorithms]),
        labels=2,
    )


def gap_formulas(frames: Frames) -> list[tuple[str, str]]:
    """(gap, formula) of every gap that is shown, in order; the average over domains is not a gap of its own."""
    table = pd.concat([frames.headline_gaps(False), frames.headline_gaps(True)])
    return list(table.drop_duplicates("gap")[["gap", "formula"]].itertuples(index=False, name=None))


def intervals(frames: Frames) -> Table:
    """All four intervals side by side, one row for each algorithm and split."""
    table, measure = frames.headline_scores(), frames.measure
    rows = []
    for _, row in _ordered(frames, table).iterrows():
        seeds = (row["low"], row["high"]) if row["interval"] == "seeds" else (math.nan, math.nan)
        rows.append(
            {
                "split": frames.split_label(row["split"]),
                "algorithm": row["algorithm"],
                SCORE: measure.score(row["score"]),
                "seeds": _bounds(frames, row["score"], *seeds),
                "episodes": _bounds(frames, row["score"], row["episodes_low"], row["episodes_high"]),
                "hierarchical bootstrap": _bounds(frames, row["score"], row["bootstrap_low"], row["bootstrap_high"]),
                "open": measure.score(row["open_score"], row["open_low"], row["open_high"]),
            }
        )
    columns = ["split", "algorithm", SCORE, "seeds", "episodes", "hierarchical bootstrap", "open"]
    return Table(
        name="intervals",
        caption=f"{measure.heading}: the four 95% intervals of the same score. The open one has its own score, for its "
        "episodes draw no image twice.",
        frame=pd.DataFrame(rows, columns=columns),
        labels=2,
    )


def divergence(frames: Frames) -> Table | None:
    """Mean, median and interquartile mean beside the share of diverged episodes; None where it says nothing."""
    if not frames.has_divergence():
        return None
    measure, table = frames.measure, frames.scores[frames.scores["condition"] == "standard"]
    cells = table.set_index(["split", "algorithm", "statistic"])
    statistics = frames.statistics
    rows = []
    for _, row in _ordered(frames, frames.headline_scores()).iterrows():
        key = (row["split"], row["algorithm"])
        printed = {STATISTICS[s]: measure.score(*cells.loc[(*key, s), ["score", "low", "high"]]) for s in statistics}
        rows.append(
            {"split": frames.split_label(key[0]), "algorithm": key[1], **printed}
            | {"mean of the others": measure.score(cells.loc[(*key, statistics[0]), "finite_mean"])}
            | {"diverged": share(row["diverged"])}
        )
    return Table(
        name="divergence",
        caption=f"{measure.heading}, with the {frames.interval}. An episode diverged when its query loss is not finite"
        + (", or exceeds ten times the error of always predicting zero" if measure.log else "")
        + ". No episode is dropped, except in “mean of the others”.",
        frame=pd.DataFrame(rows),
        labels=2,
    )


def comparisons(frames: Frames) -> Table | None:
    """Pairs by test splits: the paired difference, in bold where it is significant; None without pairs."""
    table = frames.headline_pairs()
    table = table[table["role"].isin(("in-distribution", "cross-domain"))]
    if table.empty:
        return None
    groups = {name: role for role, names in frames.split_groups(average=True) for name in names}
    groups = {name: role for name, role in groups.items() if name in set(table["split"])}
    labels = {name: frames.gap_row(name) for name in groups}
    rows, best = [], set()
    for position, ((a, b), part) in enumerate(table.groupby(["a", "b"], sort=False)):
        row = {"first": a, "second": b}
        for _, pair in part.iterrows():
            row[labels[pair["split"]]] = frames.measure.gap(pair["difference"], pair["low"], pair["high"])
            if "better" in pair["verdict"]:
                best.add((position, labels[pair["split"]]))
        rows.append(row)
    columns = ["first", "second", *labels.values()]
    return Table(
        name="comparisons",
        caption=f"First minus second in {frames.measure.gap_unit}, positive where the first is better, paired on the "
        f"same episodes and seeds; 95% interval: {' or '.join(dict.fromkeys(table['interval']))}. "
        f"Bold: one of the two is better. {frames.correction}",
        frame=pd.DataFrame(rows, columns=columns).fillna(MISSING),
        groups={labels[name]: role for name, role in groups.items()},
        labels=2,
        best=frozenset(best),
    )


def all_comparisons(frames: Frames) -> Table | None:
    """Every pair on every split with all that is known about it; None without pairs."""
    table = frames.headline_pairs()
    if table.empty:
        return None
    rows = [
        {
            "split": frames.gap_row(pair["split"]),
            "first": pair["a"],
            "second": pair["b"],
            "difference": frames.measure.gap(pair["difference"], pair["low"], pair["high"]),
            "p": probability(pair["p"]),
            "p (Holm)": probability(pair["p_holm"]),
            "P(first > second)": uncertain(pair["improvement"], pair["improvement_low"], pair["improvement_high"]),
            "episodes won": share(pair["episode_wins"]),
            "verdict": pair["verdict"],
        }
        for _, pair in _ordered(frames, table, "a").iterrows()
    ]
    return Table(
        name="comparisons-all",
        caption=f"Differences in {frames.measure.gap_unit}, first minus second, paired; 95% interval: "
        f"{' or '.join(dict.fromkeys(table['interval']))}. {frames.correction} P(first > second): the probability that "
        "one new training run of the first beats one of the second, with its 95% interval. Episodes won: ties count "
        "half.",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def published(frames: Frames) -> Table | None:
    """Published values beside ours; None where the suite cites none."""
    rows = []
    for row in frames.published.to_dict("records"):
        theirs, ours = beside.kinds(row)
        rows.append(
            {
                "algorithm": row["algorithm"],
                "split": frames.gap_row(row["split"]),
                "steps": MISSING if pd.isna(row["step"]) else str(int(row["step"])),
                **beside.columns(row, frames.measure),
                "verdict": beside.verdict(row),
                "published ±": theirs,
                "our ±": ours,
                "source": beside.source(row),
            }
        )
    margin = beside.margin(frames.measure.margin, frames.measure)
    caption = f"{frames.measure.heading}, mean over the episodes. The difference is ours − published, with its 95% "
    caption += f"interval; the margin is {margin}. {beside.EXPLAINED}"
    plain = frozenset({"verdict", "published ±", "our ±", "source"})
    return Table("published", caption, pd.DataFrame(rows), labels=2, plain=plain) if rows else None


def provenance(frames: Frames) -> Table:
    """Where the numbers come from: one row for each trained model."""
    cells = frames.cells
    rows = [
        {
            "algorithm": row["algorithm"],
            "seed": str(row["seed"]),
            "iterations": f"{row['iterations']:,}",
            "evaluated": _selected(row),
            "training": _seconds(row["train_seconds"]),
            "evaluation": _seconds(row["eval_seconds"]),
            "parameters": f"{row['parameters']:,}",
            "device": str(row["device"]),
            "date": row["date"][:10] if isinstance(row.get("date"), str) else MISSING,
            "torch": str(row["torch"]),
            "commit": str(row["commit"])[:10],
            "configuration": str(row["hash"]),
        }
        for _, row in cells.iterrows()
    ]
    return Table(
        name="provenance",
        caption="One row for each meta-trained model; the configuration is the hash of everything that defines it.",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"evaluated", "device", "date", "torch", "commit", "configuration"}),
    )


def settings(frames: Frames) -> Table:
    """Hyper-parameters and budget of each algorithm: what a comparison between them compares."""
    rows = []
    for name in frames.algorithms:
        options = frames.suite["algorithms"][name]
        training, evaluation = options["training"], options["evaluation"]
        trained = frames.cells.loc[frames.cells["algorithm"] == name, "iterations"].max() > 0
        own = {key: value for key, value in options.items() if key not in ("algorithm", "training", "evaluation")}
        form = [f"{training[key]} {key}" for key in ("shots", "queries") if training.get(key)]
        budget = f"{training['iterations']:,} iterations of {training['meta_batch']} tasks"
        schedule = "" if training.get("schedule", "constant") == "constant" else f", {training['schedule']} to 0"
        outer = " at ".join(str(training[key]) for key in ("optimizer", "lr") if key in training) + schedule
        rows.append(
            {
                "algorithm": name,
                "hyper-parameters": ", ".join(f"{key} {value}" for key, value in own.items()),
                "meta-training": ", ".join([budget, *form]) if trained else "none",
                "outer loop": (trained and outer) or MISSING,
                "inner steps at test": ", ".join(
                    [str(evaluation["steps"]), *(f"{k} {v}" for k, v in evaluation.get("settings", {}).items())]
                ),
            }
        )
    return Table(
        name="settings",
        caption="Each algorithm's hyper-parameters and budget. Shots and queries are named where meta-training has its "
        "own.",
        frame=pd.DataFrame(rows),
        labels=1,
        plain=frozenset({"hyper-parameters", "meta-training", "outer loop"}),
    )


def all_tables(frames: Frames) -> dict[str, Table]:
    """Every table that has something to show, by name."""
    statistics = frames.statistics if frames.measure.log else [None]
    made = [
        leaders(frames),
        *(scores(frames, statistic=statistic) for statistic in statistics),
        *(gaps(frames, within) for within in (False, True)),
        intervals(frames),
        divergence(frames),
        comparisons(frames),
        all_comparisons(frames),
        published(frames),
        settings(frames),
        provenance(frames),
    ]
    notes = tuple(frames.notes)
    return {table.name: replace(table, notes=notes) for table in made if table is not None and len(table.frame)}


def _ordered(frames: Frames, table: pd.DataFrame, algorithm: str = "algorithm") -> pd.DataFrame:
    splits = [name for _, names in frames.split_groups(average=True) for name in names]
    keys = {"_split": table["split"].map(splits.index), "_algorithm": table[algorithm].map(frames.algorithms.index)}
    return table.assign(**keys).sort_values(["_split", "_algorithm"], kind="stable")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"the mean over {', '.join(names[:-1])} and {names[-1]}"


def _bounds(frames: Frames, score: float, low: float, high: float) -> str:
    """Only the interval: ± half its width where it is symmetric, else the bounds."""
    text = frames.measure.score(score, low, high)
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return "± " + text.split(" ± ")[1] if " ± " in text else text[text.find("[") :] if "[" in text else text


def _selected(row: pd.Series) -> str:
    return "not trained" if row["selection"] == "none" else f"{row['selected_iteration']:,} ({row['selection']})"


def _seconds(value: float) -> str:
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _tex(text: str) -> str:
    """Text as LaTeX; a cell that begins like an argument of the line break before it is protected from that."""
    escaped = "-{}-".join(part.translate(LATEX) for part in " ".join(str(text).split()).split("--"))
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def _stacked(heading: str, align: str) -> str:
    """A heading in lines of about `WRAP` characters."""
    lines = [_tex(line) for line in textwrap.wrap(str(heading), WRAP, break_long_words=False)]
    return rf"\shortstack[{align}]{{" + r" \\ ".join(lines) + "}" if len(lines) > 1 else "".join(lines)


def _md(text: str) -> str:
    """Text as Markdown, so that nothing in it is read as markup."""
    escaped = re.sub(r"[\\`*|\[\]]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", " ".join(str(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
