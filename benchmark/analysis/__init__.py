"""Numbers from results: scores, gaps, comparisons and reproductions, each with an interval.

Reads top to bottom as `intervals` (statistics of plain arrays), `divergence` and `grids` (from the episode table to
arrays), then the tables: `scores`, `gaps`, `comparisons`, `reproduction`. Imports numpy, scipy and pandas only.
"""
