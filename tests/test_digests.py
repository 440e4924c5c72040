import hashlib
import json

from metagap import digests
from metagap.runner.context import seed_of


def test_digests_are_sha256_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert digests.of_file(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert digests.of_text("é") == digests.of_bytes("é".encode()) == hashlib.sha256("é".encode()).hexdigest()


def test_the_digest_of_a_value_can_leave_the_order_of_keys_aside():
    a, b = {"x": 1, "y": [2, None]}, {"y": [2, None], "x": 1}
    assert digests.of_value(a) == hashlib.sha256(json.dumps(a).encode()).hexdigest() != digests.of_value(b)
    assert digests.of_value(a, sort_keys=True) == digests.of_value(b, sort_keys=True)


def test_seeds_are_what_they_always_were():  # other ones would be other episodes
    assert seed_of("timing", 0) == int.from_bytes(hashlib.sha256(b"timing 0").digest()[:7], "big")
    assert digests.number("order of queries 7") == 57361235106255037
