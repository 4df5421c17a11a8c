"""Whose a new value is: ours, evcc's by a rule of its own, or a human's (design §7).

A reading that shows what we did not set was changed by evcc (plug, unplug, another car, a restart:
evcc-regulator.md §11, §14), each of which gives known values at a known time, or else by a human.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from actors.orders import SETTINGS, Desk, Held, Human, Past, Setting, same
from engine.values import BatteryMode, ChargeMode, EvccVehicle, Loadpoint, Site, Utc, Value, find

READ_LAG = timedelta(seconds=15)
"""A reading may have been under way when our write landed: it does not contradict it (INV-41)."""
LANDS = timedelta(seconds=120)
"""So long after an order without a good answer its value in a reading is still our doing."""
EVCC_STARTS = timedelta(seconds=60)
"""So long after a restart a value that evcc's rules can give may be evcc's own doing."""
EVCC_RULES = timedelta(seconds=10)
"""evcc's connect rule acts in the cycle that first shows the car; a reading may fall into it."""
DETECTS = timedelta(minutes=10)
"""So long evcc looks for the name of a car that came, at least."""
TELLS_MODE = (0, 312)
"""From this version on evcc tells the mode of each car."""
SESSION_STEP_KWH = 0.01
RECALLS = timedelta(seconds=65)
"""evcc saves its settings each minute; killed, it comes back with what stood so long before."""


class EvccRules(Value, frozen=True):
    """What evcc may do to a loadpoint by itself (evcc-regulator.md §11, §14).

    `restarted_at`: the first reading after a restart, `recalls_from` how old a setting may be that
    it brought back. `vehicle_mode` is the mode of the car that is there, `vehicle_known` False
    where evcc does not tell whether it has one, `car_modes` those of all cars. `looked_at`: when
    the reading before this one was there. `plugged_on`: the session went on since, as its energy
    tells.
    """

    restarted_at: Utc | None = None
    recalls_from: Utc | None = None
    vehicle_mode: str | None = None
    vehicle_known: bool = False
    car_modes: tuple[str, ...] = ()
    looked_at: Utc | None = None
    plugged_on: bool = False


def rules_of(
    site: Site, before: Site | None, lp: Loadpoint, at: datetime, looked_at: datetime | None = None
) -> "EvccRules":
    """What evcc may have done to `lp` by `at`, apart from a restart that showed as silence.

    A restart that was too short to be noticed shows all the same: the battery mode is unknown
    again (evcc-regulator.md §14), or a session's energy is lost while its car stays. `looked_at`:
    when `before` was read.
    """
    vehicle = find(site.vehicles, lp.vehicle) if lp.vehicle else None
    mode = vehicle.mode if vehicle is not None else None
    old = find(before.loadpoints, lp.name) if before is not None else None
    again = (
        old is not None
        and old.connected
        and lp.connected
        and old.vehicle == lp.vehicle
        and lp.session_kwh < old.session_kwh - SESSION_STEP_KWH
    )
    return EvccRules(
        restarted_at=at if again else None,
        recalls_from=recalls_from(looked_at) if again else None,
        vehicle_mode=None if mode is None else str(mode),
        vehicle_known=mode is not None or _tells_mode(site, vehicle),
        car_modes=tuple(str(one.mode) for one in site.vehicles if one.mode is not None),
        looked_at=looked_at,
        plugged_on=old is not None and _same_session(lp, old),
    )


def recalls_from(looked_at: datetime | None) -> datetime | None:
    """How old a setting may be with which an evcc comes back that was killed after `looked_at`."""
    return None if looked_at is None else looked_at - RECALLS


def _tells_mode(site: Site, vehicle: EvccVehicle | None) -> bool:
    """Whether a car without a mode has none, rather than one that evcc does not tell."""
    if vehicle is None:
        return False
    numbers = tuple(int(part) for part in site.version.split(".")[:2] if part.isdecimal())
    return numbers >= TELLS_MODE


