"""The pretend evcc: evcc's own JSON over the one physics, under virtual time (design §10).

Simplified against a real one: evcc's regulator is a static map per sub-step of at most a minute
(`engine/home.py`), so its timers, thresholds and delays, and the battery boost, are taken but do
nothing. The external battery mode has its watchdog, cycle and hole as recorded.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.clock import Clock
from engine.settings import BatterySettings, CarSettings
from engine.transport import Answer, TransportError
from sim import evcc_api_loadpoints, evcc_api_site, evcc_cycle, evcc_home, evcc_json
from sim.evcc_home import Home, Loadpoint
from sim.evcc_routes import Call, Missing, NotFound, Refused, answer
from sim.evcc_tariffs import Tariffs
from sim.scenario import Happening, Scenario, World

HANDLERS = (evcc_api_loadpoints, evcc_api_site)
"""Importing them has registered their routes."""

MINUTE = timedelta(minutes=1)
JSON_TYPE = "application/json"
ERROR_TYPE = "application/json; charset=UTF-8"
TEXT_TYPE = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """An answer with what HTTP needs around it."""

    status: int
    body: bytes
    content_type: str
    location: str = ""


class Write(NamedTuple):
    """Something that was written to evcc. `human`: by the scenario's people, not through a port."""

    at: datetime
    method: str
    path: str
    status: int
    human: bool = False


class Slot(NamedTuple):
    """One slot of the bill; energies in kWh, prices per kWh."""

    start: datetime
    import_kwh: float
    export_kwh: float
    import_eur_kwh: float
    export_eur_kwh: float


class Bill(NamedTuple):
    """What the home has cost since the start. `shortfall_kwh`: missing in cars at departures."""

    cost_eur: float
    wear_eur: float
    import_kwh: float
    export_kwh: float
    battery_discharged_kwh: float
    cars_kwh: dict[str, float]
    shortfall_kwh: float
    mode_changes: int
    slots: tuple[Slot, ...]


