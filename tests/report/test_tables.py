import csv
import html
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic import all_tables, make_results

from metagap.analysis.comparisons import compare
from metagap.metrics.classification import ACCURACY, ECE
from metagap.metrics.regression import MSE
from metagap.report import terminal, verdict
from metagap.report.figures.gap_comparisons import GAP_COMPARISONS
from metagap.report.figures.gaps import GAPS
from metagap.report.figures.saving import to_svg
from metagap.report.figures.scores import SCORES
from metagap.report.frames import Frames
from metagap.report.panels import said
from metagap.report.table import Table
from metagap.report.tables.comparisons import all_comparisons, comparisons
from metagap.report.tables.gaps import gaps
from metagap.report.tables.intervals import gap_intervals, intervals
from metagap.report.tables.metrics import METRICS
from metagap.report.tables.scores import scores
from metagap.report.texts import FORMULAS
from metagap.report.theme import MUTED, PALETTE, styles, themed
from metagap.suite import Suite
from metagap.text import number, share, uncertain


@pytest.fixture(scope="module")
def results():
    few = ("maml", "fomaml", "pretrain")
    return {
        "classification": make_results(episodes=30),
        "regression": make_results("regression", algorithms=few, episodes=30),
    }


@pytest.fixture(scope="module")
def frames(results):
    return {kind: Frames.of(one) for kind, one in results.items()}


def untex(text):
    for tex, character in (
        (r"$\pm$", "±"), (r"$\infty$", "∞"), ("$-$", "−"), ("--", "–"), (r"\textless{}", "<"), (r"\textgreater{}", ">"),
    ):  # fmt: skip
        text = text.replace(tex, character)
    text = re.sub(r"\\text(?:bf|it)\{(.*)\}", r"\1", text)
    text = re.sub(r"^\{([\[*])\}", r"\1", text)
    return re.sub(r"\\([&%$#_{}])", r"\1", text)


def unmd(text):
    text = re.sub(r"^(\*\*?)(.*)\1$", r"\2", text)
    return html.unescape(re.sub(r"\\(.)", r"\1", text))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_three_formats_agree(frames, kind):
    made = all_tables(frames[kind])
    assert len(made) >= 8
    for table in made.values():
        cells = [list(row) for row in table.frame.itertuples(index=False)]
        assert cells
        assert list(csv.reader(io.StringIO(table.csv())))[1:] == cells
        pipes = [line for line in table.markdown().splitlines() if line.startswith("| ")][2:]
        assert [[unmd(cell) for cell in re.split(r"(?<!\\) \| ", line[2:-2])] for line in pipes] == cells
        body = table.latex().split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        rows = [[untex(cell.strip()) for cell in re.split(r"(?<!\\)&", line.rstrip("\\ "))] for line in body]
        assert rows == cells


def test_a_table_in_a_file_of_its_own_says_what_its_reader_should_know(frames):
    one = replace(frames["classification"], notes=["Letters here are a part: 20 of 600 images a class."])
    for table in all_tables(one).values():
        assert table.markdown().endswith(f"\n\n{one.notes[0]}\n")
        assert one.notes[0] in " ".join(untex(table.latex()).split())


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_what_the_caption_says_is_bold_is_bold_in_every_format(frames, kind):
    """Any table with a caption that speaks of bold, and the cells of the page's own."""
    promised = [table for table in all_tables(frames[kind]).values() if "Bold:" in table.caption]
    assert len(promised) >= 2 and any(table.best for table in promised)
    for table in promised:
        page = [cell["text"] for row in table.records() for cell in row["cells"] if cell["style"] == "best"]
        assert len(page) == len(table.best)
        body = table.latex().split(r"\midrule")[1]
        assert [untex(cell) for cell in re.findall(r"\\textbf\{([^{}]*)\}", body)] == page
        assert [unmd(cell) for cell in re.findall(r"\*\*(.+?)\*\*", table.markdown())] == page


