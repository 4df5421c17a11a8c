"""What is known of each car, and how it changes: pure, the vehicle monitor's own.

The newest measurement wins, whatever its source (INV-63, INV-64, INV-68). evcc gives no time with
its SoC and may show an old one (evcc-api.md §10, 14), so its number counts as measured at a reading
only when it moved, when the car charges (evcc interpolates then), or at the first reading with a
SoC after plugging in (evcc has just asked the car). Otherwise it keeps the time it had.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from engine.messages import CarAnswered
from engine.settings import CarSettings, Settings
from engine.values import Loadpoint, Site, SocSource, Utc, Value, Vehicle

STALE_AFTER = timedelta(hours=12)
BACKOFF_H = (2, 4, 8, 16, 24)
"""Hours to wait after the first, second … silence in a row."""
MANUAL_EVERY_MIN = 5.0
"""An owner's entry is a local file: it is looked for this often, and silence is no offence."""
PATIENCE = timedelta(minutes=5)
"""A poll without any answer counts as silence after this."""
PLUG_AGAIN = timedelta(seconds=30)
"""A loose plug does not make a cloud be polled more often than this."""
SAME_AGE = timedelta(seconds=60)
"""A measurement time that moved by less, with nothing else new, is not worth saying."""


class Record(Value, frozen=True):
    """One car. `vehicle` is what is known, `said` what the others were told."""

    vehicle: Vehicle
    source: SocSource = SocSource.EVCC
    poll_interval_min: float = 60.0
    said: Vehicle | None = None
    plugged_at: Utc | None = None
    left_at: Utc | None = None
    """When it was last unplugged."""
    evcc_reports: bool = False
    """Whether evcc shows a SoC at the wallbox now."""
    evcc_soc_pct: float | None = None
    """evcc's last number since the car was plugged in."""
    asked_at: Utc | None = None
    """A poll that is not answered yet."""
    refresh: bool = False
    """Plugged in and not asked since."""
    silences: int = 0

    @property
    def pollable(self) -> bool:
        """Whether somebody else than evcc can be asked."""
        return self.source is not SocSource.EVCC

    def is_called(self, name: str | None) -> bool:
        """Upper and lower case are equal (INV-78)."""
        return self.vehicle.name.casefold() == (name or "").casefold()


Records: TypeAlias = tuple[Record, ...]


def changed(records: Records, name: str | None, change: Callable[[Record], Record]) -> Records:
    """The records with `change` applied to the car of that name, if there is one."""
    return tuple(change(record) if record.is_called(name) else record for record in records)


def _with(record: Record, **changes: Any) -> Record:
    """The record with changes to its vehicle; itself when they change nothing."""
    vehicle = msgspec.structs.replace(record.vehicle, **changes)
    return record if vehicle == record.vehicle else msgspec.structs.replace(record, vehicle=vehicle)


# --- who there is ---------------------------------------------------------------------------------


def _car(settings: Settings, name: str) -> CarSettings | None:
    folded = name.casefold()
    return next((car for car in settings.cars if car.name.casefold() == folded), None)


def configured(records: Records, settings: Settings) -> Records:
    """The records after a configuration: its cars exist before anything is polled (INV-84).

    Disabled cars vanish (INV-85); what is known of the others survives (INV-63).
    """
    kept = []
    for record in records:
        car = _car(settings, record.vehicle.name)
        if car is None:
            kept.append(
                msgspec.structs.replace(record, source=SocSource.EVCC, asked_at=None, refresh=False)
            )
        elif not car.disabled:
            kept.append(_described(record, car))
    for car in settings.cars:
        if not car.disabled and not any(record.is_called(car.name) for record in kept):
            kept.append(_described(Record(Vehicle(car.name, car.name, None)), car))
    return tuple(kept)


