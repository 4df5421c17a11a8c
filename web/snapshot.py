"""What the window knows: one immutable value, folded from the messages that it hears."""

from datetime import datetime

from engine.estate import Bequest
from engine.messages import (
    ActorFailed,
    BatteryModeConfirmed,
    BatteryModeFailed,
    ConfigRead,
    DriverAsked,
    EvccRead,
    EvccSilent,
    Forecasted,
    HandsOff,
    Message,
    OrderConfirmed,
    OrderFailed,
    PlanMade,
    RatesChanged,
    WillMade,
)
from engine.settings import Settings
from engine.values import HomeState, Utc, Value, Why

WRITES_MAX = 50
FAILURES_MAX = 20
ASKED_MAX = 20


class Write(Value, frozen=True):
    """One write to evcc and what became of it. `loadpoint` None: the battery mode."""

    at: Utc
    setting: str
    loadpoint: str | None
    value: str | float | None
    confirmed: bool
    reason: str = ""
    why: Why | None = None
    until: Utc | None = None


class Snapshot(Value, frozen=True):
    """Everything that a request or a stream needs, of one moment (INV-108).

    `rates` and `plan` are those that `state` names by revision, or None. `version` grows by one
    with each change.
    """

    version: int = 0
    settings: Settings | None = None
    state: HomeState | None = None
    rates: RatesChanged | None = None
    forecast: Forecasted | None = None
    plan: PlanMade | None = None
    asked: tuple[DriverAsked, ...] = ()
    writes: tuple[Write, ...] = ()
    will: tuple[Bequest, ...] = ()
    failures: tuple[ActorFailed, ...] = ()
    hands_off: HandsOff | None = None
    evcc_read_at: Utc | None = None
    evcc_silent: EvccSilent | None = None

    @property
    def zone(self) -> str:
        """The home's IANA time zone."""
        return self.settings.site.zone if self.settings else "Europe/Berlin"

    @property
    def last_write_at(self) -> datetime | None:
        """When evcc last confirmed a write."""
        return next((write.at for write in reversed(self.writes) if write.confirmed), None)


def write_of(message: Message) -> Write | None:
    """The write that `message` reports, or None."""
    match message:
        case OrderConfirmed(at=at, order=order):
            confirmed, reason = True, ""
        case OrderFailed(at=at, order=order, reason=reason):
            confirmed = False
        case BatteryModeConfirmed(at=at, mode=mode):
            return Write(at, "battery_mode", None, mode, True)
        case BatteryModeFailed(at=at, mode=mode, reason=reason):
            return Write(at, "battery_mode", None, mode, False, reason)
        case _:
            return None
    return Write(
        at,
        order.setting,
        order.loadpoint,
        order.value,
        confirmed,
        reason,
        order.why,
        order.until,
    )


def folded(snapshot: Snapshot, message: Message) -> dict[str, object]:
    """The fields of `snapshot` that `message` changes; states, rates and plans are the feed's."""
    write = write_of(message)
    if write is not None:
        return {"writes": (*snapshot.writes, write)[-WRITES_MAX:]}
    changes: dict[str, object] = {}
    match message:
        case ConfigRead(settings=settings):
            changes["settings"] = settings
        case Forecasted():
            changes["forecast"] = message
        case DriverAsked(loadpoint=loadpoint):
            others = [asked for asked in snapshot.asked if asked.loadpoint != loadpoint]
            changes["asked"] = (*others, message)[-ASKED_MAX:]
        case ActorFailed():
            changes["failures"] = (*snapshot.failures, message)[-FAILURES_MAX:]
        case WillMade(bequests=bequests):
            changes["will"] = bequests
        case HandsOff():
            changes["hands_off"] = message
        case EvccRead(at=at):
            changes |= {"evcc_read_at": at, "evcc_silent": None}
        case EvccSilent():
            changes["evcc_silent"] = message
        case _:
            pass
    return changes