def test_the_best_of_a_split_has_all_beside_it_that_are_not_significantly_worse(frames):
    one = frames["classification"]
    verdicts = {("maml", "fomaml"): "cannot tell", ("maml", "reptile"): "maml better"}
    pairs = one.pairs.copy()
    here = pairs["split"] == "Omniglot test"
    pairs.loc[here, "verdict"] = [
        verdicts.get((a, b), "maml better" if a == "maml" else "cannot tell")
        for a, b in zip(pairs.loc[here, "a"], pairs.loc[here, "b"], strict=True)
    ]
    grouped = replace(one, pairs=pairs)
    assert grouped.best("Omniglot test") == ["maml", "fomaml"]
    table = scores(grouped)
    assert {row for row, column in table.best if column == "Omniglot test"} == {0, 1}
    assert not {row for row, column in table.highest if column == "Omniglot test"}
    training = [column for _, column in table.highest]
    assert "Omniglot train" in training and "Omniglot train" not in [column for _, column in table.best]
    assert "all that are not significantly worse" in table.caption and "Italics: the highest" in table.caption
    assert len(re.findall(r"\| \*[^*]+\* ", table.markdown())) == len(table.highest) == 3
    assert table.latex().count("textit") == 3


def test_from_two_seeds_only_the_highest_is_marked(frames):
    two = Frames.of(make_results(algorithms=("maml", "reptile", "mine"), seeds=(0, 1), episodes=8, small=True))
    table = scores(two)
    assert table.best == frozenset() and {column for _, column in table.highest} == set(two.splits)
    assert "Bold" not in table.caption and "on which nothing is claimed" in table.caption
    tied = two.scores.copy()
    tied.loc[tied["algorithm"].isin(["maml", "reptile"]) & (tied["split"] == "Omniglot test"), "score"] = 0.99
    assert replace(two, scores=tied).highest("Omniglot test") == ["maml", "reptile"]
    assert replace(two, scores=tied[tied["algorithm"] == "maml"]).highest("Omniglot test") == []


def gap_figure(frames, **changes):
    return GAP_COMPARISONS.figure(replace(frames, gap_pairs=frames.gap_pairs.assign(**changes)))


def test_significant_differences_of_gaps_are_in_colour(frames):
    one = frames["classification"]
    grey, coloured = (
        {
            line.get_color()
            for axis in gap_figure(one, verdict=word).axes
            for line in axis.lines
            if line.get_marker() != "None"
        }
        for word in ("cannot tell", "reptile smaller")
    )
    assert grey == {MUTED} and coloured == {styles(one.suite)["reptile"].color}
    assert "None is significant" in said(
        GAP_COMPARISONS.caption, replace(one, gap_pairs=one.gap_pairs.assign(verdict=""))
    )
    rows = [len(axis.get_yticks()) for axis in gap_figure(one).axes]
    assert rows == [10, 10]


def test_many_differences_of_gaps_are_a_matrix():
    names = tuple(f"variant-{number}" for number in range(9))
    many = Frames.of(make_results(algorithms=names, episodes=8, small=True))
    clear = many.gap_pairs.assign(verdict="variant-0 smaller")
    for narrow in (False, True):
        figure = GAP_COMPARISONS.figure(replace(many, gap_pairs=clear), narrow=narrow)
        assert [len(axis.patches) for axis in figure.axes] == [72, 72]
        marks = [
            len(axis.lines) if narrow else sum(text.get_weight() == "bold" for text in axis.texts)
            for axis in figure.axes
        ]
        assert marks == [72, 72]
    top = figure.axes[1].get_yticklabels()[0].get_text().split(" ")[0]
    gaps = many.headline_leaders().set_index("algorithm")["gap"]
    assert top == gaps.idxmin()


HOSTILE = "a_b & c%d #1 $x$ {y} ~^ <i> |p| \\n [0.1] *star* `code` 50 ± 3 −2 --out"