def _described(record: Record, car: CarSettings) -> Record:
    vehicle = record.vehicle
    described = msgspec.structs.replace(
        record, source=SocSource(car.source), poll_interval_min=car.poll_interval_min
    )
    return _with(
        described,
        title=car.title or vehicle.title,
        capacity_kwh=vehicle.capacity_kwh if car.capacity_kwh is None else car.capacity_kwh,
    )


def registered(records: Records, site: Site, settings: Settings) -> Records:
    """The records with evcc's cars: its spelling of the name; title and capacity as defaults.

    A car that evcc no longer names is kept: after a restart its state is incomplete for a while.
    """
    merged = {record.vehicle.name.casefold(): record for record in records}
    for known in site.vehicles:
        car = _car(settings, known.name)
        if car is not None and car.disabled:
            continue
        key = known.name.casefold()
        record = merged.get(key) or Record(Vehicle(known.name, known.name, None))
        capacity_kwh = known.capacity_kwh or record.vehicle.capacity_kwh
        record = _with(
            record, name=known.name, title=known.title or known.name, capacity_kwh=capacity_kwh
        )
        merged[key] = record if car is None else _described(record, car)
    return tuple(merged.values())


# --- where it is, and what evcc says of it --------------------------------------------------------


def _place(site: Site, record: Record) -> Loadpoint | None:
    """The wallbox at which the car is plugged in."""
    for loadpoint in site.loadpoints:
        if loadpoint.charger and loadpoint.connected and record.is_called(loadpoint.vehicle):
            return loadpoint
    return None


def _away(record: Record, at: datetime) -> Record:
    if record.vehicle.loadpoint is None and record.plugged_at is None:
        return record
    gone = msgspec.structs.replace(
        record,
        plugged_at=None,
        left_at=at,
        evcc_reports=False,
        evcc_soc_pct=None,
        refresh=False,
    )
    return _with(gone, loadpoint=None)


def _arrived(record: Record, loadpoint: str, at: datetime) -> Record:
    if record.vehicle.loadpoint == loadpoint and record.plugged_at is not None:
        return record
    here = msgspec.structs.replace(record, plugged_at=at, evcc_reports=False, evcc_soc_pct=None)
    return _with(here, loadpoint=loadpoint)


def seen(record: Record, site: Site, at: datetime) -> Record:
    """The record after a reading of evcc at `at`."""
    place = _place(site, record)
    if place is None:
        return _away(record, at)
    record = _arrived(record, place.name, at)
    soc_pct = place.vehicle_soc_pct
    reports = soc_pct is not None and 0 < soc_pct <= 100  # evcc's 0 is unknown (INV-80)
    if reports != record.evcc_reports:
        record = msgspec.structs.replace(record, evcc_reports=reports)
    if soc_pct is None or not reports or (soc_pct == record.evcc_soc_pct and not place.charging):
        return record
    record = msgspec.structs.replace(record, evcc_soc_pct=soc_pct)
    return _measured(record, soc_pct, at, SocSource.EVCC)


def plugged(record: Record, loadpoint: str, at: datetime) -> Record:
    """The record after the car appeared at a wallbox: to be refreshed, if it can be asked."""
    return msgspec.structs.replace(_arrived(record, loadpoint, at), refresh=record.pollable)


def unplugged(record: Record, loadpoint: str, at: datetime) -> Record:
    """The record after that wallbox became free."""
    return _away(record, at) if record.vehicle.loadpoint == loadpoint else record


# --- what others say of it ------------------------------------------------------------------------


def _measured(
    record: Record,
    soc_pct: float,
    measured_at: datetime,
    source: SocSource,
    range_km: float | None = None,
) -> Record:
    """The record with that measurement, unless it holds a newer one; evcc's wins a tie."""
    old = record.vehicle
    if old.measured_at is not None and (
        measured_at < old.measured_at
        or (
            measured_at == old.measured_at
            and old.source is SocSource.EVCC
            and source is not SocSource.EVCC
        )
    ):
        return record
    return _with(
        record,
        soc_pct=round(soc_pct, 6),
        measured_at=measured_at,
        source=source,
        range_km=range_km,
    )


