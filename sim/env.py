"""`SmartLoad/Home-v0`: the complete actor system with the agent's chair empty (design §8).

Importing this module registers the environment.
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Never, SupportsFloat
from zoneinfo import ZoneInfo

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from actors import cast
from engine.actor import Port
from engine.messages import (
    ConfigRead,
    CorrectionAdvised,
    PlanMade,
    RatesChanged,
    StateChanged,
    Tick,
    TurnsGiven,
)
from engine.slots import SLOT, SLOT_S, SLOTS_PER_HOUR, slot_of
from engine.steps import StepSystem
from engine.values import HomeState
from sim.run import PretendHome, pretend_home, settings_of
from sim.scenario import end_of
from sim.scenario_files import load_scenario

OFFSETS_CT = (-20, -10, -5, 0, 5, 10, 20)
"""What may be added to the plan's value of stored energy, in ct/kWh."""
NEUTRAL = OFFSETS_CT.index(0)
UNMET_EUR_KWH = 1.0
LOOK_AHEAD_H = (1, 3, 6, 12, 24)
BOXES = 2
_Heard = StateChanged | RatesChanged | PlanMade | TurnsGiven


class Chair(Port[_Heard, Never]):
    """What the agent would hear: the newest of each."""

    def __init__(self) -> None:
        self.state: HomeState | None = None
        self.rates: RatesChanged | None = None
        self.plan: PlanMade | None = None
        self.turns: TurnsGiven | None = None

    def on(self, message: _Heard) -> Iterator[Never]:
        """Keep it."""
        match message:
            case StateChanged(state=state):
                self.state = state
            case RatesChanged():
                self.rates = message
            case PlanMade():
                self.plan = message
            case TurnsGiven():
                self.turns = message
        yield from ()


