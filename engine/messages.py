"""Everything that can be said. Facts are in the past tense; the few requests are plain.

Every message is frozen to the bottom and carries `at` (aware UTC). Who says and who hears what is
in the headers of the actors and ports; `docs/architecture.md` has the table, kept true by a test.
"""

from typing import ClassVar

import msgspec

from engine.estate import Bequest, Written
from engine.settings import Settings
from engine.values import (
    BatteryMode,
    Control,
    HomeState,
    Ownership,
    Plan,
    Quantiles,
    Series,
    Site,
    Tariff,
    Turn,
    Utc,
    Vehicle,
    Why,
)
from engine.waiting import Waiting


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type", gc=False):
    """Base of all messages. `newest_wins`: a waiting one of its type is replaced, live."""

    newest_wins: ClassVar[bool] = False
    at: Utc


# --- the house: clock, configuration, life and death ---------------------------------------------


class ConfigRead(Message, frozen=True):
    """The first message of all. Holds no secrets."""

    settings: Settings


class Tick(Message, frozen=True):
    """Time, as far as actors know it: every 10 s live, 30 s to a slot in simulation."""

    newest_wins: ClassVar[bool] = True


class StopAsked(Message, frozen=True):
    """The controller is about to stop in order: give everything back."""


class ActorFailed(Message, frozen=True):
    """A handler raised. The actor lives on with the memory that it had before."""

    actor: str
    heard: str
    error: str


class HandsOff(Message, frozen=True):
    """Something failed for good: nothing more is decided, the home goes back to evcc."""

    why: Why


# --- sense: evcc, cars ---------------------------------------------------------------------------


class EvccReadDue(Message, frozen=True):
    """Asks the evcc port to read the state, and the tariffs named (`grid feedin solar`)."""

    newest_wins: ClassVar[bool] = True
    tariffs: tuple[str, ...] = ()


class EvccRead(Message, frozen=True):
    """evcc answered. `tariffs` holds those asked for, failed ones with `rates` None.

    `connection`: over which one, counted. An end of evcc's process closes it.
    """

    site: Site
    tariffs: tuple[Tariff, ...] = ()
    connection: int = 0


class EvccSilent(Message, frozen=True):
    """evcc could not be read: refused, timed out, not ready, empty or unreadable answer."""

    reason: str


class EvccNudged(Message, frozen=True):
    """evcc pushed a change worth reading at once (plug, mode, limit, vehicle), with its key."""

    newest_wins: ClassVar[bool] = True
    key: str


class SiteMeasured(Message, frozen=True):
    """A reading of the home, checked by the collector; over which connection to evcc, counted."""

    site: Site
    connection: int = 0


class EvccLost(Message, frozen=True):
    """evcc is unreachable since `since` (said on each failed read)."""

    since: Utc
    reason: str


class RatesChanged(Message, frozen=True):
    """Prices and sun on the slot grid, said when anything in them changed.

    Missing entries are gaps (None). A tariff that evcc fails to give keeps what it published for
    slots that were known; what was never known stays unknown.
    """

    revision: int
    import_eur_kwh: Series
    export_eur_kwh: Series
    solar_w: Series
    grid_failed_since: Utc | None = None


class VehiclePlugged(Message, frozen=True):
    """A car appeared at a loadpoint (`connected` false to true, or another car)."""

    loadpoint: str
    vehicle: str | None


class VehicleUnplugged(Message, frozen=True):
    """A loadpoint became free."""

    loadpoint: str
    vehicle: str | None


class CarPollDue(Message, frozen=True):
    """Asks this car's port for its SoC."""

    vehicle: str


class CarAnswered(Message, frozen=True):
    """A car's cloud (or its owner) answered; `measured_at` is the vendor's time (INV-64)."""

    vehicle: str
    soc_pct: float
    measured_at: Utc
    range_km: float | None = None


class CarSilent(Message, frozen=True):
    """A car's cloud did not answer."""

    vehicle: str
    reason: str


class VehicleMeasured(Message, frozen=True):
    """The newest knowledge of one car, merged from all sources."""

    vehicle: Vehicle


class VehiclesChecked(Message, frozen=True):
    """The vehicle monitor has handled the reading of `at`: what it knows of it has been said.

    Until then the state store holds a reading back, so that thinkers never see a new reading with
    old cars, whatever the order in which threads run.
    """


# --- remember ------------------------------------------------------------------------------------


class StateChanged(Message, frozen=True):
    """The newest state of the home; its revision only grows."""

    newest_wins: ClassVar[bool] = True
    state: HomeState


