from __future__ import annotations

import pytest
from guides import EXAMPLES, GUIDES, SAVED_AS, blocks, text


@pytest.fixture
def readers_folder(tmp_path, monkeypatch):
    """An empty folder with the files that the guides have their reader write."""
    for name, block in zip(("my-suite", "my-other"), blocks(GUIDES / "suites.md", "toml"), strict=True):
        (tmp_path / f"{name}.toml").write_text(block, encoding="utf-8")
    published = blocks(GUIDES / "add-published-table.md", "toml")
    for name, block in zip(("my-sinusoid", "doe-table3"), published, strict=True):
        (tmp_path / f"{name}.toml").write_text(block, encoding="utf-8")
    (tmp_path / "reach.toml").write_text(blocks(GUIDES / "metaworld.md", "toml")[0], encoding="utf-8")
    for name, page in {"shops": "tables.md", "machines": "series-text-audio.md"}.items():
        (tmp_path / f"{name}.toml").write_text(blocks(GUIDES / page, "toml")[0], encoding="utf-8")
    (tmp_path / "theirs.py").write_text(blocks(GUIDES / "learn2learn.md", "python")[0], encoding="utf-8")
    for name, example in SAVED_AS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text(EXAMPLES / example), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for page in ("tables.md", "series-text-audio.md"):
        exec(blocks(GUIDES / page, "python")[0], {})  # writes shops.csv, machines.csv
    return tmp_path
