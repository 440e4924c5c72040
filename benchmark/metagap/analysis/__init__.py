"""Numbers from results: scores, gaps, comparisons and reproductions, each with an interval.

Reads top to bottom as `intervals` and `equivalence` (statistics of plain numbers), `divergence` and `grids` (from the
episode table to arrays), then the tables: `scores`, `gaps`, `comparisons`, `leaders`,
`reproduction`; and across suites `ranks`, `aggregates`, `across_suites`. Imports numpy, scipy and
pandas only.
"""
