"""Cells side by side on a GPU, as far as its memory goes."""

from __future__ import annotations

from metagap.executors.room import Memory, Room, side_by_side

GIB = 2**30


def admitted(room: Room) -> list[int]:
    """The places that are taken, one after the other."""
    busy: list[int] = []
    for place in range(len(room.places)):
        if room.admits(place, busy):
            busy.append(place)
    return busy


def test_every_gpu_is_taken_first_and_no_more_than_there_are_cores():
    assert side_by_side(["cuda:0", "cuda:1"], 4) == ["cuda:0", "cuda:1"] * 2
    assert side_by_side(["cuda:0"], 16) == ["cuda:0"] * 4
    assert side_by_side(["cuda:0", "cuda:1"], 1) == ["cuda:0", "cuda:1"]
    assert side_by_side(["cpu"] * 3, 8) == ["cpu"] * 3


def test_others_begin_once_a_cell_has_shown_what_it_takes():
    room = Room(side_by_side(["cuda:0", "cuda:1"], 16), limited=True)
    assert admitted(room) == [0, 1]
    room.saw(Memory(2 * GIB, 12 * GIB))  # three times 1.5 x 2 + 1 GiB
    assert admitted(room) == [0, 1, 2, 3, 4, 5]
    room.saw(Memory(GIB, 12 * GIB))  # a smaller one promises nothing
    assert admitted(room) == [0, 1, 2, 3, 4, 5]
    room.saw(Memory(4 * GIB, 12 * GIB))
    assert admitted(room) == [0, 1]
    assert room.admits(2, busy=[1]) and not room.admits(2, busy=[0])


def test_what_was_asked_for_and_cpus_have_no_limit():
    assert admitted(Room(["cuda:0"] * 8, limited=False)) == list(range(8))
    assert admitted(Room(["cpu"] * 8, limited=True)) == list(range(8))
