"""The collector: when it asks, what a reading means, which prices and sun it tells."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.collector import Collector
from engine.messages import (
    ActorFailed,
    EvccLost,
    EvccNudged,
    EvccRead,
    EvccReadDue,
    EvccSilent,
    Message,
    RatesChanged,
    SiteMeasured,
    Tick,
    VehiclePlugged,
    VehicleUnplugged,
)
from engine.rates import (
    known_from,
)
from engine.slots import SLOT
from engine.values import Series, Tariff
from tests.make_collector import DAY, HOUR
from tests.make_senses import (
    MIDNIGHT,
    NOON,
    after,
    box,
    config,
    free,
    rates,
    read,
    site,
    three,
)

ALL = ("grid", "feedin", "solar")


def collector(**changes: Any) -> Collector:
    """One that has heard its configuration."""
    mind = Collector()
    assert list(mind.on(config(**changes))) == []
    return mind


def says(mind: Collector, message: Any, kind: type[Message]) -> list[Any]:
    return [one for one in mind.on(message) if type(one) is kind]


def changed(mind: Collector, message: EvccRead) -> RatesChanged:
    (one,) = says(mind, message, RatesChanged)
    assert isinstance(one, RatesChanged)
    return one


# --- asking ---------------------------------------------------------------------------------------


def test_every_tick_asks_and_the_first_one_for_all_tariffs() -> None:
    mind = collector()
    assert list(mind.on(Tick(NOON))) == [EvccReadDue(NOON, ALL)]
    known = rates(MIDNIGHT, DAY * 2)
    list(mind.on(read(NOON, tariffs=three(known, known, known))))
    assert list(mind.on(Tick(after(seconds=10)))) == [EvccReadDue(after(seconds=10), ())]
    list(mind.on(read(after(seconds=10))))
    # each new slot asks for all again
    assert list(mind.on(Tick(after(15)))) == [EvccReadDue(after(15), ALL)]


def test_one_reading_at_a_time_and_never_stuck() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    assert list(mind.on(Tick(after(seconds=10)))) == []
    assert list(mind.on(Tick(after(seconds=20)))) == []
    assert list(mind.on(Tick(after(seconds=30)))) == [
        EvccLost(after(seconds=30), NOON, "no answer for 30 s"),
        EvccReadDue(after(seconds=30), ALL),
    ]
    assert says(mind, read(after(seconds=31)), SiteMeasured)
    assert says(mind, Tick(after(seconds=40)), EvccReadDue)


def test_patience_is_three_long_ticks() -> None:
    mind = collector(tick_s=300.0)
    list(mind.on(Tick(NOON)))
    assert list(mind.on(Tick(after(10)))) == []
    assert says(mind, Tick(after(15)), EvccReadDue)


def test_tariffs_that_failed_are_asked_again_after_five_minutes() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    list(mind.on(read(NOON, tariffs=three(rates(MIDNIGHT, DAY), None, rates(MIDNIGHT, DAY)))))
    (early,) = mind.on(Tick(after(4)))
    assert early == EvccReadDue(after(4), ())
    list(mind.on(read(after(4))))
    assert list(mind.on(Tick(after(5)))) == [EvccReadDue(after(5), ("feedin",))]


def test_after_13_local_missing_prices_of_tomorrow_are_asked_for_every_five_minutes() -> None:
    mind = collector()
    one = after(60)  # 13:00 local
    list(mind.on(Tick(one)))
    today, both = rates(MIDNIGHT, DAY), rates(MIDNIGHT, DAY * 2)
    list(mind.on(read(one, tariffs=three(today, today, today))))
    assert list(mind.on(Tick(after(65)))) == [EvccReadDue(after(65), ("grid",))]
    news = changed(mind, read(after(65), tariffs=(Tariff("grid", both),)))
    assert news.revision == 2
    assert len(news.import_eur_kwh.values) == 192
    assert list(mind.on(Tick(after(71)))) == [EvccReadDue(after(71), ())]


def test_before_13_local_tomorrow_is_not_missed() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    today = rates(MIDNIGHT, DAY)
    list(mind.on(read(NOON, tariffs=three(today, today, today))))
    assert list(mind.on(Tick(after(14)))) == [EvccReadDue(after(14), ())]


def test_tariffs_of_a_silent_evcc_stay_due() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    list(mind.on(EvccSilent(NOON, "refused")))
    assert list(mind.on(Tick(after(seconds=10)))) == [EvccReadDue(after(seconds=10), ALL)]


def test_a_nudge_asks_at_once_twice_in_a_burst_and_then_once_per_second() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    list(mind.on(read(NOON)))
    asked = []
    for tenth in range(1, 101):
        at = after(seconds=tenth / 10)
        if says(mind, EvccNudged(at, "loadpoints.0.connected"), EvccReadDue):
            asked.append(tenth)
            assert says(mind, read(at), EvccReadDue) == []
    assert asked[0] == 1
    assert len(asked) <= 11
    assert all(late - early >= 20 for early, late in zip(asked, asked[2:], strict=False))


def test_after_silence_the_next_tick_asks_and_a_nudge_before_it_too() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    assert list(mind.on(EvccNudged(NOON, "loadpoints.0.connected"))) == []
    assert list(mind.on(EvccSilent(NOON, "refused"))) == [EvccLost(NOON, NOON, "refused")]
    at = after(seconds=3)
    assert list(mind.on(EvccNudged(at, "loadpoints.0.connected"))) == [EvccReadDue(at, ALL)]


def test_a_nudge_during_a_reading_is_followed_by_another_reading() -> None:
    mind = collector()
    list(mind.on(Tick(NOON)))
    assert list(mind.on(EvccNudged(after(seconds=0.2), "loadpoints.0.connected"))) == []
    at = after(seconds=0.5)
    assert list(mind.on(read(at, tariffs=())))[-1] == EvccReadDue(at, ALL)


# --- what a reading means -------------------------------------------------------------------------


def test_inv_26_readings_pass_untouched_in_their_unit() -> None:
    """50 W at dusk is 50 W: no guess by magnitude."""
    mind = collector()
    home = site(free(), pv_w=50.0, grid_import_w=0.4, home_w=50.4)
    assert says(mind, EvccRead(NOON, home), SiteMeasured) == [SiteMeasured(NOON, home)]


def test_plug_edges() -> None:
    mind = collector()
    assert list(mind.on(read(NOON, free())))[1:] == []
    at = after(1)
    assert list(mind.on(read(at, box(None))))[1:] == [VehiclePlugged(at, "carport", None)]
    # evcc has found out which car it is; upper and lower case make no other car (INV-78)
    assert list(mind.on(read(at, box("Zoë"))))[1:] == [VehiclePlugged(at, "carport", "Zoë")]
    assert list(mind.on(read(at, box("zoË"))))[1:] == []
    assert list(mind.on(read(at, box("ora_03"))))[1:] == [VehiclePlugged(at, "carport", "ora_03")]
    assert list(mind.on(read(at, free())))[1:] == [VehicleUnplugged(at, "carport", "ora_03")]


def test_a_car_that_is_there_at_the_first_reading_counts_as_plugged() -> None:
    mind = collector()
    assert list(mind.on(read(NOON, box("zoe", 40.0))))[1:] == [
        VehiclePlugged(NOON, "carport", "zoe")
    ]


def test_a_loadpoint_that_vanishes_is_free_and_heaters_have_no_plug() -> None:
    mind = collector()
    assert list(mind.on(read(NOON, box("boiler", charger=False))))[1:] == []
    list(mind.on(read(NOON, box("zoe"))))
    assert list(mind.on(read(after(1))))[1:] == [VehicleUnplugged(after(1), "carport", "zoe")]


def test_inv_58_silence_is_said_at_each_failed_reading_with_its_beginning() -> None:
    mind = collector()
    for k in range(3):
        at = after(seconds=10 * k)
        list(mind.on(Tick(at)))
        assert list(mind.on(EvccSilent(at, "refused"))) == [EvccLost(at, NOON, "refused")]
    list(mind.on(read(after(1))))
    assert list(mind.on(EvccSilent(after(2), "timed out"))) == [
        EvccLost(after(2), after(2), "timed out")
    ]


def test_inv_112_a_reading_that_was_overtaken_is_dropped() -> None:
    mind = collector()
    list(mind.on(read(after(1), box("zoe"))))
    assert list(mind.on(read(NOON, free()))) == []
    assert says(mind, Tick(after(2)), EvccReadDue)


# --- prices and sun -------------------------------------------------------------------------------


def test_rates_are_said_once_and_again_only_when_they_changed() -> None:
    mind = collector()
    entries = three(rates(MIDNIGHT, DAY), rates(MIDNIGHT, (0.08,) * 96), rates(MIDNIGHT, DAY))
    first = changed(mind, read(NOON, tariffs=entries))
    assert first.revision == 1
    assert first.import_eur_kwh == Series(MIDNIGHT, tuple(round(v, 6) for v in DAY))
    assert first.export_eur_kwh == Series(MIDNIGHT, (0.08,) * 96)
    assert first.grid_failed_since is None
    assert says(mind, read(after(15), tariffs=entries), RatesChanged) == []
    # a source that begins at the running hour takes nothing back
    fresh = rates(NOON, tuple(DAY[k] for k in range(48, 96)))
    assert says(mind, read(after(30), tariffs=(Tariff("grid", fresh),)), RatesChanged) == []
    dearer = three(rates(MIDNIGHT, [v + 0.01 for v in DAY]))
    assert changed(mind, read(after(45), tariffs=dearer)).revision == 2


def test_inv_111_prices_that_somebody_fell_over_are_said_again_at_the_next_tariff_reading() -> None:
    mind = collector()
    known = three(rates(MIDNIGHT, DAY), None, rates(MIDNIGHT, (100.0,) * 96))
    first = changed(mind, read(NOON, tariffs=known))
    assert list(mind.on(ActorFailed(NOON, "Forecaster", "StateChanged", "boom"))) == []
    assert says(mind, read(after(15), tariffs=known), RatesChanged) == []
    assert list(mind.on(ActorFailed(after(15), "Forecaster", "RatesChanged", "boom"))) == []
    assert says(mind, read(after(20)), RatesChanged) == []
    again = changed(mind, read(after(30), tariffs=known))
    assert again == msgspec.structs.replace(first, at=after(30), revision=2)
    assert says(mind, read(after(45), tariffs=known), RatesChanged) == []


def test_inv_18_a_failing_tariff_keeps_its_future_and_is_told_as_failed() -> None:
    mind = collector()
    sun = rates(MIDNIGHT, (100.0,) * 96)
    first = changed(mind, read(NOON, tariffs=three(rates(MIDNIGHT, DAY), None, sun)))
    failed = changed(mind, read(after(15), tariffs=three(None, None, sun)))
    assert failed.import_eur_kwh == first.import_eur_kwh
    assert failed.grid_failed_since == after(15)
    # the day after, nothing is known: unknown, not zero
    tomorrow = NOON + timedelta(days=1)
    unknown = changed(mind, read(tomorrow, tariffs=three(None, None, None)))
    assert unknown.import_eur_kwh.values == ()
    assert unknown.import_eur_kwh.at(tomorrow) is None
    assert unknown.grid_failed_since == after(15)
    healed = changed(mind, read(tomorrow + HOUR, tariffs=three(rates(tomorrow, DAY), None, sun)))
    assert healed.grid_failed_since is None


def test_inv_18_an_outdated_or_empty_tariff_counts_as_failed() -> None:
    for grid in ((), rates(MIDNIGHT, DAY[:4]), rates(MIDNIGHT - timedelta(days=3), DAY)):
        mind = collector()
        said = changed(mind, read(NOON, tariffs=three(grid)))
        assert said.grid_failed_since == NOON
        assert not known_from(said.import_eur_kwh, NOON)


def test_inv_18_a_hole_in_the_prices_is_neither_zero_nor_filled() -> None:
    mind = collector()
    values: list[float | None] = list(DAY)
    values[50:58] = [None] * 8
    said = changed(mind, read(NOON, tariffs=three(rates(MIDNIGHT, values))))
    assert said.import_eur_kwh.window(MIDNIGHT + 49 * SLOT, 3)[1:] == (None, None)
    assert said.import_eur_kwh.at(MIDNIGHT + 58 * SLOT) == pytest.approx(DAY[58])


def test_without_a_feed_in_tariff_the_setting_holds_over_the_span_of_the_prices() -> None:
    mind = collector()
    said = changed(mind, read(NOON, tariffs=three(rates(MIDNIGHT, DAY))))
    assert said.export_eur_kwh == Series(MIDNIGHT, (0.08,) * 96)
    assert said.solar_w.values == ()


def test_the_same_entries_on_the_next_day_reach_seven_days_from_there() -> None:
    mind = collector()
    long = three(rates(MIDNIGHT, (0.3,) * 8 * 24, HOUR))
    first = changed(mind, read(NOON, tariffs=long)).import_eur_kwh
    assert (first.start, first.end) == (MIDNIGHT, MIDNIGHT + timedelta(days=7))
    then = changed(mind, read(NOON + timedelta(days=1), tariffs=long)).import_eur_kwh
    assert (then.start, then.end) == tuple(MIDNIGHT + timedelta(days=days) for days in (1, 8))


def test_negative_feed_in_prices_stay_negative() -> None:
    mind = collector()
    grid, feedin = rates(MIDNIGHT, DAY), rates(MIDNIGHT, (-0.05,) * 96)
    said = changed(mind, read(NOON, tariffs=three(grid, feedin)))
    assert said.export_eur_kwh.at(NOON) == -0.05


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["tick", "read", "silent", "nudge", "fail"]),
            st.floats(0.1, 1200).map(lambda s: round(s, 1)),
        ),
        max_size=40,
    )
)
def test_whatever_happens_it_asks_again_within_30_s_of_ticks(
    story: list[tuple[str, float]],
) -> None:
    """Total on any sequence; revisions grow by one; the memory survives JSON at each step."""
    mind, at, revision = collector(), NOON, 0
    for what, seconds in story:
        at += timedelta(seconds=seconds)
        messages: dict[str, Any] = {
            "tick": Tick(at),
            "read": read(at, box("zoe"), tariffs=three(rates(MIDNIGHT, DAY * 2))),
            "fail": read(at, free(), tariffs=three()),
            "silent": EvccSilent(at, "refused"),
            "nudge": EvccNudged(at, "loadpoints.0.mode"),
        }
        for one in mind.on(messages[what]):
            if isinstance(one, RatesChanged):
                assert one.revision == revision + 1
                revision = one.revision
        memory = mind.memory
        mind.restore(mind.snapshot())
        assert mind.memory == memory
    asked = [
        k for k in range(1, 5) if says(mind, Tick(at + timedelta(seconds=10 * k)), EvccReadDue)
    ]
    assert asked


def test_inv_117_naive_times_are_refused_where_messages_are_read() -> None:
    """Rates come in through the codec of the journal and through ports that make them aware."""
    naive = b'{"type":"Tick","at":"2026-01-14T12:00:00"}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(naive, type=Tick)
    mind = collector()
    said = [
        *mind.on(Tick(NOON)),
        *mind.on(read(NOON, box("zoe"), tariffs=three(rates(MIDNIGHT, DAY)))),
        *mind.on(EvccSilent(after(1), "refused")),
    ]
    kinds = {type(one) for one in said}
    assert kinds == {EvccReadDue, SiteMeasured, VehiclePlugged, RatesChanged, EvccLost}
    for one in said:
        assert one.at.utcoffset() == timedelta(0)
        assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