# --- think ---------------------------------------------------------------------------------------


class Forecasted(Message, frozen=True):
    """House load (without cars) and PV for the slots ahead, said once per slot.

    `load_days` counts covered days (INV-33); `pv_ratio` is the learned measured-to-forecast ratio;
    `pv_known` is False when evcc has no solar forecast (INV-25). `rates_revision` names the
    `RatesChanged` whose sun it knows.
    """

    load: Quantiles
    pv: Quantiles
    load_days: float
    pv_ratio: float
    pv_known: bool
    rates_revision: int = 0


class TurnsGiven(Message, frozen=True):
    """Whose turn it is at each charging loadpoint; said once per slot and on every change.

    `waiting`: who is plugged in nowhere and could have a turn, the most urgent first.
    """

    turns: tuple[Turn, ...]
    waiting: tuple[Waiting, ...] = ()


class TurnsChecked(Message, frozen=True):
    """The sequencer has handled the reading of `at`: the newest `TurnsGiven` holds for it."""


class DriverAsked(Message, frozen=True):
    """People are asked to do something (swap cars at `loadpoint` for `vehicle`)."""

    loadpoint: str
    vehicle: str
    why: Why


class PlanMade(Message, frozen=True):
    """A new plan; `news` says why it was made."""

    plan: Plan
    news: Why


class CorrectionAdvised(Message, frozen=True):
    """What is added to the plan's value of stored energy when `slot` is decided (design §8).

    Said from the agent's chair; (0, 0) is the plan, exactly (INV-129).
    """

    slot: Utc
    battery_eur_kwh: float
    car_eur_kwh: float


# --- act -----------------------------------------------------------------------------------------


class Order(Message, frozen=True):
    """A write to one loadpoint of evcc: `setting` is `mode`, `limit_soc` or `limit_energy`.

    `value` is the mode's name, percent or kWh. The only way in which anything but the battery
    mode is written. Of `plan_soc` (of `vehicle`) and `plan_energy` the value is 0: evcc's own plan,
    which our will has set, is deleted.
    """

    order_id: int
    loadpoint: str
    setting: str
    value: str | float
    why: Why
    until: Utc | None = None
    plan_revision: int = 0
    vehicle: str = ""


class OrderConfirmed(Message, frozen=True):
    """evcc answered 200 with the value now in force."""

    order: Order


class OrderFailed(Message, frozen=True):
    """evcc refused, failed or did not answer."""

    order: Order
    reason: str


class BatteryModeStands(Message, frozen=True):
    """Said at each Tick: the external battery mode that is to stand; None: released to evcc.

    The port posts it when new, renews it every 20 s, and lets it go when it is no longer heard.
    """

    newest_wins: ClassVar[bool] = True
    mode: BatteryMode | None
    why: Why
    until: Utc | None = None
    plan_revision: int = 0


class BatteryModeConfirmed(Message, frozen=True):
    """evcc answered as asked; None: released. Said when the mode in force changed."""

    mode: BatteryMode | None


class BatteryModeFailed(Message, frozen=True):
    """evcc did not take the battery mode."""

    mode: BatteryMode | None
    reason: str


class OwnershipChanged(Message, frozen=True):
    """Who controls which setting, since when, until when and why."""

    control: Control
    in_control: tuple[Ownership, ...]


class WillMade(Message, frozen=True):
    """What is to be given back when we are gone. Said before the order that makes it necessary."""

    bequests: tuple[Bequest, ...]


class EstateRead(Message, frozen=True):
    """What the ledger holds, said at a start and after a silence of ours (SIGSTOP, sleep).

    `carried_out_at`: the will was carried out meanwhile; nothing of ours stands then but `plans`,
    evcc's own plans that a will has set.
    """

    written: tuple[Written, ...] = ()
    bequests: tuple[Bequest, ...] = ()
    carried_out_at: Utc | None = None
    plans: tuple[Bequest, ...] = ()


# --- evcc's optimizer protocol -------------------------------------------------------------------


class OptimizationAsked(Message, frozen=True):
    """Someone asked by evcc's optimizer protocol: the body as it came, and nothing of its headers.

    `id` tells the answers to several apart.
    """

    id: int
    body: str


class OptimizationAnswered(Message, frozen=True):
    """The answer to that id, in JSON. `outcome` is `answered`, `refused` or `failed`."""

    id: int
    outcome: str
    body: str


MESSAGES: tuple[type[Message], ...] = tuple(Message.__subclasses__())
