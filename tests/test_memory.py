"""What cannot fit into this machine is refused before it is made."""

from __future__ import annotations

import pytest

from metagap import memory
from metagap.errors import UserError


def test_more_than_the_machine_has_is_refused():
    assert 2**28 < memory.installed() < 2**50
    memory.require(2**20, "little")
    with pytest.raises(UserError, match=r"a lake takes 1.0 ZB of memory; this machine has \d"):
        memory.require(10**21, "a lake")
