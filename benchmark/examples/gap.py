"""A gap: what is lost from the validation classes, on which the checkpoint was selected, to the test classes."""

from metagap.analysis.gaps import GapKind, between


def compute(grids, algorithm):
    return between(
        lambda split: grids.get(algorithm, split),
        home=grids.home("meta-val"),
        away=grids.home("in-distribution")[:1],
    )


SELECTION_GAP = GapKind(
    name="selection gap",
    sides="between splits",
    sign="cost",
    formula="meta-val − in-distribution",
    compute=compute,
)


if __name__ == "__main__":
    from pathlib import Path

    from metagap.analysis.gaps import GAPS, gap_table
    from metagap.results import read

    print(gap_table(read(Path("results"), "quickstart"), [*GAPS, SELECTION_GAP]).to_string())
