"""The actuator: the only one that says orders (design §7).

It owns the external battery mode and each charging loadpoint's mode, session limitSoc and
limitEnergy. What the user had is kept before the first write and given back at the end.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from actors.actuator_memory import ActuatorMemory
from actors.actuator_view import mended, view_of
from actors.answers import answered
from actors.estate_heard import heard
from actors.left_plans import going, seen
from actors.orders import (
    SETTINGS,
    Desk,
    Draft,
    Setting,
    Wish,
    awaits_reading,
    drafts,
    due,
    ordered,
    tidied,
)
from actors.overrides import has_restarted, read, recalls_from, rules_of, with_need
from actors.ownership import given_back, ownerships, watched
from actors.proof import Proofs, proved, reading_of
from actors.script import script_of
from actors.situation import Situation
from actors.will import inherited, standing, will_of
from actors.wishes import (
    BatteryWish,
    battery_wish,
    car_wish,
    fuse_of,
    needs_energy,
)
from engine.actor import Actor
from engine.messages import (
    BatteryModeConfirmed,
    BatteryModeFailed,
    BatteryModeStands,
    ConfigRead,
    EstateRead,
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
    WillMade,
)
from engine.settings import Settings
from engine.values import (
    Control,
    HomeState,
    Loadpoint,
    Site,
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
    | EstateRead
    | StopAsked
    | HandsOff
)
Said: TypeAlias = Order | BatteryModeStands | OwnershipChanged | WillMade


TRIES_OF_HANDS_OFF = 3
"""After hands-off the writer gives back itself and may refuse us: we do not insist for ever."""


class Actuator(Actor[Heard, Said]):
    """Turns the plan's present slot into evcc's modes and limits, and gives back what it took."""

    memory: ActuatorMemory

    def __init__(self) -> None:
        self.memory = ActuatorMemory()

    def on(self, message: Heard) -> Iterator[Said]:
        """Decide anew on time, a reading, a plan, turns or prices; note evcc's answers.

        A will that changed is said before the orders that make it necessary.
        """
        now = message.at if self.memory.now is None else max(self.memory.now, message.at)
        self._note(now=now)
        said = tuple(self._handle(message, now))
        yield from self._will(now)
        yield from said

    def _handle(self, message: Heard, now: datetime) -> Iterator[Said]:
        match message:
            case ConfigRead():
                yield from self._configure(message.settings, now)
            case Tick():
                known = self.memory
                oldest = known.settings.oldest_reading
                waits = awaits_reading(known.measured_at, known.tick_at, now, oldest)
                self._note(tick_at=now, waits=waits and known.stopped is None)
                yield from self._act(now, ticking=True)
            case StateChanged():
                if self._take_reading(message.state):
                    waited = self.memory.waits
                    self._note(waits=False)
                    yield from self._act(now, ticked=waited)
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
                self.memory = answered(self.memory, message, now)
                yield from self._act(now)
            case EstateRead():
                self.memory = heard(self.memory, message, now)
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

        A version change, silence, a long gap before it or a connection that had to be made anew
        counts as a restart of evcc, unless the reading itself shows that there was none.
        """
        known = self.memory
        if not state.evcc_reachable and state.evcc_silent_since is not None:
            self._note(silent=True)
        site, at = state.site, state.measured_at
        if site is None or at is None or (known.measured_at and at <= known.measured_at):
            return False
        before = known.site
        gap = known.measured_at is not None and at - known.measured_at > (
            2 * known.settings.oldest_reading
        )
        lost = before is not None and (gap or known.silent)
        doubtful = lost or state.evcc_connection != known.connection
        restarted = before is not None and has_restarted(site, before, doubtful)
        if restarted:
            self._note(recalls_from=recalls_from(known.measured_at))
        restarted_at = at if restarted else known.restarted_at
        again = lost or restarted or known.estate is not None or mended(known, state, at)
        back_at = at if again else known.back_at
        self._note(site=site, measured_at=at, silent=False, restarted_at=restarted_at)
        self._note(connection=state.evcc_connection)
        desks = {desk.name: desk for desk in known.desks}
        chargers = [lp for lp in site.loadpoints if lp.charger]
        new = (self._read(desks.get(lp.name), lp, before, known.measured_at) for lp in chargers)
        self._note(desks=tuple(new))
        will = known.will if known.estate is None else standing(known.estate)
        self._note(estate=None, will=will, back_at=back_at, failed_meters=state.failed_meters)
        self._prove(state, lost or restarted)
        return True

    def _prove(self, state: HomeState, restarted: bool) -> None:
        """Hold the reading against the modes that evcc has confirmed: power is the proof."""
        known = self.memory
        reading = reading_of(state, known.settings, known.desks, known.in_force, restarted)
        if reading is None or not self._acts() or reading.site.optimizer_controls:
            self._note(proofs=Proofs())
        else:
            self._note(proofs=proved(known.proofs, reading))

    def _read(
        self, desk: Desk | None, lp: Loadpoint, before: Site | None, looked_at: datetime | None
    ) -> Desk:
        """The desk after a reading; a first one is seen with what an earlier life left.

        `before` and `looked_at`: the reading before it.
        """
        known, site, at = self.memory, self.memory.site, self.memory.measured_at
        assert site is not None
        assert at is not None
        rules = rules_of(site, before, lp, at, looked_at)
        if rules.restarted_at is None:
            rules = replace(rules, restarted_at=known.restarted_at, recalls_from=known.recalls_from)
        new = read(desk, lp, at, rules, self._acts())
        if desk is None and known.estate is not None:
            return inherited(new, known.estate, at, self._acts(), rules.vehicle_mode)
        return new

    def _acts(self) -> bool:
        return self.memory.settings.control is Control.ON and self.memory.stopped is None

    # --- what is decided -------------------------------------------------------------------------

    def _act(
        self,
        now: datetime,
        *,
        ticking: bool = False,
        ticked: bool = False,
        hurry: Why | None = None,
    ) -> Iterator[Said]:
        """Battery first, then the loadpoints, then who owns what."""
        known = self.memory
        view = view_of(known, now, known.stopped or hurry)
        self._note(fuse=fuse_of(view, known.desks))
        view = replace(view, fuse=self.memory.fuse)
        battery = battery_wish(view)
        yield from self._battery(now, battery, always=ticking or hurry is not None)
        cars: tuple[tuple[Desk, Wish], ...] = ()
        if view.site is not None:
            for lp in view.site.loadpoints:
                if lp.charger and (hurry is not None or not self.memory.waits):
                    yield from self._loadpoint(now, view, lp, ticking or ticked, hurry is not None)
            yield from self._left_plans(now, view)
            cars = tuple(self._wishes(view))
            yield from self._owners(now, battery if view.site.battery else None, cars)

    def _battery(self, now: datetime, wish: BatteryWish, always: bool) -> Iterator[Said]:
        """Said at each tick: that keeps the renewal alive; in between only what is new."""
        acting = self.memory.settings.control is Control.ON
        mode = wish.mode if acting else None
        if not always and mode is self.memory.stands:
            return
        self._note(stands=mode, battery_out=self.memory.battery_out or mode is not None)
        why = wish.why if acting else watched(wish.why, self.memory.settings.control)
        yield BatteryModeStands(now, mode, why, wish.until, self._revision())

    def _will(self, now: datetime) -> Iterator[WillMade]:
        """What is to be given back when we are gone, where that has changed."""
        known = self.memory
        if known.site is None or known.estate is not None or not known.desks:
            return
        will = will_of(
            desks=known.desks,
            site=known.site,
            turns=known.turns,
            settings=known.settings,
            battery=known.battery_out,
            plans=known.settings.control is Control.ON and not known.site.optimizer_controls,
            now=now,
            left=known.left_plans,
        )
        if will != known.will:
            self._note(will=will)
            yield WillMade(now, will)

    def _loadpoint(
        self, now: datetime, view: Situation, lp: Loadpoint, again: bool, hurry: bool
    ) -> Iterator[Order]:
        """The orders that are due at one loadpoint; `again`: failed ones too."""
        desk = next(self._desks(lp.name), None)
        known = self.memory
        acting = known.settings.control is Control.ON
        ours = any(desk.held(s).user is not None for s in SETTINGS) if desk else False
        if desk is None or (not acting and not ours) or (view.blind and known.stopped is None):
            return
        desk = with_need(desk, needs_energy(view, lp))
        wish = car_wish(view, desk, lp) if acting else given_back(known.settings)
        wanted: dict[str, Setting] = {}
        tick_at = known.tick_at or now
        for draft in drafts(desk, wish, now, hurry or known.stopped is not None):
            wanted[draft.setting] = draft.value
            held = desk.held(draft.setting)
            given_up = self._hands_off() and held.failures >= TRIES_OF_HANDS_OFF
            if due(held, draft.value, now, tick_at, again) and not given_up:
                order = self._order(now, lp.name, draft, until=wish.until)
                desk = desk.holding(draft.setting, ordered(held, order, tick_at))
                yield order
        self._seat(tidied(desk, wanted, now))

    def _order(
        self,
        now: datetime,
        loadpoint: str,
        draft: Draft,
        vehicle: str = "",
        until: datetime | None = None,
    ) -> Order:
        order = Order(
            at=now,
            order_id=self.memory.next_order,
            loadpoint=loadpoint,
            setting=draft.setting,
            value=draft.value,
            why=draft.why,
            until=until,
            plan_revision=self._revision(),
            vehicle=vehicle,
        )
        self._note(next_order=order.order_id + 1)
        return order

    def _left_plans(self, now: datetime, view: Situation) -> Iterator[Order]:
        """evcc's own plans that our will has set are deleted once our plan does what they do."""
        known = self.memory
        if not known.left_plans or view.site is None or known.measured_at is None:
            return
        left = seen(known.left_plans, view.site, known.measured_at)
        line = view.line if self._acts() and not view.idle and not view.blind else None
        covered = tuple(car.loadpoint.casefold() for car in line.cars) if line else ()
        for plan, loadpoint, why in going(
            left,
            view.site,
            known.desks,
            covered=() if view.unmetered else covered,
            made_at=view.made_at or now,
            read_at=known.measured_at,
            tick_at=known.tick_at or now,
        ):
            left = tuple(replace(one, asked_at=now) if one is plan else one for one in left)
            yield self._order(now, loadpoint, Draft(plan.line.setting, 0.0, why), plan.line.vehicle)
        self._note(left_plans=left)

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