def test_nothing_in_a_cell_is_read_as_markup():
    frame = pd.DataFrame({"algorithm": ["[first]", HOSTILE, "*"], HOSTILE: ["1.0", HOSTILE, "–"]})
    table = Table("t", HOSTILE, frame, groups={HOSTILE: HOSTILE}, best=frozenset({(1, HOSTILE)}))
    latex = table.latex()
    for line in latex.splitlines():  # nothing special is left without its backslash
        for known in (r"\\(?=$| )", r"\\(text\w+|dots)\b(\{\})?", r"\\[&%$#_{}]", r"\$\\?[\w-]+\$", " & "):
            line = re.sub(known, "", line)
        assert not re.search(r"[#%&~^_$]", line) or "resizebox" in line, line
    rows = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert not any(row.lstrip().startswith(("[", "*")) for row in rows)  # would be an argument of the line above
    lines = table.markdown().splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines[:5]] == [3] * 5
    assert "<" not in table.markdown().replace("<br>", "") and unmd(lines[3].split(" | ")[0][2:]) == HOSTILE


def test_headings_of_a_latex_table_are_grouped_and_wrapped(frames):
    latex = scores(frames["classification"]).latex()
    head = latex.split(r"\toprule")[1].split(r"\midrule")[0]
    assert r"\multicolumn{3}{c}{cross-domain}" in head
    assert r"\shortstack[r]{Omniglot train, \\ held-out images}" in head
    assert latex.count("{") == latex.count("}") and r"\resizebox" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_latex_compiles(frames, kind, tmp_path):
    frame = pd.DataFrame({"algorithm": ["[first]", HOSTILE, "*"], HOSTILE: ["1.0", HOSTILE, "–"]})
    hostile = Table("t", HOSTILE, frame, groups={HOSTILE: HOSTILE}, best=frozenset({(1, HOSTILE)}))
    body = "\n\\clearpage\n".join(t.latex() for t in (hostile, *all_tables(frames[kind]).values()))
    preamble = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{preamble}{body}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-1500:]


def test_scores_are_printed_in_the_units_of_the_field(frames):
    for kind, scale in (("classification", 100), ("regression", -1)):
        one = frames[kind]
        table = all_tables(one)["scores" if kind == "classification" else "scores-iqm"]
        row = one.headline_scores().set_index(["algorithm", "split"]).loc[("maml", one.plain_splits()[0])]
        text = table.frame.set_index("algorithm").loc["maml", one.plain_splits()[0]]
        printed = float(text.split(" ")[0])
        assert printed == pytest.approx(row["score"] * scale, abs=0.051 if scale == 100 else 0.0051)
        ends = [float(end) for end in re.findall(r"[\d.]+", text)]
        half = (ends[2] - ends[1]) / 2 if "[" in text else ends[1]
        assert half == pytest.approx(scale * (row["high"] - row["low"]) / 2 * np.sign(scale), rel=0.3)
        assert "95% interval over new training runs and new episodes (3 seeds)" in table.caption
    assert "lower is better" in table.caption and "MSE" in table.caption


def test_divergence_is_a_table_of_its_own(frames):
    made = all_tables(frames["regression"])
    frame = made["divergence"].frame
    assert {"mean", "median", "interquartile mean", "diverged"} <= set(frame.columns)
    assert frame["mean"].str.contains("∞").any()
    assert not frame["interquartile mean"].str.contains("∞").any()
    assert frame["diverged"].str.endswith("%").all() and set(frame["diverged"]) != {"0.0%"}
    assert "divergence" not in all_tables(frames["classification"])


def test_all_intervals_stand_side_by_side_with_their_seeds(frames):
    one = frames["classification"]
    frame = intervals(one).frame
    assert list(frame.columns[2:]) == ["seeds run", "score", "crossed", "seeds", "episodes", "disjoint tasks"]
    assert len(frame) == 40 and (frame["seeds"].str.contains("±") | frame["seeds"].str.contains(r"\[")).all()
    assert set(frame["seeds run"]) == {"3"}
    frame = gap_intervals(one).frame
    assert {"seeds run", "crossed", "seeds", "episodes", "domains"} <= set(frame.columns)
    assert set(frame.loc[frame["split"] != "average", "domains"]) == {"–"}