def has_restarted(site: Site, before: Site, doubtful: bool) -> bool:
    """Whether evcc was started anew between two readings.

    `doubtful`: it was silent, or nobody looked for long. A session whose energy went on tells that
    it was only the network; a battery mode that is unknown again tells of a restart.
    """
    if site.version != before.version:
        return True
    if any(_goes_on(lp, find(before.loadpoints, lp.name)) for lp in site.loadpoints):
        return False
    one, other = before.battery, site.battery
    known = one is not None and one.mode is not BatteryMode.UNKNOWN
    return doubtful or (known and other is not None and other.mode is BatteryMode.UNKNOWN)


def _goes_on(lp: Loadpoint, old: Loadpoint | None) -> bool:
    """Whether the session of the same car has kept its energy, which no restart does."""
    return old is not None and old.vehicle == lp.vehicle and _same_session(lp, old)


def _same_session(lp: Loadpoint, old: Loadpoint) -> bool:
    return old.connected and lp.connected and 0.0 < old.session_kwh <= lp.session_kwh


class _Excuse(NamedTuple):
    """Which rule of evcc's may explain a new value, and which modes it gives; None: any.

    `recalls_from`: also what stood later than that, for a limit too.
    """

    rule: str = ""
    modes: tuple[Setting | None, ...] | None = ()
    any_limit: bool = False
    recalls_from: datetime | None = None
    off_is_said: bool = False
    """Where any mode is explained, `off` is a human's word all the same."""

    def explains(self, setting: str, held: Held, value: Setting) -> bool:
        """Whether evcc set this by itself."""
        if self.recalls(held, value):
            return True
        if setting != "mode":
            return self.any_limit or not value
        return self.modes is None or value in self.modes

    def recalls(self, held: Held, value: Setting) -> bool:
        """Whether it stood so lately that a killed evcc may have come back with it."""
        since = self.recalls_from
        if since is None:
            return False
        stood = [past.value for past in held.past if past.until >= since]
        # what our last order replaced, which no reading may have shown
        sent_at = held.order.at if held.order is not None else held.ours_at or held.given_at
        if sent_at is None or sent_at >= since:
            stood += [one for one in (held.was, held.user) if one is not None]
        return any(same(one, value) for one in stood)


def read(desk: Desk | None, lp: Loadpoint, at: datetime, rules: EvccRules, acting: bool) -> Desk:
    """The desk after a reading of `at`. The first one is the user's; `off` stays their word.

    While we do not act, nothing is a human's in particular: everything is.
    """
    values = _values(lp)
    if desk is None:
        return _first(lp, at, acting)
    edge = desk.connected != lp.connected or desk.vehicle != lp.vehicle
    edge_at = at if edge else desk.edge_at
    excuses = tuple(_excuses(desk, lp, at, edge_at, rules))
    # before its first cycle an evcc that was started anew only does not know of a car yet
    stays = lp.connected or rules.restarted_at == at
    left = desk.connected and not stays
    came = lp.connected and not desk.connected
    given = rules.vehicle_mode if lp.connected and desk.vehicle != lp.vehicle else None
    # what a car that came has brought by now: that is what a human's touch replaced
    stood = given if came else None
    desk = replace(
        desk,
        connected=lp.connected,
        vehicle=lp.vehicle,
        edge_at=edge_at,
        edge_mode=lp.mode.value if edge or rules.restarted_at == at else desk.edge_mode,
        human=desk.human if stays else None,
        returns_to=lp.mode.value if left else desk.returns_to,
    )
    for setting, value in zip(SETTINGS, values, strict=True):
        before = desk.held(setting)
        held, changed = _read_one(before, value, at, excuses, setting, looked_at=rules.looked_at)
        if setting == "mode" and given is not None and not changed:
            changed = _set_back(before, value, given, excuses, rules.looked_at)
            stood = given if changed else stood
        held = _remembering(held, before, at)
        by_human = changed and acting and lp.connected
        if setting == "mode":
            desk = _judge_mode(desk, held, lp.mode, at, by_human=by_human, stood=stood)
        else:
            theirs = by_human and before.ours is not None
            keep = held.human and stays
            desk = desk.holding(setting, replace(held, human=theirs or keep))
    return desk


