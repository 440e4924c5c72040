"""Numbers from results: scores, gaps, comparisons and reproductions, each with an interval.

Reads top to bottom as `intervals`, `classes` and `equivalence` (statistics of plain numbers), `divergence` and `grids`
(from the episode table to arrays), then the tables: `scores`, `variance`, `outliers`, `gaps`, `comparisons`, `power`,
`leaders`, `reproduction`; and across suites `ranks`, `aggregates`, `across_suites`, `associations`. Imports numpy,
scipy and pandas only, and for mixed models statsmodels.
"""