def test_whatever_shows_adjusted_gaps_names_their_reference(frames):
    one = frames["classification"]
    said = "Difficulty-adjusted: minus the gap of the reference, scratch."
    for caption in (gaps(one).caption, gap_intervals(one).caption, GAPS.caption(one)):
        assert said in caption
    assert FORMULAS.write(one).terms[-1] == ("the reference", "scratch")
    assert "reference" not in gaps(one, within=True).caption
    without = frames["regression"]  # no control
    assert "reference" not in gaps(without).caption + str(FORMULAS.write(without).terms[-1])


def test_a_reference_without_results_is_told():
    results = make_results(algorithms=("maml", "scratch"), episodes=8, small=True)
    results = replace(results, suite=results.suite.model_copy(update={"reference": "pretrain"}))
    frames = Frames.of(results)
    assert "The reference, pretrain, has no results here: there are no difficulty-adjusted gaps." in frames.notes
    assert not frames.gaps["gap"].str.contains("adjusted").any()


def test_captions_count_the_seeds_of_their_own_rows():
    results = make_results(algorithms=("maml", "reptile", "mine"), seeds=(0, 1, 2), episodes=8, small=True)
    kept = [
        table[
            ~((table["algorithm"] == "mine") & (table["seed"] > 0))
            & ((table["algorithm"] != "reptile") | (table["seed"] < 2))
        ]
        for table in (results.episodes, results.cells)
    ]
    frames = Frames.of(replace(results, episodes=kept[0], cells=kept[1]))
    made = all_tables(frames)
    assert "(2 to 3 seeds; where there is one run, over new episodes)" in made["scores"].caption
    assert made["intervals"].frame.groupby("algorithm")["seeds run"].agg(set).to_dict() == {
        "maml": {"3"}, "reptile": {"2"}, "mine": {"1"},
    }  # fmt: skip
    text = verdict.plain(verdict.verdict(frames))
    assert "Nothing is claimed about maml" not in text
    assert "Nothing is claimed about reptile and mine, which have fewer than 3 seeds." in text


def test_comparisons_are_bold_exactly_where_the_data_can_tell(frames):
    one = frames["classification"]
    table = comparisons(one)
    pairs = one.headline_pairs()
    told = pairs["verdict"].str.endswith(" better")
    assert "average" in table.frame.columns and table.groups["average"] == "cross-domain"
    assert 0 < told.sum() < len(told)
    assert len(table.best) == told.sum()


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (93.12, 92.71, 93.53, "93.1 ± 0.4"),
        (93.12, 93.09, 93.15, "93.12 ± 0.03"),
        (0.5, 0.1, 3.0, "0.5 [0.1, 3.0]"),
        (math.inf, -math.inf, math.inf, "∞"),
        (2.0, 1.0, math.inf, "2.0 [1.0, ∞]"),
        (math.nan, math.nan, math.nan, "–"),
        (2.0, math.nan, math.nan, "2.0"),
        (5.0, 5.0, 5.0, "5.0 ± 0.0"),
    ],
)
def test_values_with_intervals(value, low, high, text):
    assert uncertain(value, low, high, decimals=1) == text


def test_numbers_and_shares():
    assert number(-0.001) == "0.00" and number(-2.5, signed=True) == "−2.50" and number(1.2345e20) == "1.2e20"
    assert number(-math.inf) == "−∞" and share(0.0) == "0.0%" and share(0.0004) == "<0.1%" and share(math.nan) == "–"
    assert ACCURACY.score(0.931, 0.927, 0.935) == "93.1 ± 0.4"
    assert MSE.score(-0.38, -0.40, -0.36) == "0.38 ± 0.02"
    assert MSE.score(-math.inf) == "∞"
    assert MSE.gap(0.5, 0.4, 0.6) == "+0.50 ± 0.10"


