"""One default departure, local to the home, wherever a deadline is shown or planned (INV-99)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from actors.planner import Planner
from actors.planner_case import deadline_of
from actors.planner_inputs import cars_of, problem_of
from actors.planner_problem import grid_of
from actors.rules import plan_by_rules
from actors.sequencer import Sequencer
from actors.state_store import StateStore
from engine.messages import ConfigRead, PlanMade, StateChanged, TurnsGiven
from engine.settings import CarSettings, PlannerSettings, Settings, SiteSettings
from engine.slots import slot_of
from engine.values import EvccVehicle, HomeState, Loadpoint, Quantiles, Series, Vehicle, Why
from tests.make_optimizer import forecast, home_state, loadpoint, rates
from web.plan_view import plan_view
from web.status import turn_view

PLANNER = Planner()
SLOTS = 193


def ring(at: datetime, zone: str) -> tuple[Settings, HomeState, TurnsGiven]:
    """A car at the wallbox with a default departure at 06:30 and nothing else known."""
    settings = Settings(
        site=SiteSettings(zone=zone),
        cars=(CarSettings(name="eUp", capacity_kwh=32, departure="06:30"),),
        planner=PlannerSettings(horizon_h=48),
    )
    box: Loadpoint = loadpoint(vehicle="eUp")
    home = replace(
        home_state(at, loadpoints=(box,)),
        vehicles=(Vehicle("eUp", "e-Up", capacity_kwh=32.0, soc_pct=40.0),),
    )
    actor = Sequencer()
    said = [*actor.on(ConfigRead(at, settings)), *actor.on(StateChanged(at, home))]
    (given,) = (one for one in said if isinstance(one, TurnsGiven))
    return settings, home, given


@pytest.mark.parametrize(
    ("zone", "at", "departure"),
    [
        ("Europe/Berlin", (2026, 1, 14, 11), (2026, 1, 15, 5, 30)),
        ("America/New_York", (2026, 1, 14, 11), (2026, 1, 14, 11, 30)),
        ("Asia/Kolkata", (2026, 7, 1, 11), (2026, 7, 2, 1, 0)),
        ("Europe/Berlin", (2026, 3, 28, 20), (2026, 3, 29, 4, 30)),
        ("Europe/Berlin", (2026, 10, 24, 20), (2026, 10, 25, 5, 30)),
    ],
)
def test_inv_99_the_default_deadline_is_local_in_planner_fallback_view_and_store(
    zone: str, at: tuple[int, ...], departure: tuple[int, ...]
) -> None:
    now, leaves = datetime(*at, tzinfo=UTC), datetime(*departure, tzinfo=UTC)  # type: ignore[misc,arg-type]
    local = leaves.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute) == (6, 30)
    settings, home, given = ring(now, zone)
    turn = given.turns[0]
    assert turn.departure == leaves
    (car,), _ = cars_of(home, settings, given.turns, now)
    flat = Quantiles(slot_of(now), (400.0,) * SLOTS, (400.0,) * SLOTS, (400.0,) * SLOTS)
    dark = Quantiles(slot_of(now), (0.0,) * SLOTS, (0.0,) * SLOTS, (0.0,) * SLOTS)
    known = replace(rates(now), import_eur_kwh=Series(slot_of(now), (0.30,) * SLOTS))
    problem = problem_of(
        at=now, revision=1, settings=settings, state=home, cars=(car,), rates=known,
        forecast=forecast(now, load=flat, pv=dark), usual=(),
    )  # fmt: skip
    grid = grid_of(problem)
    last = deadline_of(car, grid)
    assert last is not None
    assert grid.starts[last] + timedelta(minutes=15) == leaves
    for plan in (PLANNER.make_plan(problem), plan_by_rules(problem)):
        charged = [slot.start for slot in plan.slots if slot.cars[0].charge_kw > 1e-3]
        assert charged
        if leaves - now >= timedelta(hours=2):
            assert max(charged) < leaves
        view = plan_view(PlanMade(now, plan, Why("plan_first")), zone)
        assert view is not None
        for missed in view["shortfalls"]:
            assert missed["by"] == leaves
    rules = plan_by_rules(problem)
    told = {s.cars[0].why for s in rules.slots if s.cars[0].why.code == "car_deadline"}
    assert {dict(why.numbers)["departure_at"] for why in told} == {leaves.isoformat()}
    blocks = plan_view(PlanMade(now, rules, Why("plan_first")), zone)["blocks"]  # type: ignore[index]
    assert any("06:30" in (one["why"] or {}).get("de", "") for one in blocks)
    assert turn_view(turn, home, zone)["departure"] == leaves
    store = StateStore()
    said = [*store.on(ConfigRead(now, settings)), *store.on(given)]
    states = [one.state for one in said if isinstance(one, StateChanged)]
    assert states[-1].turns[0].departure == leaves


def test_inv_99_a_car_that_evcc_knows_has_no_other_deadline() -> None:
    """Names are equal whatever their case; the deadline comes from the settings alone."""
    at = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)
    settings, home, _ = ring(at, "Europe/Berlin")
    assert home.site is not None
    known = replace(home.site, vehicles=(EvccVehicle(name="EUP", title="e-Up"),))
    actor = Sequencer()
    list(actor.on(ConfigRead(at, settings)))
    said = list(actor.on(StateChanged(at, replace(home, site=known))))
    (given,) = (one for one in said if isinstance(one, TurnsGiven))
    assert given.turns[0].departure == datetime(2026, 1, 15, 5, 30, tzinfo=UTC)