class PretendEvcc:
    """evcc and the home behind it: an `engine.transport.Transport` in process.

    With a `clock`, each request first lives through the time up to its `now()`. Not thread-safe:
    `sim.evcc_server` puts a lock around it.
    """

    def __init__(self, scenario: Scenario, world: World, clock: Clock | None = None) -> None:
        self.now = scenario.sim.start
        self.site: Home = evcc_home.build(scenario)
        self.tariffs = Tariffs(scenario, world)
        self.writes: list[Write] = []
        self.shortfall_kwh = 0.0
        self.mode_changes = 0
        self._world = world
        self._clock = clock
        self._first = scenario.sim.start
        self._interval = timedelta(seconds=scenario.sim.evcc_interval_s)
        self._battery_cycle_at = self.now - self._interval
        self._silent_until: datetime | None = None
        self._tariff_turns: list[datetime] = []
        self._modes = self._modes_now()
        names = {point.spec.name: point for point in self.site.loadpoints}
        for car in self.site.cars.values():
            if car.spec.loadpoint is not None and car.spec.loadpoint in names:
                evcc_home.plug(self.site, names[car.spec.loadpoint], car, self.now)
        for happening in world.happenings(self.now - timedelta(seconds=1), self.now):
            self._happen(happening)
        self._battery()
        evcc_cycle.look(self.site, self.tariffs, world.minute(self.now), self.now)

    # --- time -------------------------------------------------------------------------------------

    def advance(self, to: datetime) -> None:
        """Live through the time up to `to`; a time that is past changes nothing."""
        if to <= self.now:
            return
        coming = deque(self._world.happenings(self.now, to))
        while self.now < to:
            end = self._next(min(to, coming[0].at) if coming else to)
            if end > self.now:
                weather = self._world.minute(self.now)
                evcc_cycle.substep(self.site, self.tariffs, weather, self.now, end)
                self.now = end
            self._renew_tariffs()
            evcc_cycle.expire(self.site, self.now)
            while coming and coming[0].at <= self.now:
                self._happen(coming.popleft())
            self._battery()
        self._count_modes()

    def _next(self, end: datetime) -> datetime:
        """The end of the next sub-step: a minute, an expiry, a cycle that has something to do."""
        at = self.now
        end = min(end, at.replace(second=0, microsecond=0) + MINUTE)
        expiry = evcc_cycle.expires_at(self.site)
        if expiry is not None and expiry > at:
            end = min(end, expiry)
        if evcc_cycle.battery_pending(self.site):
            end = min(end, self._battery_cycle_at + self._interval)
        return min(end, *self._tariff_turns) if self._tariff_turns else end

    def _renew_tariffs(self) -> None:
        """A tariff's outage has ended."""
        if self._tariff_turns and min(self._tariff_turns) <= self.now:
            self.tariffs.forget()
            self._tariff_turns = [due for due in self._tariff_turns if due > self.now]

    def _battery(self) -> None:
        """evcc's battery logic, at its cycles: every `interval` from the start."""
        if self.now >= self._battery_cycle_at + self._interval:
            passed = (self.now - self._first) // self._interval
            self._battery_cycle_at = self._first + passed * self._interval
            evcc_cycle.battery_cycle(self.site, self.tariffs, self.now)
            self._count_modes()

    def _happen(self, happening: Happening) -> None:
        site = self.site
        car = site.cars.get(happening.car or "")
        match happening.kind:
            case "arrive" if car is not None:
                car.kwh = max(0.0, car.kwh - car.owed_kwh - happening.used_kwh)
                car.owed_kwh = 0.0
                point = self._named(happening.loadpoint)
                if point is not None:
                    evcc_home.plug(site, point, car, self.now)
            case "leave" if car is not None:
                self._miss(car)
                car.owed_kwh += happening.used_kwh
                here = site.loadpoint_of(car)
                if here is not None:
                    evcc_home.unplug(site, here)
            case "human" if happening.path:
                method, _, path = happening.path.partition(" ")
                response = self._answer(method, path, b"")
                self.writes.append(Write(self.now, method, path, response.status, human=True))
            case "evcc_outage":
                self._silent_until = happening.until
            case "cloud_outage" if car is not None:
                car.cloud_until = happening.until
            case "tariff_outage" | "tariff_hole":
                self.tariffs.forget()
                if happening.until is not None and happening.until > self.now:
                    self._tariff_turns.append(happening.until)
            case _:
                pass
        self._count_modes()

    def _named(self, name: str | None) -> Loadpoint | None:
        return next((point for point in self.site.loadpoints if point.spec.name == name), None)

    def _miss(self, car: evcc_home.Car) -> None:
        """A car leaves: what is missing to its target counts, on days with a departure."""
        wish = self._wish(car.spec.name)
        today = self.now.astimezone(ZoneInfo(self.site.scenario.settings.site.zone)).isoweekday()
        if wish is not None and wish.departure is not None and today in wish.departure_weekdays:
            missing_pct = max(0.0, wish.target_soc_pct - car.soc_pct)
            self.shortfall_kwh += missing_pct / 100.0 * car.spec.capacity_kwh

    def _wish(self, name: str) -> CarSettings | None:
        cars = self.site.scenario.settings.cars
        return next((car for car in cars if car.name.casefold() == name.casefold()), None)

    def _modes_now(self) -> tuple[str | int, ...]:
        return (self.site.mode, *[point.mode for point in self.site.loadpoints])

    def _count_modes(self) -> None:
        now = self._modes_now()
        if now != self._modes:
            self.mode_changes += sum(a != b for a, b in zip(now, self._modes, strict=True))
            self._modes = now

    # --- requests ---------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Whether evcc cannot be reached at present (`evcc_outage`)."""
        return self._silent_until is not None and self.now < self._silent_until

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Answer as evcc does. Raises TransportError while an `evcc_outage` lasts."""
        response = self.respond(method, path, body)
        return Answer(response.status, response.body)

    def respond(self, method: str, path: str, body: bytes = b"") -> Response:
        """The same with content type and location. Raises TransportError as `request` does."""
        if self.catch_up():
            raise TransportError("connection refused (outage of the pretend evcc)")
        response = self._answer(method, path, body)
        if method != "GET":
            self.writes.append(Write(self.now, method, path, response.status))
        self._count_modes()
        return response

    def catch_up(self) -> bool:
        """Live through the time up to the clock's now; True while evcc cannot be reached."""
        if self._clock is not None:
            self.advance(self._clock.now())
        return self.silent

    def close(self) -> None:
        """Nothing to release."""

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        path, _, query = path.partition("?")
        not_found = Response(404, b"404 page not found", TEXT_TYPE)
        if not path.startswith("/api/"):
            return not_found
        if path.endswith("/"):
            return Response(301, b"", ERROR_TYPE, path.rstrip("/"))
        call = Call(self.site, self.tariffs, self.now, (), body)
        try:
            if method == "GET" and path == "/api/state":
                if "jq=" in query:
                    raise Refused("the pretend evcc does not filter")
                content = msgspec.json.encode(self.state())
            else:
                content = msgspec.json.encode(answer(method, call, path.removeprefix("/api")))
        except NotFound:
            return not_found
        except Refused as error:
            return Response(400, msgspec.json.encode({"error": str(error)}), ERROR_TYPE)
        except Missing as error:
            return Response(404, msgspec.json.encode({"error": str(error)}), ERROR_TYPE)
        return Response(200, content, JSON_TYPE)

    def state(self) -> dict[str, object]:
        """What `/api/state` shows at present."""
        return evcc_json.state(self.site, self.tariffs, self.now)

    def flat(self) -> tuple[dict[str, object], dict[str, object]]:
        """The same as `/ws` sends it: flat keys, and the forecast's keys."""
        return evcc_json.flat(self.site, self.tariffs, self.now)

    # --- the truth behind it ----------------------------------------------------------------------

    def car_soc_pct(self, name: str) -> float | None:
        """What the car really holds; None: no such car."""
        folded = name.casefold()
        cars = self.site.cars.items()
        return next((car.soc_pct for key, car in cars if key.casefold() == folded), None)

    def cloud_soc_pct(self, name: str) -> float | None:
        """What the car's own cloud answers; None: it is down, or no such car."""
        folded = name.casefold()
        for key, car in self.site.cars.items():
            if key.casefold() == folded:
                down = car.cloud_until is not None and self.now < car.cloud_until
                return None if down else car.soc_pct
        return None

    @property
    def battery_kwh(self) -> float:
        """Energy in the house battery."""
        return self.site.battery_kwh

    def bill(self) -> Bill:
        """Cost, energies and slots since the start."""
        meters = self.site.meters
        wear = (self.site.scenario.settings.battery or BatterySettings()).wear_eur_kwh
        return Bill(
            cost_eur=meters.cost_eur,
            wear_eur=wear * meters.discharged_kwh,
            import_kwh=meters.import_kwh,
            export_kwh=meters.export_kwh,
            battery_discharged_kwh=meters.discharged_kwh,
            cars_kwh=dict(meters.cars_kwh),
            shortfall_kwh=self.shortfall_kwh,
            mode_changes=self.mode_changes,
            slots=tuple(
                Slot(
                    slot.start,
                    slot.import_kwh,
                    slot.export_kwh,
                    slot.import_eur_kwh,
                    slot.export_eur_kwh,
                )
                for slot in meters.slots
            ),
        )