def test_one_colour_for_one_algorithm():
    def of(*names: str):
        return styles(Suite.recorded({"name": "any", "algorithms": {name: {} for name in names}}))

    style = of("mine", "reptile", "maml", "scratch", "pretrain", "fomaml", "other")
    assert len({look.color for look in style.values()}) == len(style) == len({look.marker for look in style.values()})
    assert style["maml"] == of("maml")["maml"]
    assert style["maml"].color == PALETTE[0][0]
    for control in ("scratch", "pretrain"):
        red, green, blue = (int(style[control].color[i : i + 2], 16) for i in (1, 3, 5))
        assert max(red, green, blue) - min(red, green, blue) < 24
    assert themed(f"fill: {style['maml'].color}") == "fill: var(--line-0)"


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_huge_value_never_stretches_a_figure(frames, kind):
    one = frames[kind]
    huge = one.scores.copy()
    rows = huge.index[(huge["algorithm"] == "maml") & (huge["condition"] == "standard")]
    for row, value in zip(rows, (-1e20, -np.inf, np.nan), strict=False):
        huge.loc[row, ["score", "low", "high"]] = value
    figure = SCORES.figure(replace(one, scores=huge))
    low, high = figure.axes[0].get_xlim()
    assert np.isfinite([low, high]).all() and high < 1000
    svg = to_svg(figure)
    assert "nan" not in re.sub(r"<text.*?</text>", "", svg).lower().replace("dominant", "")


def test_verdict_names_the_best_and_what_cannot_be_told(frames):
    text = verdict.plain(verdict.verdict(frames["classification"]))
    assert "maml has the highest accuracy" in text
    assert "its 95% interval over new training runs and new episodes (3 seeds)" in text
    assert "has the smallest domain gap" in text and "percentage points on average over these 3 domains" in text
    assert "over domains like them)" in text and "Cannot be told apart: " in text
    assert "significantly better than" in text and "compare" not in text
    text = verdict.plain(verdict.verdict(frames["regression"]))
    assert "lowest MSE" in text and "diverged" in text


