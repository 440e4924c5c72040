"""A figure: every single training run on every split, so that one seed that fails is seen."""

from metagap.report.figures.axes import legend, offsets, row_axis, tall
from metagap.report.panels import Panel
from metagap.report.theme import styles


def draw(frames, narrow):
    runs = frames.runs.query("condition == 'standard'")
    runs = runs[runs["statistic"] == frames.metric.statistic]
    if runs["seed"].nunique() < 2:
        return None
    splits, style = list(frames.splits), styles(frames.suite)
    figure = tall(0.4 * len(splits), frames.algorithms, narrow)
    axis = figure.subplots()
    row_axis(axis, [frames.split_label(split) for split in splits], "")
    for offset, algorithm in zip(offsets(len(frames.algorithms)), frames.algorithms, strict=True):
        own = runs[runs["algorithm"] == algorithm]
        rows = own["split"].map(splits.index) + offset
        axis.plot(own["score"] * frames.metric.score_scale, rows, "|", color=style[algorithm].color)
    axis.set_xlabel(frames.score_label())
    legend(figure, style, frames.algorithms)
    return figure


RUNS = Panel(
    name="single-runs",
    section="scores",
    caption="A mark for each training run: its score on the test episodes that all runs share.",
    draw=draw,
)


if __name__ == "__main__":
    from pathlib import Path

    from metagap.report.contents import CONTENTS
    from metagap.report.frames import Frames
    from metagap.report.page import write_report
    from metagap.results import read

    print(write_report(Frames.of(read(Path("results"), "quickstart")), Path("reports/with-runs"), [*CONTENTS, RUNS]))
