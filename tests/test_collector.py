"""The collector, and the tariffs on the slot grid."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

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
    day_kwh,
    day_start,
    energy_kwh,
    filled,
    fully_known,
    hours_covered,
    kept,
    known_from,
    series_from,
)
from engine.slots import SLOT, slots_between
from engine.values import Rate, Series, Tariff
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

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
ALL = ("grid", "feedin", "solar")
DAY = tuple(0.20 + 0.001 * k for k in range(96))


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


# --- the grid of slots ----------------------------------------------------------------------------


def test_inv_06_four_different_quarter_hours_stay_four_prices() -> None:
    series = series_from(rates(MIDNIGHT, (0.1, 0.2, 0.3, 0.4)), MIDNIGHT)
    assert series == Series(MIDNIGHT, (0.1, 0.2, 0.3, 0.4))


def test_hourly_entries_are_spread() -> None:
    series = series_from(rates(MIDNIGHT, (0.1, -0.2), HOUR), MIDNIGHT)
    assert series.values == (0.1,) * 4 + (-0.2,) * 4


def test_shorter_and_overlapping_entries_are_averaged_by_time() -> None:
    entries = (
        Rate(MIDNIGHT, MIDNIGHT + timedelta(minutes=5), 0.30),
        Rate(MIDNIGHT + timedelta(minutes=5), MIDNIGHT + timedelta(minutes=20), 0.60),
        Rate(MIDNIGHT + timedelta(minutes=20), MIDNIGHT + timedelta(minutes=30), 0.90),
    )
    assert series_from(entries, MIDNIGHT).values == (0.5, 0.8)


def test_inv_05_a_missing_entry_is_a_gap_and_shifts_nothing() -> None:
    values: list[float | None] = list(DAY)
    values[8:16] = [None] * 8
    series = series_from(rates(MIDNIGHT, values), MIDNIGHT)
    assert series.values == tuple(None if v is None else round(v, 6) for v in values)
    assert series.at(MIDNIGHT + 16 * SLOT) == pytest.approx(DAY[16])


def test_a_slot_covered_by_less_than_half_is_a_gap() -> None:
    entry = Rate(MIDNIGHT + timedelta(minutes=8), MIDNIGHT + timedelta(minutes=22), 0.3)
    assert series_from((entry,), MIDNIGHT).values == ()
    longer = Rate(MIDNIGHT + timedelta(minutes=7), MIDNIGHT + timedelta(minutes=22), 0.3)
    assert series_from((longer,), MIDNIGHT).values == (0.3,)


def test_elapsed_and_far_entries_and_nonsense_are_left_out() -> None:
    entries = (
        Rate(MIDNIGHT - HOUR, MIDNIGHT, 0.9),
        Rate(MIDNIGHT, MIDNIGHT + SLOT, 0.1),
        Rate(MIDNIGHT + SLOT, MIDNIGHT + SLOT, 0.7),
        Rate(MIDNIGHT + 2 * SLOT, MIDNIGHT + SLOT, 0.7),
        Rate(MIDNIGHT + SLOT, MIDNIGHT + 2 * SLOT, math.nan),
        Rate(MIDNIGHT + timedelta(days=8), MIDNIGHT + timedelta(days=9), 0.9),
    )
    assert series_from(entries, MIDNIGHT) == Series(MIDNIGHT, (0.1,))
    endless = Rate(MIDNIGHT, datetime(9999, 1, 1, tzinfo=UTC), 0.3)
    assert len(series_from((endless,), MIDNIGHT).values) == 7 * 96


values_or_gaps = st.lists(
    st.none() | st.floats(-0.5, 1.0).map(lambda v: round(v, 4)), min_size=1, max_size=120
)


@given(values_or_gaps, st.sampled_from((1, 2, 4)), st.randoms())
def test_inv_05_any_resolution_any_gaps_any_order(
    values: list[float | None], per_slot: int, chance: Any
) -> None:
    """An entry of any length lies where its times say, in whatever order it came."""
    entries = list(rates(MIDNIGHT, values, per_slot * SLOT))
    chance.shuffle(entries)
    series = series_from(entries, MIDNIGHT)
    for k, value in enumerate(values):
        for part in range(per_slot):
            found = series.at(MIDNIGHT + (k * per_slot + part) * SLOT)
            assert found == (None if value is None else pytest.approx(value, abs=1e-6))


@pytest.mark.parametrize(
    ("day", "count"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), 92),
        (datetime(2026, 6, 1, 12, tzinfo=UTC), 96),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), 100),
    ],
)
def test_a_local_day_has_92_96_or_100_slots(day: datetime, count: int) -> None:
    start, end = day_start(day, BERLIN), day_start(day, BERLIN, 1)
    assert slots_between(start, end) == count
    series = series_from(rates(start, [0.001 * k for k in range(count)]), start)
    assert len(series.values) == count
    assert fully_known(series, start, end)
    assert series.end == end


def test_a_day_whose_midnight_is_skipped_begins_with_its_first_moment() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at 01:00 summer time
    start = day_start(datetime(2026, 4, 24, 12, tzinfo=UTC), cairo)
    assert start == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert start.astimezone(cairo).hour == 1


# --- what is kept of a tariff ---------------------------------------------------------------------


def test_a_failed_tariff_keeps_what_it_published_from_today_on() -> None:
    old = Series(MIDNIGHT, DAY)
    tomorrow = day_start(NOON, BERLIN, 1)
    assert kept(old, None, MIDNIGHT, NOON) == old
    assert kept(old, None, tomorrow, tomorrow).values == ()


def test_a_reading_replaces_the_future_with_its_gaps_and_keeps_the_past() -> None:
    old = Series(MIDNIGHT, (0.1, 0.2, 0.3, 0.4))
    new = Series(MIDNIGHT, (None, None, None, 0.5))
    assert kept(old, new, MIDNIGHT, MIDNIGHT + 2 * SLOT).values == (0.1, 0.2, None, 0.5)


def test_filled_covers_the_span_of_another_series() -> None:
    span = Series(MIDNIGHT, (0.1, None, 0.3))
    assert filled(Series(MIDNIGHT + SLOT, (0.05,)), span, 0.08).values == (0.08, 0.05, 0.08)


# --- energy and coverage --------------------------------------------------------------------------


def test_inv_27_solar_is_w_by_contract_before_sunrise_and_on_small_plants_too() -> None:
    """No number is so small that it is taken for kW."""
    for peak_w in (3.0, 80.0, 600.0, 9000.0):
        curve = (0.0, 0.0, 0.001 * peak_w, peak_w)
        series = series_from(rates(MIDNIGHT, curve, HOUR), MIDNIGHT)
        assert series.values == tuple(value for value in curve for _ in range(4))
        assert day_kwh(series, NOON, BERLIN) == pytest.approx(1.001 * peak_w / 1000)


@given(st.lists(st.floats(0, 12_000), min_size=1, max_size=48))
def test_inv_28_quarter_hours_and_hours_of_one_curve_have_the_same_kwh(curve: list[float]) -> None:
    hourly = series_from(rates(MIDNIGHT, curve, HOUR), MIDNIGHT)
    quarters = series_from(rates(MIDNIGHT, [v for v in curve for _ in range(4)]), MIDNIGHT)
    end = MIDNIGHT + timedelta(days=3)
    energies = [energy_kwh(series, MIDNIGHT, end) for series in (hourly, quarters)]
    assert energies[0] == energies[1] == pytest.approx(sum(curve) / 1000, abs=1e-6)


def test_inv_28_one_hour_at_4_kw_in_quarter_hours_is_4_kwh() -> None:
    series = Series(NOON, (4000.0,) * 4)
    assert energy_kwh(series, NOON - HOUR, NOON + 2 * HOUR) == pytest.approx(4.0)
    assert energy_kwh(series, NOON + timedelta(minutes=20), NOON + HOUR) == pytest.approx(8 / 3)


def test_unknown_energy_is_none_and_known_darkness_is_zero() -> None:
    assert energy_kwh(Series(NOON), NOON, NOON + HOUR) is None
    assert energy_kwh(Series(NOON, (None, None)), NOON, NOON + HOUR) is None
    assert energy_kwh(Series(NOON, (0.0,)), NOON, NOON + HOUR) == 0.0


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        (datetime(2026, 6, 1, 12, tzinfo=UTC), 24),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
    ],
)
def test_inv_29_today_goes_from_local_midnight_to_local_midnight(day: datetime, hours: int) -> None:
    start = day_start(day, BERLIN) - timedelta(days=1)
    series = Series(start, (1000.0,) * 96 * 4)
    assert day_kwh(series, day, BERLIN) == pytest.approx(hours)
    before = Series(day_start(day, BERLIN, 1), (1000.0,) * 96)
    assert day_kwh(before, day, BERLIN) is None
    assert day_kwh(before, day, BERLIN, 1) == pytest.approx(24)


def test_inv_30_coverage_is_future_real_hours_capped_at_24() -> None:
    series = Series(MIDNIGHT, (1.0,) * 96 * 2)
    assert hours_covered(series, MIDNIGHT - HOUR) == 24
    assert hours_covered(series, series.end - 5 * HOUR) == 5
    assert hours_covered(series, series.end - timedelta(minutes=50)) == pytest.approx(50 / 60)
    assert hours_covered(series, series.end) == 0
    holes = Series(NOON, (1.0, None, 1.0, None))
    assert hours_covered(holes, NOON) == 0.5
    assert hours_covered(holes, NOON + timedelta(minutes=10)) == pytest.approx(20 / 60)


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
