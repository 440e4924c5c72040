"""The report of one suite: a page that needs nothing but itself, with its figures and tables beside it as files."""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metagap import __version__
from metagap.report import figures, tables, theme
from metagap.report.folder import publish
from metagap.report.frames import Frames, task_shape
from metagap.report.verdict import verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNATURE = b"metagap</title>"
"""What every page of ours has in it."""

NARROW = "-narrow"
LONG = 30
"""Tables of more rows are folded."""
PAPER = 80
"""Tables of more ems are printed across the paper: on its 184 mm their letters would be smaller than 6.5 points."""

INTERVALS = (
    ("episodes", "New episodes for these very runs: t over the episodes. The convention of most papers."),
    ("seeds", "New training runs on these episodes: t over the seeds. The headline wherever there are several seeds."),
    ("hierarchical bootstrap", "New training runs and new episodes together. Claimed from three seeds on."),
    (
        "open",
        "New data for the tasks: episodes that share no image, so that it speaks about the data and not about the "
        "sampler (Lafargue et al. 2024). Its score is that of fewer episodes.",
    ),
)


def write_report(frames: Frames, out: Path) -> Path:
    """Write `out/index.html`, `out/figures/` and `out/tables/`, and return the path of the page.

    Everything is made before anything is written: a report that fails leaves the old one as it was. The page makes no
    request to anywhere. Raises UserError where a file cannot be written.

    Args:
        frames: the analysed results of one suite.
        out: the folder of this report; made if it is not there. Other files in it are left alone.
    """
    drawn = draw(frames)
    unfinished = [f"{name}: {figure.get_label()}" for name, figure in drawn.items() if figure.get_label()]
    frames = replace(frames, notes=[*frames.notes, *unfinished])
    made = tables.all_tables(frames)
    svgs = {name: figures.to_svg(figure) for name, figure in drawn.items()}
    phone = {f"{name}{NARROW}": figures.to_svg(figure) for name, figure in draw(frames, narrow=True).items()}
    files = {f"figures/{name}.svg": svg.encode() for name, svg in svgs.items()}
    files |= {f"figures/{name}.png": figures.to_png(figure) for name, figure in drawn.items()}
    files |= {f"tables/{name}": text.encode() for name, text in _table_files(frames, made).items()}
    publish({**files, "index.html": render(frames, svgs | phone, made).encode()}, out, SIGNATURE)
    return out / "index.html"


def draw(frames: Frames, narrow: bool = False) -> dict[str, Figure]:
    """Every figure that has something to show, by name; sample episodes are named by `sample_names`.

    With `narrow`, those that a phone shows instead: all but the samples, which are small already.
    """
    drawn = {
        "scores": figures.scores(frames, narrow),
        "slopes": figures.slopes(frames, narrow),
        "gaps": figures.gaps(frames, narrow=narrow),
        "gaps-within": figures.gaps(frames, within=True, narrow=narrow),
        "adaptation": figures.adaptation(frames, narrow),
        "training": figures.training(frames, narrow),
    }
    for split, name in ({} if narrow else sample_names(frames)).items():
        drawn[name] = figures.sample(frames.samples[split])
    return {name: figure for name, figure in drawn.items() if figure is not None}


