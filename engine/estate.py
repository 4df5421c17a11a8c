"""What stands of ours in evcc, and what is to be given back when we are gone (design §7)."""

from engine.values import Utc, Value, Why


class Bequest(Value, frozen=True):
    """One line of the will, in the order in which it is carried out.

    `setting` is `battery_mode` (release it), `mode`, `limit_soc` (percent) or `limit_energy` (kWh)
    of a loadpoint, `plan_soc` (percent) of a vehicle or `plan_energy` (kWh) of a loadpoint for
    `due`: evcc's own plans, where a departure of ours is ahead.
    """

    setting: str
    why: Why
    loadpoint: str = ""
    vehicle: str = ""
    value: str | float = ""
    due: Utc | None = None


class Written(Value, frozen=True):
    """What was last sent to one setting: `battery_mode` (value "" is released), or a loadpoint's.

    Not `confirmed`: evcc refused, or its answer never came.
    """

    setting: str
    value: str | float
    at: Utc
    loadpoint: str = ""
    confirmed: bool = False
