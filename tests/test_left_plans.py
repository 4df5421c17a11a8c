"""evcc's plan that our will has set is taken back once we live again; a human's never is."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actors.actuator import Actuator, Said
from engine.estate import Bequest
from engine.evcc import EvccWriter
from engine.evcc_writes import OrderError, echo_matches, path_for, verb_of
from engine.ledger import Ledger
from engine.messages import (
    EstateRead,
    EvccRead,
    Order,
    OrderConfirmed,
    OrderFailed,
    StopAsked,
    Tick,
    WillMade,
)
from engine.settings import CarSettings
from engine.transport import Answer
from engine.values import Control, EvccVehicle, Loadpoint, Site, Why
from sim.lives import Lives
from sim.scenario import Scenario, SimCar
from tests import make_evcc_ports as ports
from tests.make_actuator import (
    NOW,
    PV,
    T0,
    after,
    config,
    loadpoint,
    plan_of,
    rates,
    site,
    state,
    tell,
    turns,
)
from tests.make_evcc_json import SITE
from tests.make_ring import home, local
from tests.make_will import Deathbed

SIX = after(5 * 3600)
DEADLINE = Why("will_departure", (("departure_at", SIX.isoformat()),))
LEFT = Bequest("plan_soc", DEADLINE, "garage", "kia", 80.0, SIX)
LEFT_KWH = Bequest("plan_energy", DEADLINE, "garage", "", 24.0, SIX)
KIA = EvccVehicle("Kia", "Kia", capacity_kwh=60.0, plan_soc_pct=80.0, plan_at=SIX)
CHARGES = loadpoint(plan_active=True, plan_at=SIX)
WAITS = loadpoint(plan_at=SIX)


def evcc(lp: Loadpoint = WAITS, car: EvccVehicle = KIA) -> Site:
    return site(lp, vehicles=(car,))


def reborn(
    home: Site, plan: Bequest = LEFT, *, control: Control = Control.ON, late: bool = False
) -> Actuator:
    """A new life that has not planned yet; `late`: it hears of the plan after its first reading."""
    actor = Actuator()
    estate, reading = EstateRead(T0, plans=(plan,)), state(T0, home)
    first = (reading, estate) if late else (estate, reading)
    tell(actor, config(control), *first, Tick(T0), rates(), turns(departure=SIX))
    return actor


def deletes(said: list[Said]) -> list[Order]:
    return [one for one in said if isinstance(one, Order) and one.setting.startswith("plan_")]


def go(actor: Actuator, at_s: float = 5.0) -> list[Order]:
    """What is deleted on the first new plan."""
    return deletes(tell(actor, plan_of(PV, PV, made_at=after(at_s), revision=9)))


# --- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_it_goes_with_the_first_new_plan_and_not_before(late: bool) -> None:
    actor = reborn(evcc(), late=late)
    assert deletes(tell(actor, Tick(after(1)), state(after(2), evcc()), Tick(after(3)))) == []
    why = Why("will_plan_over", (("vehicle", "kia"),))
    assert go(actor) == [
        Order(after(5), 1, "garage", "plan_soc", 0.0, why, None, 9, "kia"),
    ]


def test_a_plan_of_the_life_before_is_no_new_plan() -> None:
    actor = reborn(evcc())
    assert go(actor, -30.0) == []
    assert len(go(actor, 5.0)) == 1


def test_while_evcc_charges_by_it_it_stays_until_the_block_ends() -> None:
    actor = reborn(evcc(CHARGES))
    assert go(actor) == []
    assert deletes(tell(actor, state(after(20), evcc(CHARGES)))) == []
    assert len(deletes(tell(actor, state(after(40), evcc())))) == 1


@pytest.mark.parametrize(
    "car",
    [
        replace(KIA, plan_soc_pct=90.0),
        replace(KIA, plan_at=SIX + timedelta(minutes=15)),
        replace(KIA, plan_soc_pct=None, plan_at=None),
    ],
    ids=["goal", "time", "gone"],
)
def test_what_differs_is_a_humans(car: EvccVehicle) -> None:
    actor = reborn(evcc(car=car))
    assert go(actor) == []
    tell(actor, state(after(90), evcc(car=car)))
    assert actor.memory.left_plans == ()
    # nor is one that they set the same way later
    assert deletes(tell(actor, state(after(100), evcc()), Tick(after(110)))) == []


def test_a_plan_that_no_will_has_set_is_never_touched() -> None:
    actor = Actuator()
    tell(actor, config(), EstateRead(T0), state(T0, evcc()), rates(), turns(departure=SIX))
    assert go(actor) == []
    assert actor.memory.will == ()  # nor willed again


@pytest.mark.parametrize("control", [Control.OFF, Control.WATCH])
def test_without_control_it_stays(control: Control) -> None:
    actor = reborn(evcc(), control=control)
    assert go(actor) == []
    assert len(deletes(tell(actor, config(), Tick(after(10)), state(after(11), evcc())))) == 1


def test_where_a_human_has_taken_over_or_nobody_plans_for_the_car_it_stays() -> None:
    taken = reborn(evcc(replace(WAITS, mode=NOW)))
    assert taken.memory.desks[0].human is not None
    assert go(taken) == []
    away = reborn(evcc(replace(WAITS, connected=False, vehicle=None)))
    assert go(away) == []
    unplanned = reborn(evcc())
    made = plan_of(PV, made_at=after(5))
    slots = tuple(replace(slot, cars=()) for slot in made.plan.slots)
    assert deletes(tell(unplanned, replace(made, plan=replace(made.plan, slots=slots)))) == []


def test_a_plan_in_kwh_is_the_loadpoints() -> None:
    guest = replace(WAITS, vehicle=None, vehicle_soc_pct=None, plan_energy_kwh=24.0)
    actor = reborn(evcc(guest), LEFT_KWH)
    (order,) = go(actor)
    assert (order.setting, order.value, order.loadpoint, order.vehicle) == (
        "plan_energy", 0.0, "garage", "",
    )  # fmt: skip
    other = reborn(evcc(replace(guest, plan_energy_kwh=10.0)), LEFT_KWH)
    assert go(other) == []


# --- until it is gone -----------------------------------------------------------------------------

GONE = replace(KIA, plan_soc_pct=None, plan_at=None)


def test_it_is_said_again_until_a_reading_shows_that_it_is_gone() -> None:
    actor = reborn(evcc())
    (order,) = go(actor)
    assert deletes(tell(actor, Tick(after(15)), OrderFailed(after(16), order, "no answer"))) == []
    assert deletes(tell(actor, state(after(30), evcc()), Tick(after(34)))) == []
    assert len(deletes(tell(actor, Tick(after(36))))) == 1
    tell(actor, OrderConfirmed(after(37), order), state(after(60), evcc(car=GONE)))
    assert deletes(tell(actor, Tick(after(100)))) == []
    # a crash of evcc brings it back within the minute
    assert len(deletes(tell(actor, state(after(110), evcc()), Tick(after(111))))) == 1
    tell(actor, state(after(140), evcc(car=GONE)), state(after(221), evcc(car=GONE)))
    assert actor.memory.left_plans == ()


def test_the_will_has_its_plan_all_the_time() -> None:
    actor = reborn(evcc())
    assert actor.memory.will == (LEFT,)
    said = tell(actor, plan_of(PV, PV, made_at=after(5)))
    said += tell(actor, state(after(30), evcc(replace(WAITS, plan_at=None), GONE)))
    assert len(deletes(said)) == 1
    assert [one for one in said if isinstance(one, WillMade)] == []
    assert actor.memory.will == (LEFT,)


def test_after_a_silence_of_ours_it_is_the_same() -> None:
    actor = reborn(site(), Bequest("mode", DEADLINE, "garage", value="pv"))
    assert actor.memory.left_plans == ()
    tell(actor, EstateRead(after(600), carried_out_at=after(500), plans=(LEFT,)))
    tell(actor, state(after(601), evcc()))
    assert len(go(actor, 602.0)) == 1


def test_one_that_is_due_is_over_and_a_stop_deletes_nothing() -> None:
    actor = reborn(evcc())
    assert deletes(tell(actor, StopAsked(after(1)))) == []
    late = Actuator()
    tell(late, config(), EstateRead(after(6 * 3600), plans=(LEFT,)))
    assert late.memory.left_plans == ()


# --- the writer and the ledger --------------------------------------------------------------------

HOME = msgspec.json.decode(ports.STATE)
PLANNED = {**HOME, "vehicles": {"db:7": {"title": "Kia"}}}
DELETE = Order(T0, 7, "carport", "plan_soc", 0.0, DEADLINE, vehicle="db:7")


class OnDisk(ports.ScriptedTransport):
    """Notes what the ledger held when each request came."""

    def __init__(self, ledger: Ledger, answer: Answer) -> None:
        super().__init__(answer)
        self.ledger = ledger
        self.held: list[Any] = []

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        kept = self.ledger.read()
        self.held.append([(one.setting, one.value, one.confirmed) for one in kept.written])
        return super().request(method, path, body)


def writer(answer: Answer) -> tuple[EvccWriter, OnDisk, Ledger]:
    ledger = Ledger()
    ledger.plan_set(replace(LEFT, loadpoint="carport", vehicle="db:7"), T0)
    wire = OnDisk(ledger, answer)
    port = EvccWriter(wire, ports.VirtualClock(T0), ledger)
    list(port.on(EvccRead(T0, ports.site_from(PLANNED))))
    return port, wire, ledger


def test_the_ledger_knows_of_the_delete_before_it_is_sent() -> None:
    port, wire, ledger = writer(Answer(200, b"{}"))
    assert list(port.on(DELETE)) == [OrderConfirmed(T0, DELETE)]
    assert wire.asked == ["DELETE /api/vehicles/db%3A7/plan/soc"]
    assert wire.held == [[("plan_soc", 0.0, False)]]
    kept = ledger.read()
    assert kept.plans == ()
    assert [(one.setting, one.confirmed) for one in kept.written] == [("plan_soc", True)]


@pytest.mark.parametrize("status", [400, 500])
def test_a_refused_delete_leaves_the_plan_ours(status: int) -> None:
    port, _, ledger = writer(Answer(status, b'{"error":"no"}'))
    (failed,) = list(port.on(DELETE))
    assert isinstance(failed, OrderFailed)
    assert len(ledger.read().plans) == 1


def test_plans_are_only_deleted_each_by_its_own_address() -> None:
    kwh = replace(DELETE, setting="plan_energy", vehicle="")
    assert (verb_of(kwh), path_for(kwh, SITE)) == ("DELETE", "/api/loadpoints/1/plan/energy")
    assert verb_of(replace(kwh, setting="mode", value="pv")) == "POST"
    with pytest.raises(OrderError, match="only deleted"):
        path_for(replace(kwh, value=5.0), SITE)
    with pytest.raises(OrderError, match="no vehicle"):
        path_for(replace(DELETE, vehicle="nosuch"), SITE)
    assert echo_matches(DELETE, Answer(200, b"{}"))
    assert not echo_matches(DELETE, Answer(404, b"{}"))


def test_the_ledger_keeps_plans_until_they_are_deleted_or_due(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    ledger = Ledger(file)
    ledger.plan_set(LEFT, T0)
    ledger.plan_set(LEFT_KWH, T0)
    later = replace(LEFT, vehicle="KIA", value=90.0)
    ledger.plan_set(later, T0)
    ledger.will((), T0)
    ledger.carried_out(T0)
    again = ledger.again()
    ledger.close()
    assert set(again.read().plans) == {LEFT_KWH, later}
    again.plan_gone("plan_energy", "Garage", "")
    assert again.read().plans == (later,)
    zoe = replace(LEFT, vehicle="zoe", due=SIX + timedelta(days=1))
    again.plan_set(zoe, SIX)
    assert again.read().plans == (zoe,)
    again.close()


def test_a_ledger_of_before_has_no_plans(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    Ledger(file).close()
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE plans")
    db.close()
    assert Ledger(file).read().plans == ()


def test_the_will_notes_a_plan_before_it_is_sent() -> None:
    home, held = Deathbed(), []
    due = home.clock.now() + timedelta(hours=4)
    line = Bequest("plan_soc", DEADLINE, "carport", "compact", 80.0, due)
    real = home.evcc.request

    def request(method: str, path: str, body: bytes = b"") -> Answer:
        if "plan" in path:
            held.append(home.ledger.read().plans)
        return real(method, path, body)

    home.evcc.request = request  # type: ignore[method-assign]
    assert home.carry_out(line)
    assert held == [(line,)]
    assert home.ledger.read().plans == (line,)


# --- the whole ring, life after life --------------------------------------------------------------

NIGHT = local("2026-01-12", "22:00")
SET, DROPPED = "POST", "DELETE"


def house() -> Scenario:
    """A car that is to have 80 % at half past six; cheap from midnight on."""
    return home(
        NIGHT,
        tick_s=60,
        wishes=(CarSettings(name="compact", target_soc_pct=80, departure="06:30"),),
        cars=(SimCar(name="compact", capacity_kwh=50, soc_pct=40, loadpoint="carport"),),
    )


def plan_writes(lives: Lives) -> list[str]:
    return [one.method for one in lives.writes("plan/soc", NIGHT)]


def died_and_back(until_h: float) -> Lives:
    """A first life, its will carried out, and a second life until then."""
    lives = Lives(house())
    lives.live(0.5)
    assert lives.carry_out()
    lives.wait(1.0)
    assert plan_writes(lives) == [SET]
    lives.live(until_h)
    return lives


def test_in_the_next_life_the_wills_plan_goes_and_the_car_is_full_by_ours() -> None:
    lives = died_and_back(8.6)
    assert plan_writes(lives) == [SET, DROPPED]
    (gone,) = [one for one in lives.writes("plan/soc", NIGHT) if one.method == DROPPED]
    assert gone.at - lives.at(1.0) < timedelta(minutes=2)
    assert lives.pretend.home.cars["compact"].plan_time == ""
    assert lives.soc_pct("compact") >= 79.5
    assert lives.ledger.read().plans == ()


@pytest.mark.parametrize(("second_h", "guarded"), [(1.0, True), (1.0, False), (1.5, True)])
def test_a_second_death_leaves_a_plan_standing(second_h: float, guarded: bool) -> None:
    """Before the delete evcc's plan stands; after it our guard sets it again."""
    lives = died_and_back(second_h)
    if guarded:
        assert lives.carry_out()
    lives.wait(8.6)
    assert lives.soc_pct("compact") >= 79.5


def test_a_plan_of_the_users_in_its_place_stays() -> None:
    lives = Lives(house())
    lives.live(0.5)
    assert lives.carry_out()
    lives.wait(1.0)
    due = "2026-01-13T05:00:00Z"
    assert lives.pretend.request("POST", f"/api/vehicles/compact/plan/soc/70/{due}").status == 200
    lives.live(4.0)
    assert DROPPED not in plan_writes(lives)