def render(frames: Frames, svgs: dict[str, str], made: dict[str, tables.Table]) -> str:
    """The page as HTML; `svgs` are the figures as SVG in the light colours, those for a phone under NAME-narrow."""
    environment = Environment(
        loader=PackageLoader("metagap.report"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    style = environment.get_template("style.css.jinja").render(
        light=theme.variables(dark=False), dark=theme.variables(dark=True)
    )
    inline = {name: inlined(svg, name, _alt(name.removesuffix(NARROW), frames)) for name, svg in svgs.items()}
    contents = [
        ("findings", "Findings", True),
        ("scores", "Scores", True),
        ("published", "Published values", "published" in made or bool(frames.deviations)),
        ("gaps", "Gaps", "gaps" in made),
        ("curves", "Curves", "adaptation" in svgs or "training" in svgs),
        ("comparisons", "Comparisons", "comparisons" in made),
        ("samples", "Sample episodes", bool(frames.samples)),
        ("intervals", "Intervals", True),
        ("provenance", "Provenance", True),
    ]
    return environment.get_template("page.html.jinja").render(
        title=frames.suite.get("title") or frames.suite["name"],
        description=" ".join(frames.suite.get("description", "").split()),
        style=style,
        facts=_facts(frames),
        narrow=NARROW,
        long_table=LONG,
        paper=PAPER,
        verdict=verdict(frames),
        notes=frames.notes,
        deviations=frames.deviations,
        contents=[(anchor, text) for anchor, text, there in contents if there],
        has={anchor for anchor, _, there in contents if there},
        samples=_samples(frames, inline),
        sample_text=_sample_text(frames),
        figures=inline,
        tables=made,
        score_table=f"scores-{frames.measure.statistic}" if frames.measure.log else "scores",
        captions=_captions(frames),
        formulas=tables.gap_formulas(frames),
        interval_texts=INTERVALS,
        budget=_budget(frames),
        colours={name: theme.css_colour(style) for name, style in theme.styles(frames.suite).items()},
        version=__version__,
    )


def breakable(text: str) -> Markup:
    """Text for the page: a word too long for a phone can be broken, a ± stays with its number."""
    pieces = re.sub(rf"[^\s-]{{{tables.WORD}}}(?=[^\s-])", "\\g<0>\0", text.replace("± ", "±\u00a0"))
    return Markup("<wbr>").join(pieces.split("\0"))


def inlined(svg: str, name: str, label: str) -> str:
    """An SVG for the page: themed, sized by its container, with ids of its own and a label for screen readers."""
    svg = theme.themed(svg)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    svg = re.sub(r'\sid="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    opening = svg[: svg.index(">") + 1]
    sized = re.sub(r'\s(width|height)="[^"]*"', "", opening)
    return sized[:-1] + f' role="img" aria-label="{html.escape(label)}">' + svg[len(opening) :]


def sample_names(frames: Frames) -> dict[str, str]:
    """Split -> the name of its sample figure, made of letters, digits and dashes and different for every split."""
    slugs = {split: re.sub(r"[^a-z0-9]+", "-", split.lower()).strip("-") for split in frames.samples}
    return {split: f"sample-{number}-{slug}" for number, (split, slug) in enumerate(slugs.items(), 1)}


def _table_files(frames: Frames, made: dict[str, tables.Table]) -> dict[str, str]:
    """The tables as they are shown, and the numbers behind them."""
    files = {}
    for name, table in made.items():
        files |= {f"{name}.csv": table.csv(), f"{name}.md": table.markdown(), f"{name}.tex": table.latex()}
    for name in ("scores", "runs", "steps", "gaps", "pairs", "published", "cells"):
        files[f"data/{name}.csv"] = getattr(frames, name).to_csv(index=False)
    return files


def _facts(frames: Frames) -> list[tuple[str, str]]:
    suite = frames.suite
    task, training, evaluation = suite["task"], suite["training"], suite["evaluation"]
    shape = task_shape(suite)
    seeds = f"{frames.seeds} seed" + ("s" if frames.seeds != 1 else "")
    facts = [
        ("Task", f"{shape} {task['kind']}"),
        ("Model", suite["model"]["name"]),
        ("Training data", suite["source"]["name"]),
        ("Training", f"{training['iterations']:,} iterations of {training.get('meta_batch', 1)} tasks, {seeds}"),
        ("Test", f"{evaluation['episodes']:,} episodes per split, the same for all"),
    ]
    if not frames.measure.log and "batch_norm" in evaluation:
        facts.append(("Batch normalization", evaluation["batch_norm"]))
    return [*facts, ("Algorithms", ", ".join(frames.algorithms))]


def _budget(frames: Frames) -> list[tuple[str, str]]:
    """What was run, said once for all models, and the hyper-parameters of each algorithm."""
    cells = frames.cells

    def values(column: str) -> str:
        return ", ".join(dict.fromkeys(cells[column].astype(str))) if column in cells else "not recorded"

    lines = [
        ("Device", values("device")),
        ("Environment", f"torch {values('torch')}, metagap {values('metagap') if 'metagap' in cells else __version__}"),
        ("Commit", values("commit")),
        ("Seeds", ", ".join(map(str, frames.suite["seeds"]))),
        ("Evaluated parameters", values("selection")),
    ]
    for name in frames.algorithms:
        options = frames.suite["algorithms"][name]
        own = {key: value for key, value in options.items() if key not in ("algorithm", "training", "evaluation")}
        settings = [f"{key} = {value}" for key, value in own.items()]
        settings.append(f"{frames.headline_step(name)} inner steps at test")
        kind = f"{options['algorithm']}: " if options.get("algorithm", name) != name else ""
        lines.append((name, kind + ", ".join(settings)))
    return lines


def _samples(frames: Frames, inline: dict[str, str]) -> list[dict[str, Any]]:
    rows, names = [], sample_names(frames)
    roles = {name: role for role, names in frames.split_groups() for name in names}
    for split in sorted(frames.samples, key=lambda name: list(roles).index(name) if name in roles else len(roles)):
        episode = frames.samples[split]
        text = roles.get(split, "")
        if "class_names" in episode and len(np.shape(episode["class_names"])) == 1:
            classes = ", ".join(str(name) for name in episode["class_names"][: figures.SAMPLE_CLASSES])
            more = len(episode["class_names"]) - figures.SAMPLE_CLASSES
            text += " · " + textwrap.shorten(classes, 72, placeholder=" …") + (f" and {more} more" if more > 0 else "")
        rows.append({"name": split, "text": text, "svg": inline[names[split]]})
    return rows


def _sample_text(frames: Frames) -> str:
    if frames.measure.log:
        return "Tasks of every split: the true functions, and the support points that an algorithm adapts to."
    return (
        "The first test episode of every split. Each column is a class: an algorithm adapts to the support images and "
        "is scored on the queries."
    )


def _captions(frames: Frames) -> dict[str, str]:
    interval = f"Whiskers: {frames.interval}."
    robust = (
        f" The {frames.statistic_name} is shown, on a logarithmic axis, for single diverged episodes decide the mean."
        if frames.measure.log
        else ""
    )
    several = any(len(frames.role(role)) > 1 for role in figures.HEADLINE)
    edge = " Values beyond the axis are written at its edge." if frames.measure.log else ""
    return {
        "scores": f"Every algorithm on every split at the headline inner step. {interval}{robust}{edge}",
        "slopes": "From the training tasks to new tasks to new domains: the mean over the splits of each kind"
        + ("; small marks are the single splits" if several else "")
        + f". The intervals are in the table above.{robust}",
        "gaps": "What is lost between two kinds of tasks. Whiskers: 95% interval over "
        + " or ".join(dict.fromkeys(frames.gaps["interval"]))
        + f".{' ' + frames.statistic_name.capitalize() + ' over the episodes.' if frames.measure.log else ''}{edge}",
        "gaps-within": "Contrasts on the same episodes: what is lost from support to query, and what adaptation, batch "
        f"statistics and true support labels bring.{edge}",
        "adaptation": f"Score over inner steps. Bands: {frames.interval}.{robust}",
        "training": "Meta-training: lines are running means over training batches"
        + (" (thin: single seeds)" if frames.seeds > 1 else "")
        + ". Values that are not finite are left out of the lines.",
    }


def _alt(name: str, frames: Frames) -> str:
    for split, sample in sample_names(frames).items():
        if sample == name:
            return f"Sample episode of {split}"
    return f"{name.replace('-', ' ')}: {_captions(frames)[name]}"
