import pytest

from metagap.writing import write_whole


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path):
    path = tmp_path / "a/b/file"
    for data in (b"one", b"two"):
        write_whole(path, data)
        assert path.read_bytes() == data and [other.name for other in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / "folder/held").mkdir(parents=True)
    with pytest.raises(OSError):
        write_whole(tmp_path / "folder", b"data")  # a folder that is not empty
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
