"""The actuator: the only one that says orders (design §7).

It owns the external battery mode and each charging loadpoint's mode, session limitSoc and
limitEnergy. What the user had is kept before the first write and given back at the end.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from actors.orders import (
    SETTINGS,
    Desk,
    Setting,
    Wish,
    confirmed,
    drafts,
    due,
    ordered,
    read,
    refused,
    tidied,
    with_need,
)
from actors.ownership import ownerships, watched
from actors.script import Script, script_of
from actors.wishes import (
    BatteryWish,
    Situation,
    battery_wish,
    blind_of,
    car_wish,
    line_of,
    needs_energy,
)
from engine.actor import Actor
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    HandsOff,
    Order,
    OrderConfirmed,
    OrderFailed,
    OwnershipChanged,
    PlanMade,
    RatesChanged,
    StateChanged,
    StopAsked,
    Tick,
    TurnsGiven,
)
from engine.settings import Settings
from engine.values import (
    BatteryMode,
    Control,
    HomeState,
    Loadpoint,
    Ownership,
    Series,
    Site,
    Turn,
    Utc,
    Value,
    Why,
)

Heard: TypeAlias = (
    ConfigRead
    | Tick
    | StateChanged
    | PlanMade
    | TurnsGiven
    | RatesChanged
    | OrderConfirmed
    | OrderFailed
    | BatteryModeConfirmed
    | BatteryModeFailed
    | StopAsked
    | HandsOff
)
Said: TypeAlias = Order | BatteryModeStands | OwnershipChanged


TRIES_OF_HANDS_OFF = 3
"""After hands-off the writer gives back itself and may refuse us: we do not insist for ever."""


class ActuatorMemory(Value, frozen=True):
    """All that the actuator knows. `stands` is the battery mode last said, None: released."""

    settings: Settings = Settings()
    now: Utc | None = None
    tick_at: Utc | None = None
    site: Site | None = None
    measured_at: Utc | None = None
    silent: bool = False
    restarted_at: Utc | None = None
    script: Script | None = None
    turns: tuple[Turn, ...] = ()
    import_eur_kwh: Series | None = None
    grid_failed: bool = False
    desks: tuple[Desk, ...] = ()
    next_order: int = 1
    stands: BatteryMode | None = None
    battery_refused: Why | None = None
    stopped: Why | None = None
    told: Control | None = None
    in_control: tuple[Ownership, ...] = ()


class Actuator(Actor[Heard, Said]):
    """Turns the plan's present slot into evcc's modes and limits, and gives back what it took."""

    memory: ActuatorMemory

    def __init__(self) -> None:
        self.memory = ActuatorMemory()

    def on(self, message: Heard) -> Iterator[Said]:
        """Decide anew on time, a reading, a plan, turns or prices; note evcc's answers."""
        now = message.at if self.memory.now is None else max(self.memory.now, message.at)
        self._note(now=now)
        match message:
            case ConfigRead():
                yield from self._configure(message.settings, now)
            case Tick():
                self._note(tick_at=now)
                yield from self._act(now, ticking=True)
            case StateChanged():
                if self._take_reading(message.state):
                    yield from self._act(now)
            case PlanMade():
                script = self.memory.script
                if script is None or message.plan.made_at >= script.made_at:
                    self._note(script=script_of(message.plan))
                    yield from self._act(now)
            case TurnsGiven():
                self._note(turns=message.turns)
                yield from self._act(now)
            case RatesChanged():
                failed = message.grid_failed_since is not None
                self._note(import_eur_kwh=message.import_eur_kwh, grid_failed=failed)
                yield from self._act(now)
            case OrderConfirmed() | OrderFailed() | BatteryModeConfirmed() | BatteryModeFailed():
                self._take_answer(message, now)
                yield from self._act(now)
            case StopAsked() | HandsOff():
                why = Why("stopping" if isinstance(message, StopAsked) else "hands_off")
                self._note(stopped=self.memory.stopped or why)
                yield from self._act(now, hurry=why)
            case _:
                assert_never(message)

    def _note(self, **changes: object) -> None:
        self.memory = replace(self.memory, **changes)

    # --- what is heard ---------------------------------------------------------------------------

    def _configure(self, settings: Settings, now: datetime) -> Iterator[Said]:
        """Take the settings. Where control is taken away, everything is given back."""
        before = self.memory.settings.control
        lost = before is Control.ON and settings.control is not Control.ON
        if lost:
            yield from self._act(now, hurry=Why("switched_off"))
        self._note(settings=settings)
        if before is not Control.ON and settings.control is Control.ON:
            # from now on a mode that we did not set is somebody's word: begin with a first reading
            self._note(desks=(), measured_at=None)

    def _take_reading(self, state: HomeState) -> bool:
        """Whether `state` holds a reading that was not seen before (its plan and turns come apart).

        A version change, silence or a long gap before it counts as a restart of evcc.
        """
        known = self.memory
        if not state.evcc_reachable and state.evcc_silent_since is not None:
            self._note(silent=True)
        site, at = state.site, state.measured_at
        if site is None or at is None or (known.measured_at and at <= known.measured_at):
            return False
        gap = known.measured_at is not None and at - known.measured_at > (
            2 * known.settings.oldest_reading
        )
        other = known.site is not None and known.site.version != site.version
        restarted = known.site is not None and (gap or other or known.silent)
        restarted_at = at if restarted else known.restarted_at
        acting = known.settings.control is Control.ON and known.stopped is None
        before = {desk.name: desk for desk in known.desks}
        desks = tuple(
            read(before.get(lp.name), lp, at, restarted_at, acting)
            for lp in site.loadpoints
            if lp.charger
        )
        self._note(site=site, measured_at=at, silent=False, restarted_at=restarted_at, desks=desks)
        return True

    def _take_answer(
        self,
        answer: OrderConfirmed | OrderFailed | BatteryModeConfirmed | BatteryModeFailed,
        now: datetime,
    ) -> None:
        match answer:
            case OrderConfirmed(order=order):
                for desk in self._desks(order.loadpoint):
                    self._seat(confirmed(desk, order, now))
            case OrderFailed(order=order):
                for desk in self._desks(order.loadpoint):
                    self._seat(refused(desk, order, answer.reason))
            case BatteryModeConfirmed():
                self._note(battery_refused=None)
            case BatteryModeFailed():
                mode = answer.mode.value if answer.mode else BatteryMode.NORMAL.value
                numbers = (("mode", mode), ("reason", answer.reason))
                self._note(battery_refused=Why("battery_refused", numbers))
            case _:
                assert_never(answer)

    # --- what is decided -------------------------------------------------------------------------

    def _act(
        self, now: datetime, *, ticking: bool = False, hurry: Why | None = None
    ) -> Iterator[Said]:
        """Battery first, then the loadpoints, then who owns what."""
        known = self.memory
        view = self._view(now, known.stopped or hurry)
        battery = battery_wish(view)
        yield from self._battery(now, battery, always=ticking or hurry is not None)
        cars: tuple[tuple[Desk, Wish], ...] = ()
        if view.site is not None:
            for lp in view.site.loadpoints:
                if lp.charger:
                    yield from self._loadpoint(now, view, lp, ticking, hurry is not None)
            cars = tuple(self._wishes(view))
            yield from self._owners(now, battery if view.site.battery else None, cars)

    def _view(self, now: datetime, idle: Why | None) -> Situation:
        """All that decisions rest on now."""
        known = self.memory
        site, prices, script = known.site, known.import_eur_kwh, known.script
        if idle is None and site is not None and site.optimizer_controls:
            idle = Why("evcc_optimizer")
        line, no_line = line_of(script, now)
        return Situation(
            now=now,
            settings=known.settings,
            site=site,
            turns=known.turns,
            made_at=script.made_at if script else None,
            back_at=known.restarted_at,
            line=line,
            no_line=no_line,
            blind=blind_of(known.settings, known.measured_at, now),
            idle=idle,
            import_eur_kwh=prices.at(now) if prices else None,
            grid_failed=known.grid_failed,
        )

    def _battery(self, now: datetime, wish: BatteryWish, always: bool) -> Iterator[Said]:
        """Said at each tick: that keeps the renewal alive; in between only what is new."""
        acting = self.memory.settings.control is Control.ON
        mode = wish.mode if acting else None
        if not always and mode is self.memory.stands:
            return
        self._note(stands=mode)
        why = wish.why if acting else watched(wish.why, self.memory.settings.control)
        yield BatteryModeStands(now, mode, why, wish.until, self._revision())

    def _loadpoint(
        self, now: datetime, view: Situation, lp: Loadpoint, ticking: bool, hurry: bool
    ) -> Iterator[Order]:
        """The orders that are due at one loadpoint."""
        desk = next(self._desks(lp.name), None)
        known = self.memory
        acting = known.settings.control is Control.ON
        ours = any(desk.held(s).user is not None for s in SETTINGS) if desk else False
        if desk is None or (not acting and not ours) or (view.blind and known.stopped is None):
            return
        desk = with_need(desk, needs_energy(view, lp))
        wish = car_wish(view, desk, lp) if acting else _given_back(known.settings)
        wanted: dict[str, Setting] = {}
        tick_at = known.tick_at or now
        for draft in drafts(desk, wish, now, hurry or known.stopped is not None):
            wanted[draft.setting] = draft.value
            held = desk.held(draft.setting)
            given_up = self._hands_off() and held.failures >= TRIES_OF_HANDS_OFF
            if due(held, draft.value, now, tick_at, ticking) and not given_up:
                order = Order(
                    at=now,
                    order_id=self.memory.next_order,
                    loadpoint=lp.name,
                    setting=draft.setting,
                    value=draft.value,
                    why=draft.why,
                    until=wish.until,
                    plan_revision=self._revision(),
                )
                self._note(next_order=order.order_id + 1)
                desk = desk.holding(draft.setting, ordered(held, order, tick_at))
                yield order
        self._seat(tidied(desk, wanted, now))

    def _wishes(self, view: Situation) -> Iterator[tuple[Desk, Wish]]:
        for lp in view.site.loadpoints if view.site else ():
            for desk in self._desks(lp.name) if lp.charger else ():
                yield desk, car_wish(view, desk, lp)

    def _owners(
        self, now: datetime, battery: BatteryWish | None, cars: tuple[tuple[Desk, Wish], ...]
    ) -> Iterator[OwnershipChanged]:
        known = self.memory
        control = known.settings.control
        in_control = ownerships(
            control=control,
            battery=battery,
            battery_refused=known.battery_refused,
            cars=cars,
            known=known.in_control,
            now=now,
        )
        if in_control != known.in_control or control is not known.told:
            self._note(in_control=in_control, told=control)
            yield OwnershipChanged(now, control, in_control)

    def _desks(self, name: str) -> Iterator[Desk]:
        folded = name.casefold()
        return (desk for desk in self.memory.desks if desk.name.casefold() == folded)

    def _seat(self, new: Desk) -> None:
        desks = tuple(new if desk.name == new.name else desk for desk in self.memory.desks)
        self._note(desks=desks)

    def _hands_off(self) -> bool:
        stopped = self.memory.stopped
        return stopped is not None and stopped.code == "hands_off"

    def _revision(self) -> int:
        return self.memory.script.revision if self.memory.script else 0


def _given_back(settings: Settings) -> Wish:
    code = "watching" if settings.control is Control.WATCH else "switched_off"
    return Wish("evcc", Why(code), give_back=True)
