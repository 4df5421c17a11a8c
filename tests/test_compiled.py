"""The compiled home is the plain one: same lines, same numbers, one home or many."""

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest

from engine.home import Box, House
from engine.loadpoint import MINPV, NOW, PV, Loadpoint, Site
from sim import compiled as module
from sim import loops
from sim.compiled import (
    BOX,
    POINT,
    Compiled,
    Homes,
    MissingLabError,
    compiled,
    dtype_of,
    homes,
    objects_of,
    records,
)
from tests.make_homes import Home, copies

INTERVAL_S = 30.0
CYCLES = 20_160
"""A week."""
PARTS = 21
SEEDS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def fast() -> Compiled:
    """The compiled functions, where numba is installed."""
    return compiled()


def seeded_home(seed: int, loadpoints: int) -> Home:
    """A home with drawn settings, boxes and cars."""
    rng = np.random.default_rng([seed, loadpoints])

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    capacity_kwh = one_of(0.0, 6.0, 10.0, 10.0)
    site = Site(
        has_battery=capacity_kwh > 0, residual_w=one_of(0.0, 0.0, 200.0),
        priority_soc=one_of(0.0, 40.0, 70.0), buffer_soc=one_of(0.0, 80.0),
        buffer_start_soc=one_of(0.0, 90.0), discharge_control=one_of(False, True),
        battery_max_soc=one_of(0.0, 95.0),
    )  # fmt: skip
    house = House(
        capacity_kwh=capacity_kwh, charge_w=4000.0, discharge_w=3500.0, charge_efficiency=0.96,
        discharge_efficiency=0.94, floor_kwh=0.5, max_kwh=capacity_kwh,
        hold_charges_from_pv=one_of(False, True), battery_kwh=float(rng.uniform(0.5, 5.0)),
    )  # fmt: skip
    points, boxes = [], []
    for k in range(loadpoints):
        switches = one_of(False, True)
        points.append(
            Loadpoint(
                mode=one_of(PV, PV, MINPV, NOW), can_switch=switches, phases=0 if switches else 3,
                phases_configured=one_of(0, 0, 1) if switches else 3, priority=one_of(0, k),
                takes_fractions=one_of(False, True), has_currents=one_of(False, True),
                enable_threshold=one_of(0.0, -1500.0), disable_threshold=one_of(0.0, 300.0),
                knows_vehicle=True, vehicle_tells_soc=True, vehicle_capacity_kwh=60.0,
                vehicle_phases=one_of(0, 1, 3), vehicle_limit_soc=one_of(0, 80),
                min_soc=one_of(0, 25), boost_limit=one_of(100, 50),
            )
        )  # fmt: skip
        boxes.append(
            Box(
                car_kwh=float(rng.uniform(5.0, 30.0)), full_kwh=60.0, car_phases=one_of(1, 3, 3),
                car_max_a=one_of(16.0, 13.0),
            )
        )  # fmt: skip
    return site, points, house, boxes