def test_verdict_counts_many_algorithms_and_says_what_few_seeds_cannot_tell():
    names = ("scratch", *(f"variant-{number}" for number in range(7)))
    frames = Frames.of(make_results(algorithms=names, episodes=20, small=True))
    pairs = frames.pairs
    count = len(names) * (len(names) - 1) // 2
    untold = replace(frames, pairs=pairs.assign(verdict="cannot tell"))
    text = verdict.plain(verdict.verdict(untold))
    assert "It is not significantly better than any of the 7 others" in text
    family = 4 * count  # two splits, two gaps
    assert f"Corrected for {family} comparisons, a difference has to reach p < {0.05 / family:.1g}" in text
    assert "“metagap power” says how many it takes" in text and "fewer algorithms" not in text
    best = frames.headline_scores().query("role == 'in-distribution'").set_index("algorithm")["score"].idxmax()
    with_scratch = (pairs["a"] == "scratch") | (pairs["b"] == "scratch")
    told = pairs.assign(verdict=np.where(with_scratch, "cannot tell", f"{best} better"))
    text = verdict.plain(verdict.verdict(replace(frames, pairs=told)))
    assert "It is significantly better than 6 others, but not than scratch" in text
    many = verdict.plain(verdict.verdict(replace(frames, pairs=told.assign(seeds=5))))
    assert "Corrected for" in text and "Corrected for" not in many


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_terminal_compares_in_the_words_of_the_page(results, frames, kind):
    one = frames[kind]
    page = all_comparisons(one)
    assert one.correction in page.caption and one.correction in comparisons(one).caption
    assert "(scores and gaps)" in one.correction
    for a, b in (("maml", "fomaml"), ("fomaml", "maml"), ("pretrain", "maml")):
        console = Console(width=140, file=io.StringIO(), color_system=None)
        found = compare(results[kind], a, b)
        terminal.print_comparison(found, a, b, results[kind], console)
        text = console.file.getvalue()
        words = " ".join(text.split())
        unit = {"classification": "percentage points", "regression": "MSE (interquartile means)"}[kind]
        assert f"{a} − {b} in {unit}" in words and f"in {unit}, " in page.caption
        assert (
            "after Holm's correction over all" in words and "of this pair, chosen before its results were seen" in words
        )
        rows = page.frame[page.frame[["first", "second"]].apply(set, axis=1) == {a, b}]
        assert len(rows) >= 3
        own = found.scores[found.scores["statistic"] == one.metric.statistic]
        assert (
            set(own["split"]) == set(one.headline_pairs()["split"])
            and (own["family"] < one.pairs["family"].max()).all()
        )
        for row in own.to_dict("records"):
            shown = one.gap_row(row["split"])
            line = next(line for line in text.splitlines() if line.strip().startswith(f"{shown}  "))
            chance = uncertain(row["improvement"], row["improvement_low"], row["improvement_high"])
            assert line.rstrip().endswith(row["verdict"]) and chance in line, line
        assert "Whose gap is smaller" in text


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_terminal_fits_a_hundred_columns(results, frames, kind):
    one = results[kind]
    console = Console(width=100, file=io.StringIO(), color_system=None)
    terminal.print_results(frames[kind], console)
    terminal.print_comparison(compare(one, "maml", "fomaml"), "maml", "fomaml", one, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for word in ("pretrain", "domain gap", "95% interval over new training runs and new episodes", "published"):
        assert word in " ".join(text.split())
    first = {"classification": "EMNIST <letters>", "regression": "square wave"}[kind]
    assert first in text


def test_further_metrics_have_a_table_of_their_own():
    results = make_results(algorithms=("maml", "mine"), seeds=(0, 1), episodes=8, small=True)
    further = results.episodes.assign(query_ece=0.1, support_ece=0.05)
    frames = Frames.of(replace(results, episodes=further, metrics=(ACCURACY, ECE)))
    table = METRICS.make(frames)
    assert table.frame["algorithm"].tolist() == ["maml", "mine"]
    assert set(table.frame["metric"]) == {"expected calibration error (%)"}
    assert "lower is better" in table.caption and METRICS.make(replace(frames, further={})) is None
    for width in (80, 100):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        terminal.print_table(table, console)
        lines = console.file.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert [line.count("10.0 [") for line in lines if "10.0" in line] == [3, 3]


def test_published_values_are_printed_with_their_mark():
    results = make_results(algorithms=("maml", "reptile", "mine"), seeds=(0,), episodes=10, small=True)
    suite = results.suite
    marked = zip(suite.algorithms, "VSR", strict=True)
    values = [suite.published[0].model_copy(update={"algorithm": name, "mark": mark}) for name, mark in marked]
    frames = Frames.of(replace(results, suite=suite.model_copy(update={"published": values})))
    console = Console(width=100, file=io.StringIO(), color_system=None)
    terminal.print_results(frames, console)
    text = console.file.getvalue()
    lines = text[text.index("Published values") :].splitlines()
    printed = {name: next(line for line in lines if name in line) for name in ("maml", "reptile", "mine")}
    assert "98.7 ± 0.4  " in printed["maml"]
    assert "98.7 ± 0.4 [S]" in printed["reptile"] and "98.7 ± 0.4 [R]" in printed["mine"]
    text = " ".join(text.split())
    assert "[S] quoted by another paper" in text and "[R] recalled, to be checked" in text
    assert "Known deviations from the published protocol" in text
    assert "Classes are drawn <anew>." in text and "Tests have [more] queries." in text
    table = all_tables(frames)["published"]
    ends = ("read at the source", "[S] quoted by another paper", "[R] recalled, to be checked")
    assert all(text.endswith(end) for text, end in zip(table.frame["source"], ends, strict=True))
    assert all("recalled" in written for written in (table.csv(), table.markdown(), table.latex()))


def test_settings_at_test_are_told():
    results = make_results(algorithms=("maml", "mine"), seeds=(0,), episodes=10, small=True)
    results.suite.algorithms["mine"].evaluation["settings"] = {"inner_batch": 5}
    table = all_tables(Frames.of(results))["settings"]
    assert table.frame["inner steps at test"].tolist() == ["3", "3, inner_batch 5"]


def test_json_has_no_value_that_json_lacks():
    frame = pd.DataFrame({"name": ["a", "b", "c"], "value": [np.nan, -np.inf, 0.25], "seeds": [3, 3, 1]})
    records = terminal.as_json(frame)
    assert json.loads(json.dumps(records, allow_nan=False)) == [
        {"name": "a", "value": None, "seeds": 3},
        {"name": "b", "value": "-inf", "seeds": 3},
        {"name": "c", "value": 0.25, "seeds": 1},
    ]