class HomeEnv(gym.Env[NDArray[np.float32], NDArray[np.int64]]):
    """One home, one slot of 15 minutes a step, every actor at work.

    ## Action Space
    `MultiDiscrete([7, 7])`: an index into `OFFSETS_CT` for the battery and one for the cars: what is
    added to the plan's value of stored energy (ct/kWh) when the coming slot is decided. `(3, 3)` is
    the plan, exactly (INV-129).

    ## Observation Space
    `Box(float32)`, unknown is -1:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 | battery SoC, share | -1 | 1 |
    | 1-3 | grid import (negative: export), PV, house load, in 10 kW | -10 | 10 |
    | 4 | import price now, EUR/kWh | -5 | 5 |
    | 5-9 | mean known import price of the next 1, 3, 6, 12, 24 h, EUR/kWh | -5 | 5 |
    | 10 | feed-in price now, EUR/kWh | -5 | 5 |
    | 11-12 | local time of day, sine and cosine | -1 | 1 |
    | 13-14 | local day of the week, sine and cosine | -1 | 1 |
    | 15 | value of stored energy in the newest plan's first slot, EUR/kWh | -5 | 5 |
    | 16-19, 20-23 | first, second charger: connected; SoC, share; need in 100 kWh; hours to the departure in 48 h | -1 | 10 |

    ## Rewards
    Minus what the slot cost: bill, battery wear, and energy missing in cars that left (1.00 per
    kWh). In currency.

    ## Starting State
    The scenario's; `reset(seed=)` draws the world (weather, prices, people) from the seed.

    ## Episode End
    Never terminated; truncated at the end of `days`.

    ## Arguments
    `scenario`: a name or a file. `days`: None for the scenario's own.

    ## Version History
    v0: first.
    """  # noqa: E501 - a table

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(self, scenario: str = "winter-week", days: float | None = None) -> None:
        self._scenario = load_scenario(scenario)
        self._days = self._scenario.sim.days if days is None else days
        self._tick = timedelta(seconds=self._scenario.sim.tick_s)
        if SLOT_S % self._scenario.sim.tick_s:
            raise ValueError(
                f"sim.tick_s is {self._scenario.sim.tick_s:g}; a slot of {SLOT_S} s must hold a "
                "whole number of ticks: choose 30, 60, 300 or 900"
            )
        self._end = end_of(self._scenario.sim, self._days)
        self._zone = ZoneInfo(self._scenario.settings.site.zone)
        self._system: StepSystem | None = None
        self._home: PretendHome
        self._chair: Chair
        self.action_space = gym.spaces.MultiDiscrete([len(OFFSETS_CT)] * 2)
        low = [-1.0] + [-10.0] * 3 + [-5.0] * 7 + [-1.0] * 4 + [-5.0] + [-1.0] * 4 * BOXES
        high = [1.0] + [10.0] * 3 + [5.0] * 7 + [1.0] * 4 + [5.0] + [10.0] * 4 * BOXES
        self.action_space.seed(0)
        self.observation_space = gym.spaces.Box(
            np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """A new world from `seed`; the first slot's readings are there. `options` has no effect."""
        super().reset(seed=seed, options=options)
        self.close()
        world_seed = int(self.np_random.integers(2**31))
        start = self._scenario.sim.start
        self._system = StepSystem(start)
        self._chair = Chair()
        self._home = pretend_home(self._scenario, world_seed, self._days, self._system.clock)
        self._system.enter([*cast(), *self._home.ports, self._chair])
        self._system.publish(ConfigRead(at=start, settings=settings_of(self._scenario)))
        self._system.tick(Tick(at=start))
        self._at = start
        self._paid_eur = self._spent_eur()
        return self._observe(), self._info()

    def step(
        self, action: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Decide the coming slot under `action`, live through it, and pay."""
        assert self._system is not None, "call reset first"
        battery_ct, car_ct = (OFFSETS_CT[int(k)] for k in action)
        advised = CorrectionAdvised(
            at=self._at, slot=slot_of(self._at), battery_eur_kwh=battery_ct / 100,
            car_eur_kwh=car_ct / 100,
        )  # fmt: skip
        self._system.publish(advised)
        self._system.settle()
        end = slot_of(self._at) + SLOT
        while self._at < end:
            self._at += self._tick
            self._system.tick(Tick(at=self._at))
        spent_eur = self._spent_eur()
        reward, self._paid_eur = self._paid_eur - spent_eur, spent_eur
        return self._observe(), reward, False, self._at >= self._end, self._info()

    def close(self) -> None:
        """Let the actors go."""
        if self._system is not None:
            self._system.stop()
            self._system = None

    def _spent_eur(self) -> float:
        """Bill, wear and unmet energy since the start."""
        self._home.pretend.advance(self._at if hasattr(self, "_at") else self._scenario.sim.start)
        bill = self._home.pretend.bill()
        return bill.cost_eur + bill.wear_eur + UNMET_EUR_KWH * bill.shortfall_kwh

    def _info(self) -> dict[str, Any]:
        plan = self._chair.plan.plan if self._chair.plan else None
        return {
            "at": self._at.isoformat(),
            "spent_eur": self._paid_eur,
            "plan_revision": plan.revision if plan else 0,
            "plan_cost_eur": plan.cost_eur if plan else None,
        }

    # --- observation -----------------------------------------------------------------------------

    def _observe(self) -> NDArray[np.float32]:
        state = self._chair.state
        site = state.site if state else None
        battery = site.battery if site else None
        local = self._at.astimezone(self._zone)
        day = 2 * math.pi * (local.hour * 60 + local.minute) / 1440
        week = 2 * math.pi * local.weekday() / 7
        plan = self._chair.plan.plan if self._chair.plan else None
        value = plan.slots[0].battery_value_eur_kwh if plan and plan.slots else None
        seen = [
            _or(battery.soc_pct if battery else None, 100),
            _or(site.grid_import_w if site else None, 10_000, unknown=0),
            _or(site.pv_w if site else None, 10_000, unknown=0),
            _or(site.home_w if site else None, 10_000, unknown=0),
            *self._prices(),
            math.sin(day), math.cos(day), math.sin(week), math.cos(week),
            _or(value, 1),
            *self._boxes(),
        ]  # fmt: skip
        space = self.observation_space
        assert isinstance(space, gym.spaces.Box)
        return np.clip(np.array(seen, np.float32), space.low, space.high)

    def _prices(self) -> list[float]:
        rates = self._chair.rates
        if rates is None:
            return [-1.0] * (2 + len(LOOK_AHEAD_H))
        ahead = rates.import_eur_kwh.window(self._at, max(LOOK_AHEAD_H) * SLOTS_PER_HOUR)
        means = []
        for hours in LOOK_AHEAD_H:
            known = [price for price in ahead[: hours * SLOTS_PER_HOUR] if price is not None]
            means.append(sum(known) / len(known) if known else -1.0)
        return [_or(ahead[0], 1), *means, _or(rates.export_eur_kwh.at(self._at), 1)]

    def _boxes(self) -> list[float]:
        state, turns = self._chair.state, self._chair.turns
        chargers = [box for box in state.site.loadpoints if box.charger] if state and state.site \
            else []  # fmt: skip
        given = {turn.loadpoint: turn for turn in turns.turns} if turns else {}
        seen: list[float] = []
        for box in chargers[:BOXES]:
            turn = given.get(box.name)
            left_h = None
            if turn is not None and turn.departure is not None:
                left_h = max(0.0, (turn.departure - self._at).total_seconds() / 3600)
            seen += [
                float(box.connected),
                _or(box.vehicle_soc_pct, 100),
                turn.need_kwh / 100 if turn else 0.0,
                _or(left_h, 48),
            ]
        return seen + [-1.0] * (4 * BOXES - len(seen))


def _or(value: float | None, unit: float, unknown: float = -1.0) -> float:
    """`value` in `unit`s, or what stands for unknown."""
    return unknown if value is None else value / unit


gym.register(id="SmartLoad/Home-v0", entry_point="sim.env:HomeEnv")
