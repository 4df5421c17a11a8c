"""evcc's own plans at the pretend evcc: the cheapest slots, and when they come to nothing."""

from datetime import datetime
from typing import Any

import pytest

from sim.evcc import PretendEvcc
from sim.scenario import SimCar
from tests.make_evcc import ScriptedWorld, box, minutes, post, pretend, state


def test_a_plan_charges_in_the_cheapest_slots_and_is_gone_when_it_is_met() -> None:
    grid = (0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1)
    evcc = pretend(ScriptedWorld(grid=grid), battery=None)
    post(evcc, "vehicles/zoe/plan/soc/60/2026-11-22T16:00:00Z")
    evcc.advance(minutes(1))
    point = box(evcc)
    assert point["effectivePlanId"] == 1
    assert point["effectivePlanSoc"] == 60
    assert not point["planActive"]
    assert [part["value"] for part in point["plan"]] == [0.1, 0.1, 0.1]
    dear = [slot for slot in _slots_until(evcc, minutes(270)) if slot.import_eur_kwh == 0.3]
    assert max(slot.import_kwh for slot in dear) == pytest.approx(0.125)
    assert box(evcc)["vehicleSoc"] >= 60
    assert box(evcc)["effectivePlanId"] == 0
    assert "plan" not in state(evcc)["vehicles"]["zoe"]


def _slots_until(evcc: PretendEvcc, at: datetime) -> tuple[Any, ...]:
    evcc.advance(at)
    return evcc.bill().slots


def test_a_plan_of_less_than_14_minutes_never_starts() -> None:
    evcc = pretend(ScriptedWorld(grid=(0.3,)), battery=None)
    post(evcc, "vehicles/zoe/plan/soc/53/2026-11-22T14:00:00Z")
    evcc.advance(minutes(134))
    assert box(evcc)["planOverrun"] > 0
    assert box(evcc)["sessionEnergy"] == 0
    evcc.advance(minutes(136))
    assert "plan" not in state(evcc)["vehicles"]["zoe"]  # deleted at its time


def test_a_plan_of_energy_serves_a_guest() -> None:
    evcc = pretend(cars=(SimCar("visitor", guest=True, loadpoint="lp-1"),), battery=None)
    post(evcc, "loadpoints/1/plan/energy/5/2026-11-22T13:00:00Z")
    evcc.advance(minutes(90))
    assert box(evcc)["sessionEnergy"] == pytest.approx(5000, abs=190)
    assert box(evcc)["planEnergy"] == 0


def test_a_repeating_plan_rolls_on() -> None:
    evcc = pretend(battery=None)
    plan = {"weekdays": [0, 1], "time": "15:00", "tz": "Europe/Berlin", "soc": 60, "active": True}
    post(evcc, "vehicles/zoe/plan/repeating", [plan])
    evcc.advance(minutes(1))
    assert box(evcc)["effectivePlanId"] == 2
    assert box(evcc)["effectivePlanTime"] == "2026-11-22T15:00:00+01:00"  # a Sunday
    evcc.advance(minutes(150))
    assert box(evcc)["vehicleSoc"] >= 60


def test_off_does_not_charge_although_a_plan_is_active() -> None:
    evcc = pretend()
    post(evcc, "loadpoints/1/mode/off")
    post(evcc, "vehicles/zoe/plan/soc/90/2026-11-22T13:00:00Z")
    evcc.advance(minutes(5))
    assert box(evcc)["planActive"]
    assert box(evcc)["chargePower"] == 0