def answered(record: Record, answer: CarAnswered) -> Record:
    """The record after an answer; the vendor's time counts (INV-64), but no time in the future."""
    if not 0 <= answer.soc_pct <= 100:  # not a number either
        return silent(record)
    heard = msgspec.structs.replace(record, asked_at=None, refresh=False, silences=0)
    source = record.source if record.pollable else SocSource.HTTP
    return _measured(
        _with(heard, answered_at=answer.at),
        answer.soc_pct,
        min(answer.measured_at, answer.at),
        source,
        answer.range_km,
    )


def silent(record: Record) -> Record:
    """The record after a poll that brought nothing; what was known stays."""
    if record.asked_at is None:
        return record
    return msgspec.structs.replace(record, asked_at=None, silences=record.silences + 1)


# --- when to ask, what to say ---------------------------------------------------------------------


def given_up(record: Record, at: datetime) -> Record:
    """The record when nobody answers at all any more."""
    asked_at = record.asked_at
    return record if asked_at is None or at - asked_at < PATIENCE else silent(record)


def wait_min(record: Record) -> float:
    """Minutes from one poll to the next: the car's interval, longer after silences (capped)."""
    if record.source is SocSource.MANUAL:
        return min(record.poll_interval_min, MANUAL_EVERY_MIN)
    if record.silences == 0:
        return record.poll_interval_min
    backoff_h = BACKOFF_H[min(record.silences, len(BACKOFF_H)) - 1]
    return max(record.poll_interval_min, backoff_h * 60.0)


def poll_due(record: Record, at: datetime) -> bool:
    """Whether the car is to be asked now.

    After plugging in at once, backoff or not (INV-83); otherwise by its interval, and not while
    evcc reports its SoC at the wallbox.
    """
    if not record.pollable or record.asked_at is not None:
        return False
    polled_at = record.vehicle.polled_at
    if record.refresh:
        return polled_at is None or abs(at - polled_at) >= PLUG_AGAIN
    if record.evcc_reports:
        return False
    return polled_at is None or at - polled_at >= timedelta(minutes=wait_min(record))


def asked(record: Record, at: datetime) -> Record:
    """The record after it was asked for (INV-81: the attempt has a time of its own)."""
    return _with(msgspec.structs.replace(record, asked_at=at, refresh=False), polled_at=at)


def is_stale(record: Record, at: datetime) -> bool:
    """The one rule of age (INV-66): no SoC, or measured more than 12 h ago.

    A car at a wallbox without SoC yet is not stale (INV-65); nor is one that was measured since it
    was plugged in, because it has not been driven since. One that left and came back after its
    measurement is: it has been driven.
    """
    vehicle = record.vehicle
    if vehicle.soc_pct is None or vehicle.measured_at is None:
        return vehicle.loadpoint is None
    if record.plugged_at is not None:
        if vehicle.measured_at >= record.plugged_at:
            return False
        if record.left_at is not None and vehicle.measured_at <= record.left_at:
            return True
    return at - vehicle.measured_at > STALE_AFTER


def judged(record: Record, at: datetime) -> Record:
    """The record with its age judged at `at`."""
    stale = is_stale(record, at)
    return record if stale == record.vehicle.stale else _with(record, stale=stale)


def worth_saying(record: Record) -> bool:
    """Something is new; a charging car's measurement time alone is said once a minute."""
    new, said = record.vehicle, record.said
    if said is None:
        return True
    if new == said:
        return False
    if new.measured_at is None or said.measured_at is None:
        return True
    if abs(new.measured_at - said.measured_at) >= SAME_AGE:
        return True
    return new != msgspec.structs.replace(said, measured_at=new.measured_at)


def told(record: Record) -> Record:
    """The record after the others were told."""
    return msgspec.structs.replace(record, said=record.vehicle)