def _first(lp: Loadpoint, at: datetime, acting: bool) -> Desk:
    """The desk after the first reading. Without a car evcc's disconnect rule has just set it."""
    mode, limit_soc, limit_energy = (Held(seen=value) for value in _values(lp))
    off = acting and lp.connected and lp.mode is ChargeMode.OFF
    return Desk(
        lp.name,
        lp.connected,
        lp.vehicle,
        mode,
        limit_soc,
        limit_energy,
        human=Human(lp.mode, lp.mode.value, at) if off else None,
        returns_to=None if lp.connected else lp.mode.value,
    )


def _values(lp: Loadpoint) -> tuple[Setting, Setting, Setting]:
    return lp.mode.value, lp.limit_soc_pct or 0.0, lp.limit_energy_kwh or 0.0


def _remembering(held: Held, before: Held, at: datetime) -> Held:
    """The setting with what it was before, as long as evcc may come back with it."""
    past = tuple(one for one in before.past if one.until >= at - 2 * RECALLS)
    if not same(held.seen, before.seen):
        past = (*past, Past(before.seen, at))
    return held if past == held.past else replace(held, past=past)


def _excuses(
    desk: Desk, lp: Loadpoint, at: datetime, edge_at: datetime | None, rules: EvccRules
) -> Iterator[_Excuse]:
    """What of evcc's own rules may explain a new value at `at`. `desk`: before the reading."""
    tells = rules.vehicle_known or lp.vehicle is None
    if edge_at is not None and at - edge_at <= EVCC_RULES:
        if at == edge_at:
            done = _removed(desk, lp, at, rules)
        else:  # evcc's rule acts once: here it had acted by the reading that showed the edge
            done = tells and (lp.vehicle is None or desk.edge_mode == rules.vehicle_mode)
        if not (lp.connected and done):
            yield _edge(desk, lp, rules, tells)
    restarted_at = rules.restarted_at
    if restarted_at is None or at - restarted_at > EVCC_STARTS:
        return
    if at > restarted_at:  # what was configured or kept was there at once; a car's mode comes later
        named = lp.vehicle is not None and desk.vehicle == lp.vehicle
        if not (named and tells and desk.edge_mode == rules.vehicle_mode):
            yield _Excuse(
                "restart", (rules.vehicle_mode,) if tells else None, off_is_said=not tells
            )
        return
    known = tells and desk.returns_to is not None
    modes = (rules.vehicle_mode, desk.returns_to) if known else None
    # where the default is unknown: the car's own `off`, or one that stood before us, is no word
    off_is_given = "off" in (rules.vehicle_mode, desk.mode.user)
    yield _Excuse(
        "restart",
        modes,
        recalls_from=rules.recalls_from,
        off_is_said=modes is None and not off_is_given,
    )


def _removed(desk: Desk, lp: Loadpoint, at: datetime, rules: EvccRules) -> bool:
    """Whether a human took the car's name away, or another loadpoint took it: the mode stays.

    After a plug evcc would still look for the name of the car that is there.
    """
    nameless = desk.vehicle is not None and lp.vehicle is None
    if nameless and rules.plugged_on:
        return True
    nameless = nameless and not lp.detecting
    looked_at = rules.looked_at
    return desk.connected and nameless and looked_at is not None and at - looked_at < DETECTS


