"""The recorded requests of evcc's demo, in their order and pace, at the pretend evcc."""

from typing import Any

import pytest

from tests.demo_requests import (
    EXCEPTIONS,
    RECORDED,
    Difference,
    Outcome,
    Stream,
    changes,
    play,
    recorded_requests,
    recorded_stream,
    same,
    times_of,
)

LARGEST_SHARE = 0.03

needs_recording = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recordings of a real evcc are not beside this checkout"
)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return play()


@needs_recording
def test_every_recorded_request_is_answered_and_acts_as_recorded(outcome: Outcome) -> None:
    assert outcome.requests == 162
    assert outcome.settings > 140
    odd = [one for one in outcome.differences if one.request not in EXCEPTIONS]
    assert odd == [], outcome.table()


@needs_recording
def test_the_exceptions_are_few_and_each_is_needed(outcome: Outcome) -> None:
    assert len(EXCEPTIONS) <= LARGEST_SHARE * outcome.requests
    assert {one.request for one in outcome.differences} == set(EXCEPTIONS)


@needs_recording
def test_the_pace_is_the_streams() -> None:
    asked, stream = recorded_requests(), recorded_stream()
    times = times_of(asked, stream)
    assert times == sorted(times)
    shown = {t for t, _ in stream}
    assert sum(t in shown for t in times) > 60
    assert times[0] == 0.068


def test_a_difference_is_found_and_told() -> None:
    before = {"loadpoints": [{"mode": "pv", "plan": None}], "vehicles": {"a": {}}}
    after = {"loadpoints": [{"mode": "off", "plan": None}], "vehicles": {"a": {"minSoc": 30}}}
    assert changes(before, after) == {
        "loadpoints[0].mode": ["pv", "off"],
        "vehicles.a.minSoc": ["<absent>", 30],
    }
    assert same({"end": "2026-11-22T12:45:00.5Z"}, {"end": "2026-11-22T12:45:00Z"})
    assert not same({"end": "2026-11-22T12:45:03Z"}, {"end": "2026-11-22T12:45:00Z"})
    assert not same([1, "on"], [1, "off"])
    table = Outcome(4, 2, (Difference("GET /x", "status", 200, 404),)).table()
    assert "answered as recorded 3 (75.0 %)" in table
    assert "GET /x: status" in table


# --- the stream meanwhile -------------------------------------------------------------------------

NOT_TOLD = ("tariffCo2", "tariffTemperature", "forecast.co2", "forecast.temperature")
"""No CO2 and no temperature in the pretend home."""
OTHERWISE = {
    "enabled": "told when it changes; evcc repeats it a minute after the last switch",
    "pvAction": "the demo's own sun",
    "pvRemaining": "the demo's own sun",
    "chargerStatusReason": "never another one",
    "vehicleLimitSoc": "the demo's heat pump has a limit",
    "offeredCurrent": "the demo's own sun",
}
"""Keys of which the number of messages is another one."""


def kind(value: Any) -> str:
    """The JSON type; both kinds of numbers are one."""
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def compared(stream: Stream) -> Stream:
    """Without the first message, and without what the pretend home has not."""
    singles = [(t, message) for t, message in stream if len(message) == 1]
    return [
        (t, message)
        for t, message in singles
        if t < STREAM_ENDED_S and not next(iter(message)).startswith(NOT_TOLD)
    ]


STREAM_ENDED_S = 72.8


def values_of(stream: Stream) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for _, message in compared(stream):
        for key, value in message.items():
            found.setdefault(key, []).append(value)
    return found


@needs_recording
def test_each_key_is_told_alone_and_as_often_as_recorded(outcome: Outcome) -> None:
    real, ours = values_of(recorded_stream()), values_of(outcome.told)
    assert len(outcome.told[0][1]) > 300
    assert all(len(message) == 1 for _, message in outcome.told[1:])
    for key in set(real) | set(ours):
        if key.rpartition(".")[2] not in OTHERWISE:
            assert len(ours.get(key, ())) == pytest.approx(len(real.get(key, ())), abs=1), key


@needs_recording
def test_each_key_has_the_recorded_types(outcome: Outcome) -> None:
    kinds: dict[str, set[str]] = {}
    for key, values in values_of(recorded_stream()).items():
        kinds.setdefault(key.rpartition(".")[2], set()).update(map(kind, values))
    ours = values_of(outcome.told)
    assert len(ours) > 120
    for key, values in ours.items():
        assert {kind(value) for value in values} <= kinds[key.rpartition(".")[2]], key


@needs_recording
def test_settings_are_told_in_the_recorded_values(outcome: Outcome) -> None:
    real, ours = values_of(recorded_stream()), values_of(outcome.told)
    names = {key.replace("[", ".").replace("]", "") for one in recorded_requests()
             for key in one["state_after"]}  # fmt: skip
    told = [key for key in names if key in real and key.rpartition(".")[2] not in OTHERWISE]
    assert len(told) > 35
    for key in told:
        began, begins = recorded_stream()[0][1].get(key), outcome.told[0][1].get(key)
        assert same(steps([began, *real[key]]), steps([begins, *ours[key]])), key


def steps(values: list[Any]) -> list[Any]:
    """Without repetitions."""
    return [value for k, value in enumerate(values) if not k or value != values[k - 1]]


@needs_recording
@pytest.mark.parametrize(("k", "since_s"), [(0, 14.4), (1, 17.4)])
def test_a_cycle_tells_its_keys_in_the_recorded_order(
    outcome: Outcome, k: int, since_s: float
) -> None:
    real, ours = (cycle_of(stream, k, since_s) for stream in (recorded_stream(), outcome.told))
    assert len(ours) > 40
    assert [key for key in real if key in ours] == [key for key in ours if key in real]
    assert {key.rpartition(".")[2] for key in set(real) ^ set(ours)} <= set(OTHERWISE)


def cycle_of(stream: Stream, k: int, since_s: float) -> list[str]:
    """What loadpoint `k` and the site tell in its first cycle after `since_s`, once each."""
    keys = [next(iter(message)) for t, message in compared(stream) if t > since_s]
    first = keys.index(f"loadpoints.{k}.smartCostActive")
    return list(dict.fromkeys(keys[first : keys.index("loadpoints.2.suggestion", first) + 1]))
