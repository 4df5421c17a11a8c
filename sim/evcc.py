"""The pretend evcc: evcc's own JSON over the one physics, under virtual time (design §10).

It lives from event to event: its cycles, the world's changes, the battery mode's expiry. Requests
are answered at the time they come; a changed setting runs its loadpoint at once, as in evcc.
"""

from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple
from urllib.parse import parse_qs

from engine import home as physics
from engine.clock import Clock
from engine.settings import BatterySettings
from engine.transport import Answer, TransportError
from sim import evcc_api_loadpoints, evcc_api_site, evcc_cycle, evcc_home, evcc_json, evcc_people
from sim import evcc_process as process
from sim.evcc_bill import Bill, Books
from sim.evcc_cycle import Order
from sim.evcc_luck import Luck
from sim.evcc_publish import Flat, Publisher
from sim.evcc_routes import NO_ROUTE, Call, Response, respond
from sim.evcc_tariffs import Tariffs
from sim.scenario import Scenario, World

HANDLERS = (evcc_api_loadpoints, evcc_api_site)
"""Importing them has registered their routes."""

SLOT_S = 900.0
PHASE = 1 / 3
"""Where in its interval the cycles of an evcc fall that has been running for long: there it lags
behind weather by the minute as a real one behind the sky (`sim/coarse.py`)."""
SOON_S = 0.01
"""A changed setting runs its loadpoint so long after the request."""
RETRY_S = 9.7
"""How long a meter that answers nonsense holds up a cycle."""


class Write(NamedTuple):
    """Something that was written to evcc. `human`: by the scenario's people, not through a port."""

    at: datetime
    method: str
    path: str
    status: int
    human: bool = False


