"""Power is the proof, over the pretend evcc: recorded traps are found, and what helps is done."""

from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from actors.orders import Desk, Held
from actors.proof import Proofs, Reading, Verdict, battery_says, loadpoint_says, proved
from actors.script import script_of
from actors.situation import Situation, line_of
from actors.wishes import battery_wish, car_wish
from engine.evcc_json import site_from
from engine.settings import BatterySettings, Settings
from engine.values import BatteryMode, ChargeMode, Why
from sim.evcc import PretendEvcc
from sim.scenario import SimCar, SimLoadpoint
from tests.make_actuator import NOW, PV, car, plan, plan_slot
from tests.make_evcc import BATTERY, ScriptedWorld, post, pretend, state

TOLD = Settings(battery=BatterySettings())
HOLD, CHARGE, NORMAL = BatteryMode.HOLD, BatteryMode.CHARGE, BatteryMode.NORMAL


class Seen(NamedTuple):
    """What stood at a moment: seconds, verdict, the mode that we had evcc set, the power."""

    at_s: float
    verdict: Verdict
    mode: BatteryMode | None
    battery_w: float


class Hand:
    """Plan, gates, proof and a hand that writes, without the actuator: a reading each 10 s."""

    def __init__(self, evcc: PretendEvcc) -> None:
        self.evcc = evcc
        self.proofs = Proofs()
        self.mode: BatteryMode | None = None
        self.seen: list[Seen] = []
        self.began = evcc.now
        self.posted_at = evcc.now

    def drive(self, wanted: BatteryMode | None, seconds: int) -> list[Seen]:
        """Want a mode for so long; what was seen meanwhile."""
        first = len(self.seen)
        for _ in range(seconds // 10):
            self._write(self._wish(wanted))
            self.evcc.advance(self.evcc.now + timedelta(seconds=10))
            known = site_from(state(self.evcc))
            self.proofs = proved(self.proofs, Reading(self.evcc.now, known, TOLD, self.mode))
            says = battery_says(self.proofs, wanted)
            at_s = (self.evcc.now - self.began).total_seconds()
            power_w = float(str(self.evcc.device_state()["battery_w"]))
            self.seen.append(Seen(at_s, says.verdict, self.mode, power_w))
        return self.seen[first:]

    def _wish(self, wanted: BatteryMode | None) -> BatteryMode | None:
        now = self.evcc.now
        made = plan([plan_slot(now, wanted or NORMAL, (), Why("battery_keeps"))], now)
        line, no_line = line_of(script_of(made.plan), now)
        view = Situation(
            now=now,
            settings=TOLD,
            site=site_from(state(self.evcc)),
            line=line,
            no_line=no_line,
            import_eur_kwh=0.3,
            proofs=self.proofs,
        )
        return battery_wish(view).mode

    def _write(self, mode: BatteryMode | None) -> None:
        due = self.evcc.now - self.posted_at >= timedelta(seconds=20)
        if mode is not None and (mode is not self.mode or due):
            post(self.evcc, f"batterymode/{mode.value}")
            self.posted_at = self.evcc.now
        elif mode is None and self.mode is not None:
            post(self.evcc, "batterymode/normal")
            post(self.evcc, "batterymode", method="DELETE")
        self.mode = mode


def first(seen: list[Seen], verdict: Verdict) -> float:
    return next(one.at_s for one in seen if one.verdict is verdict)


def test_a_swallowed_error_of_the_inverter_is_found_within_three_cycles_and_repaired() -> None:
    """Recorded: evcc shows `hold`, the battery charges 5 kW from the grid for ever."""
    evcc = pretend()
    hand = Hand(evcc)
    hand.drive(CHARGE, 120)
    evcc.device("battery_write_error", True)
    failing = hand.drive(HOLD, 60)
    evcc.device("battery_write_error", False)
    assert state(evcc)["batteryMode"] == "hold"
    assert failing[-1].battery_w == pytest.approx(-5000)
    seen = failing + hand.drive(HOLD, 300)
    began_s = next(one.at_s for one in seen if one.mode is HOLD)
    # told at the next cycle, then three that contradict
    assert first(seen, Verdict.REASSERT) - began_s <= 30 + 3 * 30 + 10
    assert (seen[-1].verdict, seen[-1].mode) == (Verdict.OBEYS, HOLD)
    assert abs(seen[-1].battery_w) < 1


def test_an_inverter_that_never_takes_it_is_shown_and_left_to_itself() -> None:
    evcc = pretend()
    hand = Hand(evcc)
    hand.drive(CHARGE, 120)
    evcc.device("battery_write_error", True)
    seen = hand.drive(HOLD, 600)
    assert first(seen, Verdict.NOT_OBEYED) < 500
    assert (seen[-1].verdict, seen[-1].mode) == (Verdict.NOT_OBEYED, None)
    evcc.device("battery_write_error", False)
    later = hand.drive(HOLD, 3600)  # an hour later it is tried again, and it works
    assert (later[-1].verdict, later[-1].mode) == (Verdict.OBEYS, HOLD)
    assert abs(later[-1].battery_w) < 1


@pytest.mark.parametrize("kept", [HOLD, CHARGE])
def test_what_a_killed_evcc_left_in_the_inverter_is_taken_away(kept: BatteryMode) -> None:
    """evcc starts with `unknown` and writes nothing: the battery is released and does not serve."""
    evcc = pretend(ScriptedWorld(load_w=2000.0))
    Hand(evcc).drive(kept, 120)
    evcc.kill()
    evcc.advance(evcc.now + timedelta(seconds=30))
    evcc.start()
    evcc.advance(evcc.now + timedelta(seconds=60))
    hand = Hand(evcc)  # one that knows nothing of it
    seen = hand.drive(None, 300)
    assert seen[0].battery_w == pytest.approx(0 if kept is HOLD else -5000)
    assert first(seen, Verdict.REASSERT) <= 130
    assert (seen[-1].verdict, seen[-1].mode) == (Verdict.OBEYS, None)
    assert seen[-1].battery_w == pytest.approx(2000)


def test_charge_that_sticks_after_full_charges_again() -> None:
    """Recorded: at its maximum evcc holds it; below it `charge` is not sent again."""
    evcc = pretend(battery=replace(BATTERY, max_soc_pct=90.0, soc_pct=89.0))
    hand = Hand(evcc)
    full = hand.drive(CHARGE, 600)
    assert {one.verdict for one in full} <= {Verdict.OBEYS, Verdict.SUSPECTED}
    assert abs(full[-1].battery_w) < 1
    evcc.device("battery.soc_pct", 85)
    stuck = hand.drive(CHARGE, 60)
    assert abs(stuck[-1].battery_w) < 1
    seen = stuck + hand.drive(CHARGE, 300)
    assert Verdict.REASSERT in {one.verdict for one in seen}
    assert seen[-1].verdict is Verdict.OBEYS
    assert seen[-1].battery_w == pytest.approx(-5000)


def test_a_battery_that_obeys_is_not_accused_whatever_the_weather() -> None:
    world = ScriptedWorld()
    hand = Hand(pretend(world))
    for k, mode in enumerate((HOLD, None, CHARGE, None, HOLD, None, CHARGE, None)):
        world.load_w, world.pv_w = 300.0 + 800.0 * (k % 3), 6000.0 * (k // 4)
        seen = hand.drive(mode, 1200)
        assert {one.verdict for one in seen} <= {Verdict.OBEYS, Verdict.SUSPECTED}, k


# --- loadpoints -----------------------------------------------------------------------------------


class CarHand:
    """The same for a car that is to charge fast."""

    def __init__(self, evcc: PretendEvcc) -> None:
        self.evcc = evcc
        self.proofs = Proofs()

    def charge(self, seconds: int) -> list[tuple[Verdict, str]]:
        """Want `now` for so long: the verdict and the mode that was set, each 10 s."""
        seen = []
        for _ in range(seconds // 10):
            mode = self._wish()
            lp = site_from(state(self.evcc)).loadpoints[0]
            if lp.mode is not mode:
                post(self.evcc, f"loadpoints/1/mode/{mode.value}")
            self.evcc.advance(self.evcc.now + timedelta(seconds=10))
            known = site_from(state(self.evcc))
            reading = Reading(self.evcc.now, known, TOLD, modes=((lp.name, mode),))
            self.proofs = proved(self.proofs, reading)
            seen.append((loadpoint_says(self.proofs, lp.name, NOW).verdict, mode.value))
        return seen

    def _wish(self) -> ChargeMode:
        now, known = self.evcc.now, site_from(state(self.evcc))
        lp = known.loadpoints[0]
        fast = replace(car(NOW), loadpoint=lp.name)
        line, no_line = line_of(script_of(plan([plan_slot(now, NORMAL, (fast,))], now).plan), now)
        view = Situation(now, TOLD, known, line=line, no_line=no_line, proofs=self.proofs)
        held = Held(seen="pv"), Held(seen=0.0), Held(seen=0.0)
        return car_wish(view, Desk(lp.name, True, lp.vehicle, *held), lp).mode or PV


@pytest.mark.parametrize(
    ("key", "value"),
    [("car.zoe.refuses", True), ("car.zoe.soc_pct", 100), ("car.zoe.refuses", False)],
)
def test_a_car_that_is_full_or_refuses_is_not_the_loadpoints_fault(key: str, value: Any) -> None:
    evcc = pretend(loadpoints=(SimLoadpoint("lp-1"),), cars=(SimCar("zoe", loadpoint="lp-1"),))
    evcc.device(key, value)
    assert {verdict for verdict, _ in CarHand(evcc).charge(900)} == {Verdict.OBEYS}


def test_a_box_that_cannot_be_reached_is_shown_and_comes_when_it_can() -> None:
    evcc = pretend(loadpoints=(SimLoadpoint("lp-1"),), cars=(SimCar("zoe", loadpoint="lp-1"),))
    evcc.device("charger_error", True)
    hand = CarHand(evcc)
    seen = hand.charge(1200)
    verdicts = [verdict for verdict, _ in seen]
    # five minutes, then once `pv` and `now` again, and five more
    assert verdicts.index(Verdict.REASSERT) * 10 == pytest.approx(300, abs=40)
    assert {mode for verdict, mode in seen[verdicts.index(Verdict.REASSERT) + 1 :][:3]} == {"pv"}
    assert verdicts.index(Verdict.NOT_OBEYED) * 10 == pytest.approx(660, abs=60)
    assert seen[-1] == (Verdict.NOT_OBEYED, "now")
    evcc.device("charger_error", False)
    assert hand.charge(120)[-1] == (Verdict.OBEYS, "now")
    assert evcc.device_state()["lp1_w"] == pytest.approx(11_040)
