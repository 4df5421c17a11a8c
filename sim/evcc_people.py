"""What happens to the pretend home from outside: people, cars, outages, faults, and what it counts.

`set_device` takes the keys of the recordings of a real evcc: `lp1.car`, `battery.soc_pct`,
`car.NAME.refuses`, `grid_error`, ...
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from math import inf
from zoneinfo import ZoneInfo

from engine.settings import CarSettings
from sim import evcc_life
from sim.evcc_home import Car, Home
from sim.evcc_tariffs import Tariffs
from sim.scenario import FAULTS, FaultName, Happening, World


class People:
    """Lets happen what the world has for this home."""

    def __init__(self, home: Home, tariffs: Tariffs, world: World) -> None:
        self.shortfall_kwh = 0.0
        self.mode_changes = 0
        self.next_s = inf
        self._home = home
        self._tariffs = tariffs
        self._world = world
        self._start = home.scenario.sim.start
        self._coming: deque[Happening] = deque()
        self._ends: deque[Happening] = deque()
        self._silent_until: datetime | None = None
        self._modes = self._modes_now()

    # --- time -------------------------------------------------------------------------------------

    def look_ahead(self, since: datetime, until: datetime) -> None:
        """Ask the world what happens in (since, until]."""
        self._coming = deque(self._world.happenings(since, until))
        self._set_next()

    def _set_next(self) -> None:
        due = [queue[0].at for queue in (self._coming, self._ends) if queue]
        self.next_s = min((at - self._start).total_seconds() for at in due) if due else inf

    def due(self, at: datetime) -> Iterator[Happening]:
        """Each thing that happens by `at`, and each end of one, in order of time."""
        while True:
            queues = [queue for queue in (self._coming, self._ends) if queue and queue[0].at <= at]
            if not queues:
                break
            yield min(queues, key=lambda queue: queue[0].at).popleft()
        self._set_next()

    def _ends_at(self, until: datetime | None, kind: str, fault: FaultName | None = None) -> None:
        if until is not None:
            ends = [*self._ends, Happening(until, kind, fault=fault)]
            self._ends = deque(sorted(ends, key=lambda one: one.at))

    def happen(self, happening: Happening, at: datetime) -> None:
        """Everything but requests and evcc's own process."""
        home = self._home
        car = home.cars.get(happening.car or "")
        match happening.kind:
            case "arrive" if car is not None:
                car.put(max(0.0, car.kwh - car.owed_kwh - happening.used_kwh))
                car.owed_kwh = 0.0
                self._plug(happening.loadpoint, car)
            case "leave" if car is not None:
                self._miss(car, at)
                car.owed_kwh += happening.used_kwh
                here = home.index_of(car)
                if here is not None:
                    evcc_life.unplug(home, here)
            case "evcc_outage":
                self._silent_until = happening.until
            case "cloud_outage" if car is not None:
                car.cloud_until = happening.until
            case "tariff_outage" | "tariff_hole":
                self._tariffs.forget()
                self._ends_at(happening.until, "tariff_back")
            case "tariff_back":
                self._tariffs.forget()
            case "evcc_kill" | "evcc_stop":
                self._ends_at(happening.until, "evcc_start")
            case "fault" | "fault_over" if happening.fault is not None:
                at_s = (at - self._start).total_seconds()
                self.set_device(happening.fault, happening.kind == "fault", at_s)
                if happening.kind == "fault":
                    self._ends_at(happening.until, "fault_over", happening.fault)
            case _:
                pass

    def place(self, car: Car) -> None:
        """Where the car stands at the start."""
        self._plug(car.spec.loadpoint, car)

    def _plug(self, name: str | None, car: Car) -> None:
        for k, point in enumerate(self._home.loadpoints):
            if point.spec.name == name:
                evcc_life.plug(self._home, k, car)
                return

    def silent(self, at: datetime) -> bool:
        """Whether the network to evcc is down (`evcc_outage`)."""
        return self._silent_until is not None and at < self._silent_until

    # --- counts -----------------------------------------------------------------------------------

    def _miss(self, car: Car, at: datetime) -> None:
        """A car leaves: what is missing to its target counts, on days with a departure."""
        wish = self._wish(car.spec.name)
        today = at.astimezone(ZoneInfo(self._home.scenario.settings.site.zone)).isoweekday()
        if wish is not None and wish.departure is not None and today in wish.departure_weekdays:
            missing_pct = max(0.0, wish.target_soc_pct - car.soc_pct)
            self.shortfall_kwh += missing_pct / 100.0 * car.spec.capacity_kwh

    def _wish(self, name: str) -> CarSettings | None:
        cars = self._home.scenario.settings.cars
        return next((car for car in cars if car.name.casefold() == name.casefold()), None)

    def _modes_now(self) -> tuple[int, ...]:
        site = self._home.site
        return (site.battery_mode, *[point.mode for point in site.loadpoints])

    def count_modes(self) -> None:
        """Count the changes of charge and battery modes since the last look."""
        now = self._modes_now()
        if now != self._modes:
            self.mode_changes += sum(a != b for a, b in zip(now, self._modes, strict=True))
            self._modes = now

    # --- devices ----------------------------------------------------------------------------------

    def set_device(self, key: str, value: object, at_s: float) -> None:
        """Set a device at `at_s`. Raises ValueError for a key that no device has."""
        home = self._home
        parts = key.split(".")
        if key in FAULTS:
            setattr(home.faults, key.removesuffix("_error"), bool(value))
            self._tariffs.source_fails(home.faults.tariff, at_s)
        elif key == "battery.soc_pct" and home.has_battery:
            home.house.battery_kwh = home.house.capacity_kwh * _number(key, value) / 100.0
        elif parts[0] == "car" and len(parts) == 3 and parts[1] in home.cars:
            self._set_car(home.cars[parts[1]], key, parts[2], value)
        elif len(parts) == 2 and parts[1] == "car" and parts[0].startswith("lp"):
            self._set_box(key, parts[0][2:], value)
        else:
            raise ValueError(
                f"{key} is {value!r}, but no device of this home has that key; there are "
                f"{', '.join(FAULTS)}, battery.soc_pct, car.NAME.KEY and lpN.car"
            )

    def _set_car(self, car: Car, key: str, what: str, value: object) -> None:
        match what:
            case "soc_pct":
                car.put(car.spec.capacity_kwh * _number(key, value) / 100.0)
            case "refuses":
                car.refuses = bool(value)
            case "own_limit_pct":
                car.own_limit_pct = _number(key, value)
            case "cloud_error":
                car.cloud_fails = bool(value)
            case _:
                raise ValueError(
                    f"{key} is {value!r}; a car has soc_pct, refuses, own_limit_pct, cloud_error"
                )
        car.adjust_box()

    def _set_box(self, key: str, number: str, value: object) -> None:
        home = self._home
        k = int(number) - 1 if number.isdecimal() else -1
        if not 0 <= k < len(home.boxes):
            raise ValueError(f"{key}: there are {len(home.boxes)} loadpoints, counted from 1")
        if value is None:
            evcc_life.unplug(home, k)
        elif value in home.cars:
            evcc_life.plug(home, k, home.cars[f"{value}"])
        else:
            raise ValueError(f"{key} is {value!r}; the cars are {', '.join(home.cars)}")

    def device_state(self) -> dict[str, object]:
        """What the devices really do, by their keys; powers in W, SoC in percent."""
        home = self._home
        house = home.house
        keys: dict[str, object] = {
            "grid_w": house.grid_w,
            "pv_w": house.pv_w,
            "load_w": house.load_w,
        }
        if home.has_battery:
            keys["battery_w"] = house.battery_w
            keys["battery_soc_pct"] = 100.0 * house.battery_kwh / house.capacity_kwh
            keys["battery_mode"] = house.mode
        for k, (box, car) in enumerate(zip(home.boxes, home.plugged, strict=True), 1):
            keys[f"lp{k}_w"] = box.charge_w
            keys[f"lp{k}_car"] = None if car is None else car.spec.name
        for name, car in home.cars.items():
            keys[f"car.{name}_pct"] = car.soc_pct
        return keys


def _number(key: str, value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"{key} is {value!r}, which is not a number")
