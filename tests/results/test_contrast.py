"""`metagap results diff`: why two runs of a cell differ, and by how much."""

from __future__ import annotations

import io
import json
import shutil

import pytest
import torch
from tiny_store import CPU, WAVES, load

from metagap import results
from metagap.errors import UserError
from metagap.results.archives import export
from metagap.results.contrast import contrast, contrasts
from metagap.runner.cell import run_cell


def test_equal_runs_are_equal(store):
    folder, _ = store
    shutil.copytree(folder / "tiny", folder / "copy" / "tiny")
    (one, other) = contrasts(folder, str(folder), str(folder / "copy"))
    for found in (one, other):
        assert found.same_numbers and not found.causes and not found.unknown
        assert {score.split for score in found.scores} == {"old", "square"}
    assert set(one.weights.values()) == {0.0} and len(one.weights) > 2


def test_another_setting_is_the_cause_and_its_effect_is_measured(store):
    folder, (cell, _) = store
    other = load(folder, WAVES, "algorithms.maml.inner_lr=0.5")[0]
    run_cell(other, folder, CPU)
    (found,) = contrasts(folder, f"tiny/maml/0-{cell.hash}", str(other.folder(folder)))
    assert found.causes["configuration"] == ["hyperparameters.inner_lr 0.01 → 0.5"]
    assert "environment" not in found.causes and "data" not in found.causes
    weights = [
        torch.load(io.BytesIO(results.read_sealed(one.folder(folder) / "checkpoint.pt")), weights_only=True)["selected"]
        for one in (cell, other)
    ]
    assert found.weights == {
        name: float((weights[0][name].double() - weights[1][name].double()).abs().max()) for name in weights[0]
    }
    assert found.parts == 1
    for score in found.scores:
        means = []
        for one in (cell, other):
            rows = results.read(folder, "tiny", one.variant, {one.hash}).episodes
            rows = rows[(rows["algorithm"] == "maml") & (rows["split"] == score.split) & (rows["step"] == 1)]
            means.append(rows["query_score"].mean())
        assert [score.a, score.b] == pytest.approx(means) and score.differing == score.episodes == 5


def test_environment_data_and_curves(store):
    folder, (cell, _) = store
    a, b = cell.folder(folder), folder / "copy" / cell.folder(folder).relative_to(folder)
    shutil.copytree(a, b)
    path = next(b.glob("done-*.json"))
    marker = results.read_signed(path)
    sha256 = dict(marker["sha256"])
    sha256["environment.json"] = results.write_json(
        b / "environment.json", results.read_json(b / "environment.json") | {"torch": "1.0"}
    )
    curve = results.read_frame(b / "curve.parquet")
    curve.loc[2:, "loss"] += 1
    sha256["curve.parquet"] = results.write_frame(b / "curve.parquet", curve)
    split_data = marker["split_data"] | {"old": "0123456789"}
    results.write_signed(path, marker | {"sha256": sha256, "split_data": split_data})
    (b / "checkpoint.pt").unlink()
    found = contrast(a, b)
    assert [line.partition(" ")[0] for line in found.causes["environment"]] == ["torch"]
    assert found.causes["environment"][0].endswith("→ 1.0")
    assert found.causes["data"] == [f"split_data.old {marker['split_data']['old'] or '–'} → 0123456789"]
    assert found.parts == 3 and found.weights == {}
    assert found.unknown == [f"Weights are not compared: {b} has none."]


def test_two_archives(store, tmp_path_factory):
    folder, _ = store
    out = tmp_path_factory.mktemp("out")
    export(folder, "tiny", out / "a.zip")
    export(folder, "tiny", out / "b.tar.gz")
    assert all(one.same_numbers for one in contrasts(folder, str(out / "a.zip"), str(out / "b.tar.gz")))


def test_bad_names(store):
    folder, (cell, _) = store
    with pytest.raises(UserError, match="is no cell"):
        contrasts(folder, "tiny/maml/7", "tiny/maml/0")
    with pytest.raises(UserError, match="one is a cell"):
        contrasts(folder, "tiny/maml/0", "tiny")
    shutil.copytree(cell.folder(folder), cell.folder(folder).with_name("0-0123456789"))
    with pytest.raises(UserError, match="several settings: name one of tiny/maml/0-0123456789, tiny/maml/0-"):
        contrasts(folder, "tiny/maml/0", "tiny/scratch/0")


def test_the_command(store, here):
    folder, _ = store
    code, out, _ = here("results", "diff", "tiny/maml/0", "tiny/maml/0", "--results", str(folder))
    assert code == 0 and "settings, data, code and environment: the same" in out
    assert "weights: the same to the last bit" in out and "training curves: the same" in out
    assert "split 'square': " in out and "0 of 5 episodes differ" in out
    code, out, _ = here("results", "diff", "tiny/maml/0", "tiny/scratch/0", "--json", "--results", str(folder))
    (found,) = json.loads(out)
    assert "algorithm maml → scratch" in found["causes"]["configuration"]