def _edge(desk: Desk, lp: Loadpoint, rules: EvccRules, tells: bool) -> _Excuse:
    """What a car that came, went or became another one explains."""
    if not lp.connected:
        return _Excuse("edge", None, any_limit=True)
    # another car in its place: it was unplugged in between
    swapped = desk.connected and desk.vehicle is not None and desk.vehicle != lp.vehicle
    if not tells or (swapped and desk.returns_to is None):
        return _Excuse("edge", None)
    # a guest that evcc does not look for was taken for a car before: somebody has removed that
    cars = rules.car_modes if lp.vehicle is None and not lp.detecting else ()
    return _Excuse("edge", (rules.vehicle_mode, desk.returns_to if swapped else None, *cars))


def _set_back(
    held: Held,
    value: Setting,
    given: Setting,
    excuses: tuple[_Excuse, ...],
    looked_at: datetime | None,
) -> bool:
    """Whether a mode that looks unchanged was set again after a car had brought its own, `given`.

    By somebody else, that is: an order of ours was neither confirmed since nor is it under way.
    """
    if same(value, given) or held.order is not None or looked_at is None:
        return False
    if held.ours_at is not None and held.ours_at >= looked_at:
        return False
    return not any(one.rule == "restart" and one.explains("mode", held, value) for one in excuses)


def _read_one(
    held: Held,
    value: Setting,
    at: datetime,
    excuses: tuple[_Excuse, ...],
    setting: str,
    *,
    looked_at: datetime | None,
) -> tuple[Held, bool]:
    """The setting after a reading, and whether neither we nor evcc explain its value."""
    if same(value, held.present):
        return replace(held, seen=value), False
    # one that was asked for after another had come with our write confirmed was not under way
    asked_before = looked_at is None or held.ours_at is None or looked_at < held.ours_at
    if held.ours_at is not None and at <= held.ours_at + READ_LAG and asked_before:
        return held, False
    if held.order is not None and same(value, held.order.value) and at - held.order.at <= LANDS:
        # the answer was lost, the write was not
        landed = replace(held, seen=value, ours=value, ours_at=at, order=None, failed=False)
        return landed, False
    excuse = next((one for one in excuses if one.explains(setting, held, value)), None)
    return _judge(held, value, excuse, setting)


def _judge(held: Held, value: Setting, excuse: _Excuse | None, setting: str) -> tuple[Held, bool]:
    """The setting with a value that is not ours, and whether evcc's rules leave it unexplained."""
    if excuse is not None and excuse.rule == "edge":
        return Held(seen=value, ours_at=held.ours_at, confirmed_id=held.confirmed_id), False
    gone = replace(held, seen=value, ours=None, order=None, failed=False, failures=0)
    if excuse is None:
        return replace(gone, was=None), True
    recalled = excuse.recalls(held, value)
    if held.user is None and held.was is not None and same(value, held.was) and recalled:
        # what we gave back was lost in the crash: it is to be given back again
        return replace(gone, ours=value, user=held.present), False
    said = setting == "mode" and value == "off" and excuse.off_is_said and not recalled
    return gone, said


def _judge_mode(
    desk: Desk,
    held: Held,
    mode: ChargeMode,
    at: datetime,
    *,
    by_human: bool,
    stood: Setting | None,
) -> Desk:
    """Who the mode now belongs to. Setting it back to what it was ends a human's override.

    `stood`: what it was, where no reading has shown that.
    """
    human = desk.human
    if by_human:
        first = human.before if human else stood or desk.mode.present
        back = human is not None and same(mode.value, first)
        human = None if back else Human(mode, first, at)
    elif human is not None and not same(held.present, human.mode.value):
        human = None
    return replace(desk, mode=held, human=human)


def with_need(desk: Desk, need: bool | None) -> Desk:
    """End a human's override when its car has got what it needed; `need` None: unknown."""
    human = desk.human
    if human is None or need is None:
        return desk
    if need:
        return desk if human.needed else replace(desk, human=replace(human, needed=True))
    if not human.needed or human.mode is ChargeMode.OFF:
        return desk
    user = human.before if desk.mode.user is None else desk.mode.user
    return replace(desk, human=None, mode=replace(desk.mode, user=user))
