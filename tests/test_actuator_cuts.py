"""Killed at any instant between ledger, write and confirmation: in the end all is as it was."""

from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.actuator import Actuator, Heard, Said
from engine.ledger import Ledger
from engine.messages import EstateRead, Order, OrderConfirmed, StopAsked, Tick, WillMade
from engine.values import ChargeMode
from tests.make_actuator import (
    NOW,
    PV,
    T0,
    config,
    loadpoint,
    plan_of,
    rates,
    site,
    state,
    tell,
    turns,
)

Box = dict[str, str | float]
SETTINGS = ("mode", "limit_soc", "limit_energy")


class KilledError(Exception):
    """The controller is gone."""


class House:
    """evcc's settings, the ledger, and a fuse of steps after which the controller is gone."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.ledger = Ledger()
        self.at = T0
        self.steps_left = 10**6
        self.human = False

    def step(self) -> None:
        if self.steps_left == 0:
            raise KilledError
        self.steps_left -= 1

    def hear(self, actor: Actuator, *messages: Heard) -> None:
        """Everything that follows from `messages`, one step at a time."""
        said: deque[Said] = deque(tell(actor, *messages))
        while said:
            one = said.popleft()
            if isinstance(one, WillMade):
                self.step()
                self.ledger.will(one.bequests, one.at)
            elif isinstance(one, Order):
                self.at += timedelta(milliseconds=10)
                self.step()
                self.ledger.intend(one.setting, one.loadpoint, one.value, self.at)
                self.step()
                self.box[one.setting] = one.value
                self.step()
                self.ledger.confirm(one.setting, one.loadpoint, one.value, self.at)
                said.extend(tell(actor, OrderConfirmed(self.at, one)))

    def reading(self, wait_s: float = 20.0) -> Heard:
        self.at += timedelta(seconds=wait_s)
        lp = loadpoint(
            mode=ChargeMode(str(self.box["mode"])),
            limit_soc_pct=float(self.box["limit_soc"]) or None,
            limit_energy_kwh=float(self.box["limit_energy"]) or None,
        )
        return state(self.at, site(lp))

    def live(self, steps: int) -> Actuator:
        """One life: a block of `now`, its end, and a stop in order, or a death after `steps`."""
        actor, self.steps_left = Actuator(), steps
        self.hear(actor, config(), EstateRead(self.at, *self.ledger.read()))
        self.hear(actor, self.reading(), rates(self.at), turns(self.at))
        for k, mode in enumerate((NOW, PV)):
            made: datetime = self.at
            self.hear(actor, plan_of(mode, mode, made_at=made, revision=k + 1))
            self.hear(actor, self.reading())
            self.hear(actor, Tick(self.at), self.reading())
            for desk in actor.memory.desks:
                assert (desk.human is not None) is self.human
                assert not any(desk.held(one).human for one in SETTINGS)
        self.hear(actor, StopAsked(self.at))
        return actor

    def carry_out(self) -> None:
        """A guard was alive."""
        self.at += timedelta(seconds=100)
        for one in self.ledger.read().bequests:
            if one.setting in SETTINGS:
                self.box[one.setting] = one.value
                self.ledger.confirm(one.setting, one.loadpoint, one.value, self.at)
        self.ledger.carried_out(self.at)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(
    limit=st.sampled_from([0.0, 70.0, 95.0]),
    deaths=st.lists(
        st.tuples(st.integers(0, 16), st.sampled_from(["", "guard", "power cut"])), max_size=4
    ),
)
def test_inv_41_inv_49_killed_anywhere_the_end_is_the_same_and_nobody_is_a_human(
    limit: float, deaths: list[tuple[int, str]]
) -> None:
    before: Box = {"mode": "pv", "limit_soc": limit, "limit_energy": 0.0}
    house = House(dict(before))
    for steps, then in deaths:
        saved = dict(house.box)
        with suppress(KilledError):
            house.live(steps)
        house.at += timedelta(seconds=5)
        if then == "guard":
            house.carry_out()
        elif then == "power cut":
            house.box.update(saved)  # evcc had saved nothing since
    house.live(10**6)
    assert house.box == before


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    steps=st.integers(0, 16),
    guarded=st.booleans(),
    touch=st.sampled_from(["minpv", "off"]),
    again=st.integers(0, 16),
)
def test_inv_43_killed_anywhere_a_human_who_comes_then_is_never_overruled(
    steps: int, guarded: bool, touch: str, again: int
) -> None:
    house = House({"mode": "pv", "limit_soc": 0.0, "limit_energy": 0.0})
    with suppress(KilledError):
        house.live(steps)
    if guarded:
        house.carry_out()
    house.at += timedelta(seconds=5)
    house.box["mode"], house.human = touch, True
    with suppress(KilledError):
        house.live(again)
    house.at += timedelta(seconds=5)
    house.live(10**6)
    assert house.box == {"mode": touch, "limit_soc": 0.0, "limit_energy": 0.0}
