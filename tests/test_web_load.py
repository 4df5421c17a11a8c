"""Ten streams and two pollers while the home changes 20 times a second (larger: load_web)."""

from tests.load_web import run


def test_inv_108_every_snapshot_under_load_is_consistent_and_nothing_is_left_behind() -> None:
    result = run(streams=10, pollers=2, seconds=3, threads=24)
    assert result.faults == []
    assert len(result.requests_s) > 10
    assert result.events > 10
    assert result.streams_left == 0
    assert result.threads_left == 0