class PretendEvcc:
    """evcc and the home behind it: an `engine.transport.Transport` in process.

    With a `clock`, each request first lives through the time up to its `now()`. `first_cycle_s`:
    so long after its start evcc has its first cycle; None: it has been running for long. `luck`:
    what evcc leaves to chance. Not thread-safe: `sim.evcc_server` puts a lock around it.
    """

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        clock: Clock | None = None,
        *,
        luck: Luck | None = None,
        first_cycle_s: float | None = None,
    ) -> None:
        self.home = evcc_home.build(scenario)
        self.tariffs = Tariffs(scenario, world)
        self.writes: list[Write] = []
        self.orders: list[Order] = []
        self.process = process.Process(saved=process.save(self.home))
        self.people = evcc_people.People(self.home, self.tariffs, world)
        self.publisher = Publisher(self._flat)
        self._world = world
        self._clock = clock
        self._start = scenario.sim.start
        self._interval_s = scenario.sim.evcc_interval_s
        self._luck = luck or Luck([(0.0, 0)])
        self._now_s = 0.0
        self._weather_s = 0.0
        self._slot_s = SLOT_S - (self._start.timestamp() % SLOT_S)
        self._cycle_s = 0.0
        self._turn = 0
        self._connection = 1
        self._busy_until_s = -inf
        self._waiting: int | None = None
        self._wishes: set[int] = set()
        self._wishes_s = inf
        self.books = Books(self.home.house, self.tariffs.settlement, self._start)
        self._dirty = False
        for car in self.home.cars.values():
            self.people.place(car)
        self._weather()
        self.people.look_ahead(self._start - timedelta(seconds=1), self._start)
        self._meet(self._start)
        if first_cycle_s is None:
            for point in self.home.loadpoints:
                point.gives_reason = True
            for _ in self.home.loadpoints or (0,):
                self._tick()
            self.home.flow()
            self._cycle_s = PHASE * self._interval_s
        else:
            self.start(first_cycle_s)

    # --- time -------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time up to which it has lived."""
        return self.home.moment(self._now_s)

    def advance(self, to: datetime) -> None:
        """Live through the time up to `to`; a time that is past changes nothing."""
        to_s = (to - self._start).total_seconds()
        if to_s <= self._now_s:
            return
        self._weather()
        self.people.look_ahead(self.now, to)
        while self._now_s < to_s:
            end_s = min(
                to_s,
                self._weather_s,
                self._slot_s,
                self.people.next_s,
                self._cycle_s,
                self._wishes_s,
                self.process.saves_s,
                self.process.adopts_s,
            )
            if self.home.site.watchdogs_s:
                end_s = min(end_s, evcc_cycle.expires_at_s(self.home.site))
            if end_s > self._now_s:
                physics.settle(self.home.house, self.home.boxes, end_s - self._now_s)
                self._now_s = end_s
            self._happen()

    def _happen(self) -> None:
        """Everything that is due now, evcc's cycle last."""
        now_s = self._now_s
        if now_s >= self._slot_s:
            self.books.turn(self.now)
            self._slot_s += SLOT_S
        if now_s >= self._weather_s:
            self._weather()
        if now_s >= self.people.next_s:
            self._meet(self.now)
        if self.home.site.watchdogs_s and evcc_cycle.expire(self.home.site, now_s):
            self.publisher.settings()
        if now_s >= self.process.saves_s:
            self._save()
        if now_s >= self.process.adopts_s:
            self._adopt()
        if now_s >= self._wishes_s:
            self._run_wishes()
        if now_s >= self._cycle_s:
            self._turn_comes()
        self.home.flow()

    def _weather(self) -> None:
        """Load and sun of now, and until when."""
        weather, step_s = self._world.minute(self.now), self._world.weather_step_s
        physics.flow(self.home.house, self.home.boxes, weather.load_w, weather.pv_w)
        self._weather_s = inf
        if step_s < inf:
            since_s = (self._start.timestamp() + self._now_s) % step_s
            self._weather_s = self._now_s + step_s - since_s

    def _meet(self, at: datetime) -> None:
        """What people and the world do now."""
        self.books.cars(self.home)
        for happening in self.people.due(at):
            match happening.kind:
                case "human" if happening.path:
                    method, _, path = happening.path.partition(" ")
                    response = self._answer(method, path, b"")
                    self.writes.append(Write(at, method, path, response.status, human=True))
                case "evcc_start":
                    self.start()
                case "evcc_kill":
                    self.kill()
                case "evcc_stop":
                    self.term()
                case _:
                    pass
            self.people.happen(happening, at)
        self._dirty = True

    def _save(self) -> None:
        """evcc writes its settings each minute."""
        if self._dirty or any(point.changed for point in self.home.loadpoints):
            self.process.saved = process.save(self.home)
            self._dirty = False
        self.process.saves_s += process.SAVE_S

    # --- cycles -----------------------------------------------------------------------------------

    def _turn_comes(self) -> None:
        """A tick: the next loadpoint of the round robin. A held up cycle is followed at once."""
        if self._busy_until_s == -inf and self.home.faults.nan:
            self._busy_until_s = self._cycle_s + RETRY_S
            self._cycle_s = self._busy_until_s
            return
        began_s = self._cycle_s
        if self._busy_until_s > -inf:
            began_s = self._busy_until_s - RETRY_S
        self._busy_until_s = -inf
        self._tick()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._run(waiting)
        due_s = began_s + self._interval_s
        lost = max(0.0, (self._now_s - due_s) // self._interval_s)
        self._cycle_s = max(due_s + lost * self._interval_s, self._now_s)

    def _tick(self) -> None:
        count = max(1, len(self.home.loadpoints))
        k = self._turn % count
        self._turn += 1
        self._run(k)

    def _run(self, k: int) -> None:
        """A cycle for loadpoint `k`, and those that it asks for itself."""
        again = True
        while again:
            clock_s = self._now_s + self._luck.read_s(self._now_s)
            orders, again = evcc_cycle.cycle(self.home, k, self.tariffs, self.now, clock_s)
            self.orders += orders
            self.publisher.cycle(k, not (self.home.faults.grid or self.home.faults.nan))
        self.people.count_modes()

    def _run_soon(self, k: int) -> None:
        """A changed setting asks for a cycle; only one such wish waits while a cycle is held up.

        It comes a moment later, so that wishes of the same instant do not depend on their order.
        """
        if not self.process.running or self._now_s < self.process.first_cycle_s:
            return
        if self._busy_until_s > self._now_s and self._waiting is None:
            self._waiting = k
        elif self._busy_until_s <= self._now_s:
            self._wishes.add(k)
            self._wishes_s = min(self._wishes_s, self._now_s + SOON_S)

    def _run_wishes(self) -> None:
        wishes, self._wishes, self._wishes_s = sorted(self._wishes), set(), inf
        for k in wishes:
            self._run(k)

    # --- the process ------------------------------------------------------------------------------

    def start(self, first_cycle_s: float = 0.55) -> None:
        """evcc's process starts now, with the settings that were saved."""
        process.start(self.home, self.process.saved)
        self.process.begin(self._now_s, first_cycle_s)
        self._cycle_s = self.process.first_cycle_s
        self._turn, self._busy_until_s, self._waiting = 0, -inf, None
        self.tariffs.restart(self._now_s)

    def kill(self) -> None:
        """As by kill -9: what was not saved is lost, the devices keep what they were told."""
        self.process.end()
        self._connection += 1
        self._cycle_s = self._wishes_s = inf
        self._wishes.clear()

    def term(self) -> None:
        """A graceful stop: the battery is given back, settings are saved."""
        order = process.stop_gracefully(self.home)
        if order != physics.UNKNOWN:
            self.orders.append(Order(self.now, None, "battery_mode", order))
        self.process.saved = process.save(self.home)
        self.kill()

    def _adopt(self) -> None:
        self.process.adopts_s = inf
        for k in process.adopt(self.home):
            amps = self.home.boxes[k].current_a
            self.orders.append(Order(self.now, k + 1, "current_a", amps))

    # --- requests ---------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Whether evcc cannot be reached at present."""
        return self.people.silent(self.now) or not self.port_open

    @property
    def port_open(self) -> bool:
        """Whether evcc's process accepts connections; while not, they are refused."""
        return self.process.reachable(self._now_s)

    @property
    def ready(self) -> bool:
        """Whether its API answers; before, every route is 404."""
        return self.process.answers(self._now_s)

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Answer as evcc does. Raises TransportError while it cannot be reached."""
        response = self.respond(method, path, body)
        return Answer(response.status, response.body, self._connection)

    def respond(self, method: str, path: str, body: bytes = b"") -> Response:
        """The same with content type and location. Raises TransportError as `request` does."""
        if self.catch_up():
            raise TransportError("connection refused (the pretend evcc is not there)")
        response = self._answer(method, path, body)
        if method != "GET":
            self.writes.append(Write(self.now, method, path, response.status))
        return response

    def catch_up(self) -> bool:
        """Live through the time up to the clock's now; True while evcc cannot be reached."""
        if self._clock is not None:
            self.advance(self._clock.now())
        return self.silent

    def close(self) -> None:
        """Nothing to release."""

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        path, _, asked = path.partition("?")
        if path.startswith("/api/") and not self.process.answers(self._now_s):
            return NO_ROUTE
        call = Call(self.home, self.tariffs, self.now, self._now_s, (), body, [], parse_qs(asked))
        response = respond(method, path, call, self.state)
        if method != "GET" and response.status == 200:
            self._dirty = True
            self.publisher.settings()
            for k in call.runs:
                self._run_soon(k)
            self.people.count_modes()
        return response

    def state(self) -> dict[str, object]:
        """What `/api/state` shows at present."""
        return evcc_json.state(self.home, self.tariffs, self.now)

    def _flat(self) -> Flat:
        return evcc_json.flat(self.state()), self.tariffs.forecast(self.now)

    # --- the truth behind it ----------------------------------------------------------------------

    def device(self, key: str, value: object) -> None:
        """Set a device from outside: a car at a box, a SoC, a fault (`sim.evcc_people`).

        Raises ValueError for a key that no device has.
        """
        self.books.cars(self.home)
        self.people.set_device(key, value, self._now_s)
        self.home.flow()

    def device_state(self) -> dict[str, object]:
        """What the devices really do now, by the keys of `device`."""
        return self.people.device_state()

    def car_soc_pct(self, name: str) -> float | None:
        """What the car really holds; None: no such car."""
        folded = name.casefold()
        cars = self.home.cars.items()
        return next((car.soc_pct for key, car in cars if key.casefold() == folded), None)

    def cloud_soc_pct(self, name: str) -> float | None:
        """What the car's own cloud answers; None: it is down, or no such car."""
        folded = name.casefold()
        for key, car in self.home.cars.items():
            if key.casefold() == folded:
                down = car.cloud_until is not None and self.now < car.cloud_until
                return None if down or car.cloud_fails else car.soc_pct
        return None

    @property
    def battery_kwh(self) -> float:
        """Energy in the house battery."""
        return self.home.house.battery_kwh

    def bill(self) -> Bill:
        """Cost, energies and slots since the start."""
        house = self.home.house
        wear = (self.home.scenario.settings.battery or BatterySettings()).wear_eur_kwh
        return Bill(
            cost_eur=self.books.cost_eur(),
            wear_eur=wear * house.discharged_kwh,
            import_kwh=house.import_kwh,
            export_kwh=house.export_kwh,
            battery_discharged_kwh=house.discharged_kwh,
            cars_kwh=self.books.cars(self.home),
            shortfall_kwh=self.people.shortfall_kwh,
            mode_changes=self.people.mode_changes,
            slots=self.books.slots(self.now),
        )
