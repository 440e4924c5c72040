"""A table: the worst training run of every algorithm on every split, for those who can afford only one."""

from metagap.report.panels import TableKind
from metagap.report.table import Table


def make(frames):
    runs = frames.runs.query("condition == 'standard'")
    runs = runs[runs["statistic"] == frames.metric.statistic]
    if runs["seed"].nunique() < 2:
        return None
    worst = runs.groupby(["split", "algorithm"], sort=False)["score"].min().map(frames.metric.score)
    return Table(
        name="worst-runs",
        title="Worst runs",
        caption=f"{frames.metric.heading}: of the {frames.seeds} training runs the one with the lowest score.",
        frame=worst.unstack("split").reindex(frames.algorithms).rename(columns=frames.split_label).reset_index(),
    )


WORST_RUNS = TableKind(name="worst-runs", section="scores", make=make, terminal=make, folded="The worst runs")


if __name__ == "__main__":
    from pathlib import Path

    from metagap.report.contents import CONTENTS
    from metagap.report.frames import Frames
    from metagap.report.page import write_report
    from metagap.results import read

    contents = [*CONTENTS, WORST_RUNS]
    print(write_report(Frames.of(read(Path("results"), "quickstart")), Path("reports/with-runs"), contents))
