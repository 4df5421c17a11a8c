"""All that the actuator remembers."""

from actors.fuse import Fuse
from actors.left_plans import LeftPlan
from actors.orders import Desk
from actors.proof import Proofs
from actors.script import Script
from engine.estate import Bequest
from engine.messages import EstateRead
from engine.settings import Settings
from engine.values import (
    BatteryMode,
    Control,
    FailedMeter,
    Ownership,
    Series,
    Site,
    Turn,
    Utc,
    Value,
    Why,
)


class ActuatorMemory(Value, frozen=True):
    """All that the actuator knows. `stands` is the battery mode last said, None: released.

    `battery_out`: its release was not confirmed yet. `estate` waits for the first reading;
    `settled`: one was heard in this life. `back_at`: since then a plan is expected, after a restart
    of evcc or of ours; until it is there what goes on is not interrupted.
    """

    settings: Settings = Settings()
    now: Utc | None = None
    tick_at: Utc | None = None
    waits: bool = False
    """Whether nothing is written to a loadpoint before this tick's reading is heard."""
    site: Site | None = None
    measured_at: Utc | None = None
    silent: bool = False
    connection: int = 0
    """Over which connection to evcc the newest reading came."""
    restarted_at: Utc | None = None
    recalls_from: Utc | None = None
    """How old a setting may be with which evcc came back then."""
    back_at: Utc | None = None
    script: Script | None = None
    turns: tuple[Turn, ...] = ()
    import_eur_kwh: Series | None = None
    grid_failed: bool = False
    desks: tuple[Desk, ...] = ()
    next_order: int = 1
    stands: BatteryMode | None = None
    battery_out: bool = False
    battery_refused: Why | None = None
    will: tuple[Bequest, ...] = ()
    estate: EstateRead | None = None
    left_plans: tuple[LeftPlan, ...] = ()
    """evcc's own plans that a will of ours has set."""
    settled: bool = False
    failed_meters: tuple[FailedMeter, ...] = ()
    in_force: BatteryMode | None = None
    """The external battery mode that evcc has confirmed."""
    proofs: Proofs = Proofs()
    fuse: Fuse = Fuse()
    stopped: Why | None = None
    told: Control | None = None
    in_control: tuple[Ownership, ...] = ()