def seeded_weather(seed: int, rows: int, step_s: float) -> loops.Floats:
    """Load and pv in W, clouds by the row."""
    rng = np.random.default_rng([seed, 99])
    at_h = np.arange(rows) * step_s / 3600.0
    sun_w = np.maximum(0.0, 9000.0 * np.sin(np.pi * (at_h % 24 - 6.0) / 12.0))
    pv_w = sun_w * rng.uniform(0.2, 1.0, rows // 6 + 1).repeat(6)[:rows]
    return np.stack([rng.uniform(150.0, 1200.0, rows), pv_w], axis=1)


def events(seed: int, part: int, box: int) -> dict[str, Any]:
    """What changes at a loadpoint before this part of the week."""
    rng = np.random.default_rng([seed, part, box, 5])
    return {
        "plugged": bool(rng.random() < 0.8),
        "plan_active": bool(rng.random() < 0.1),
        "within_cost": bool(rng.random() < 0.1),
        "within_feed_in": bool(rng.random() < 0.1),
        "boost": int(rng.random() < 0.2),
        "car_kwh": float(rng.uniform(5.0, 30.0)),
    }


def change(seed: int, part: int, home: Home, batch: Homes, n: int) -> None:
    """The same events for objects and records."""
    _, points, _, boxes = home
    for k, (point, box) in enumerate(zip(points, boxes, strict=True)):
        for name, value in events(seed, part, k).items():
            if hasattr(box, name):
                setattr(box, name, value)
                batch.boxes[name][n, k] = value
            else:
                setattr(point, name, value)
                batch.points[name][n, k] = value


def assert_same(one: Any, other: Any) -> None:
    """Every field: floats to 1e-9, the rest exactly."""
    for field in dataclasses.fields(one):
        here, there = getattr(one, field.name), getattr(other, field.name)
        assert type(here) is type(there), field.name
        wanted = pytest.approx(there, abs=1e-9, rel=0) if isinstance(there, float) else there
        assert here == wanted, f"{type(one).__name__}.{field.name}"


def assert_same_homes(home: Home, other: Home) -> None:
    assert_same(home[0], other[0])
    assert_same(home[2], other[2])
    for here, there in zip([*home[1], *home[3]], [*other[1], *other[3]], strict=True):
        assert_same(here, there)


@pytest.mark.parametrize("loadpoints", [1, 2])
@pytest.mark.parametrize("weather_s", [10.0, 60.0])
def test_a_week_of_cycles_is_the_same_compiled_and_not(
    fast: Compiled, loadpoints: int, weather_s: float
) -> None:
    rows = round(CYCLES * INTERVAL_S / weather_s)
    charged_kwh = 0.0
    for seed in SEEDS[: 2 if weather_s < INTERVAL_S else 4]:
        plain, weather = seeded_home(seed, loadpoints), seeded_weather(seed, rows, weather_s)
        batch = homes([plain])
        for part in range(PARTS):
            change(seed, part, plain, batch, 0)
            span = (part * CYCLES // PARTS, CYCLES // PARTS)
            loops.run(*plain, weather, weather_s, INTERVAL_S, *span)
            fast.run(*batch.one, weather, weather_s, INTERVAL_S, *span)
        assert_same_homes(plain, batch.home(0))
        charged_kwh += sum(box.charged_kwh for box in plain[3])
    assert charged_kwh > 50


@pytest.mark.parametrize("step_s", [300.0, 900.0])
def test_a_week_of_the_static_map_is_the_same_compiled_and_not(
    fast: Compiled, step_s: float
) -> None:
    steps = round(7 * 86_400 / step_s)
    for seed in SEEDS:
        plain, weather = seeded_home(seed, 2), seeded_weather(seed, steps, step_s)
        batch = homes([plain])
        for part in range(PARTS):
            change(seed, part, plain, batch, 0)
            span = (part * steps // PARTS, steps // PARTS)
            loops.run_map(*plain, weather, step_s, *span)
            fast.run_map(*batch.one, weather, step_s, *span)
        assert_same_homes(plain, batch.home(0))


@pytest.mark.parametrize("loadpoints", [0, 1, 2])
def test_a_batch_is_its_homes_one_by_one(fast: Compiled, loadpoints: int) -> None:
    steps, tables = 2880, 3
    weather = np.stack([seeded_weather(seed, steps, 30.0) for seed in range(tables)], axis=1)
    table = np.array([0, 2, 1, 1, 0], np.int64)
    given = [seeded_home(seed, loadpoints) for seed in range(len(table))]
    batch, mapped = homes(given), homes(given)
    for each in (batch, mapped):
        each.boxes["plugged"] = True
    plain, plain_map = [copies(home) for home in given], [copies(home) for home in given]
    for home in (*plain, *plain_map):
        for box in home[3]:
            box.plugged = True
    fast.run_many(*batch, weather, table, 30.0, INTERVAL_S, 0, steps)
    fast.run_map_many(*mapped, weather, table, 300.0, 0, steps)
    for n, home in enumerate(given):
        alone = homes([home])
        alone.boxes["plugged"] = True
        own = np.ascontiguousarray(weather[:, table[n]])
        fast.run(*alone.one, own, 30.0, INTERVAL_S, 0, steps)
        assert_same_homes(batch.home(n), alone.home(0))
    run_many: Any = loops.run_many
    run_many(*zip(*plain, strict=True), weather, table, 30.0, INTERVAL_S, 0, steps)
    run_map_many: Any = loops.run_map_many
    run_map_many(*zip(*plain_map, strict=True), weather, table, 300.0, 0, steps)
    for n in range(len(given)):
        assert_same_homes(plain[n], batch.home(n))
        assert_same_homes(plain_map[n], mapped.home(n))


# --- records --------------------------------------------------------------------------------------


def test_records_hold_the_fields_of_the_dataclasses() -> None:
    assert POINT.names == tuple(field.name for field in dataclasses.fields(Loadpoint))
    assert BOX.fields is not None
    assert [BOX.fields[name][0].kind for name in ("phases", "enabled", "current_a")] == list("ibf")
    given = [Box(current_a=7.5, plugged=True), Box(phases=1)]
    assert objects_of(Box, records(Box, given)) == given


def test_other_fields_make_no_record() -> None:
    made = dataclasses.make_dataclass("Odd", [("name", str)])
    with pytest.raises(TypeError, match=r"Odd\.name is <class 'str'>; a record holds float"):
        dtype_of(made)


def test_a_batch_has_homes_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"\[\(1, 1\), \(2, 2\)\]; a batch needs"):
        homes([seeded_home(1, 1), seeded_home(1, 2)])
    with pytest.raises(ValueError, match="at least one"):
        homes([])


def test_the_weather_of_a_row_lasts_as_long_as_it_says() -> None:
    weather = np.array([[0.0, 1000.0], [0.0, 3000.0]])
    for weather_s, interval_s, steps in ((60.0, 30.0, 4), (60.0, 60.0, 2), (15.0, 30.0, 1)):
        house = House()
        loops.run(Site(), [], house, [], weather, weather_s, interval_s, 0, steps)
        assert house.export_kwh == pytest.approx(4000.0 * weather_s / 3.6e6)


def test_without_numba_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingLabError, match=r"pip install 'smartload\[lab\]'"):
        module.compiled.__wrapped__()
