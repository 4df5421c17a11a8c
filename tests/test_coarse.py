"""Coarse against fine: the weather is what it says, and the comparison compares."""

import msgspec
import numpy as np
import pytest

from sim import coarse
from sim.coarse import (
    JUDGED,
    REFERENCE,
    BoxKind,
    Comparison,
    Variant,
    compare,
    drawn_day,
    fine_day,
    means,
    middles,
    table,
)

DAYS = 8
"""Each turn once."""


@pytest.fixture(scope="module")
def compared() -> Comparison:
    return compare(days=DAYS, seed=1)


def of(kind: BoxKind, name: str) -> Variant:
    return next(one for one in kind.variants if one.name == name)


def test_a_fine_day_has_broken_clouds_and_bursts() -> None:
    load_w, pv_w = fine_day(np.random.default_rng(1)).T
    assert len(load_w) == 8640
    assert load_w.min() >= 250
    assert 10 < np.count_nonzero(np.diff(load_w) > 2000) < 100
    assert pv_w[:2160].max() == pv_w[6481:].max() == 0.0
    noon_w = pv_w[3600:5040]
    assert noon_w.min() < 0.5 * noon_w.max()
    steepest_w = np.abs(np.diff(noon_w)).max()
    assert 300 < steepest_w <= 10_000  # edges of seconds, none without a width


def test_days_are_drawn_from_the_seed_and_take_turns() -> None:
    first, again, second = drawn_day(1, 0), drawn_day(1, 0), drawn_day(1, 1)
    assert np.array_equal(first.weather, again.weather)
    assert first.visits == again.visits
    assert first.visits != second.visits
    assert [drawn_day(1, k).first for k in range(4)] == [0, 1, 0, 1]


def test_means_keep_the_energy() -> None:
    fine = fine_day(np.random.default_rng(2))
    for step_s in (60, 300, 900):
        rows = means(fine, step_s)
        assert len(rows) == 86_400 // step_s
        assert rows.sum(axis=0) * step_s == pytest.approx(fine.sum(axis=0) * 10)
    assert means(fine, 60)[500] == pytest.approx(fine[3000:3006].mean(axis=0))
    assert middles(fine).shape == (1440, 2)
    assert list(middles(fine)[500]) == list(fine[3002])


def test_one_minute_weather_is_near_and_the_static_map_is_biased(compared: Comparison) -> None:
    for kind in compared.kinds:
        judged = of(kind, JUDGED)
        for pct in (*judged.cars_pct, judged.battery_pct):
            assert abs(pct) < 4  # eight days; the bar is for twenty
        assert abs(judged.bill_eur_day) < 0.2
        for name in ("static map, 5 min", "static map, 15 min"):
            assert of(kind, name).battery_pct < -20  # the weather inside the step is missing
            assert of(kind, name).bill_eur_day < judged.bill_eur_day - 0.1
    fixed = compared.kinds[1]
    assert sum(of(fixed, "static map, 15 min").sums.cars_kwh) < 0.9 * sum(
        of(fixed, REFERENCE).sums.cars_kwh
    )


def test_what_is_told_is_the_difference_to_the_reference(compared: Comparison) -> None:
    for kind in compared.kinds:
        base = of(kind, REFERENCE)
        assert base.cars_pct == (0.0, 0.0)
        assert base.holds
        for one in kind.variants:
            assert one.sums.battery_kwh == pytest.approx(
                base.sums.battery_kwh * (1 + one.battery_pct / 100)
            )
            off_eur = (one.sums.bill_eur - base.sums.bill_eur) / DAYS
            assert one.bill_eur_day == pytest.approx(off_eur)
            assert one.bill_spread_eur_day >= abs(off_eur) - 1e-12


def test_the_same_seed_gives_the_same_figures() -> None:
    one, other = (compare(days=1, seed=seed).kinds for seed in (4, 4))
    assert one == other
    assert one != compare(days=1, seed=5).kinds


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"cars_pct": (0.0, -2.0)}, True),
        ({"cars_pct": (0.0, -2.1)}, False),
        ({"battery_pct": 2.1}, False),
        ({"bill_eur_day": -0.11}, False),
        ({"hourly_bill_eur_day": 0.11}, False),
    ],
)
def test_the_bar(compared: Comparison, changes: dict[str, float], holds: bool) -> None:
    reference = of(compared.kinds[0], REFERENCE)
    assert msgspec.structs.replace(reference, **changes).holds is holds


def test_the_bills_are_at_their_prices() -> None:
    day = drawn_day(1, 0)._replace(prices=np.full(24, coarse.IMPORT_EUR_KWH))
    sums = coarse.live(day, "fixed 3p", coarse.VARIANTS[REFERENCE](day)[0])
    assert sums.hourly_bill_eur == pytest.approx(sums.bill_eur)
    runs = coarse.VARIANTS[JUDGED](day)
    free = coarse.live(day._replace(prices=np.zeros(24)), "fixed 3p", runs[0])
    assert free.bill_eur - free.hourly_bill_eur == pytest.approx(0.31 * free.import_kwh)


def test_it_is_told_as_json_and_as_a_table(compared: Comparison) -> None:
    read = msgspec.json.decode(msgspec.json.encode(compared), type=Comparison)
    assert read == compared
    text = table(compared)
    assert len(text.splitlines()) == 3 + 2 * len(coarse.VARIANTS)
    assert "fixed 3p: static map, 15 min" in text


@pytest.mark.parametrize(
    ("days", "spell_s", "told"),
    [
        (0, (30.0, 1200.0), "days is 0"),
        (1, (0.0, 60.0), "spell_s is"),
        (1, (60.0, 30.0), "spell_s"),
    ],
)
def test_bad_arguments_are_named(days: int, spell_s: tuple[float, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        compare(days=days, spell_s=spell_s)
