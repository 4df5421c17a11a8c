"""Every write that SmartLoad makes to evcc: paths, values, and what counts as an echo.

Pure. Source: evcc-api.md §3.1 (loadpoints), §4 (battery mode), §6 (login). Loadpoints are addressed
by their 1-based place in the newest reading (INV-39, INV-60).
"""

import math
from urllib.parse import quote

from engine.evcc_fields import EvccUnreadable, decoded, number, unwrapped
from engine.messages import Order
from engine.transport import Answer
from engine.values import BatteryMode, ChargeMode, Site, find

MODE_PATH = "/api/loadpoints/{id}/mode/{mode}"
LIMIT_SOC_PATH = "/api/loadpoints/{id}/limitsoc/{int}"
LIMIT_ENERGY_PATH = "/api/loadpoints/{id}/limitenergy/{n}"
BATTERY_PATH = "/api/batterymode/{mode}"
RELEASE_PATH = "/api/batterymode"
LOGIN_PATH = "/api/auth/login"
PLAN_SOC_PATH = "/api/vehicles/{name}/plan/soc/{int}/{time}"
PLAN_ENERGY_PATH = "/api/loadpoints/{id}/plan/energy/{n}/{time}"
NO_PLAN_SOC_PATH = "/api/vehicles/{name}/plan/soc"
NO_PLAN_ENERGY_PATH = "/api/loadpoints/{id}/plan/energy"
PLANS = ("plan_soc", "plan_energy")
"""evcc's own plans: set by the will alone; an order of value 0 deletes one."""

WRITES: tuple[tuple[str, str], ...] = (
    ("POST", MODE_PATH),
    ("POST", LIMIT_SOC_PATH),
    ("POST", LIMIT_ENERGY_PATH),
    ("POST", BATTERY_PATH),
    ("DELETE", RELEASE_PATH),
    ("POST", LOGIN_PATH),
    ("POST", PLAN_SOC_PATH),
    ("POST", PLAN_ENERGY_PATH),
    ("DELETE", NO_PLAN_SOC_PATH),
    ("DELETE", NO_PLAN_ENERGY_PATH),
)
"""All of them; nothing else is ever sent with another verb than GET (INV-51)."""

BATTERY_ECHO = {
    BatteryMode.UNKNOWN: 0,
    BatteryMode.NORMAL: 1,
    BatteryMode.HOLD: 2,
    BatteryMode.CHARGE: 3,
    BatteryMode.HOLDCHARGE: 4,
}
"""evcc answers a battery mode with the integer of its enum (§4)."""


class OrderError(ValueError):
    """An order that cannot be sent: unknown loadpoint, setting or value. Says which."""


def verb_of(order: Order) -> str:
    """How the path of `order` is asked for."""
    return "DELETE" if order.setting in PLANS else "POST"


def path_for(order: Order, site: Site) -> str:
    """The path for `order`, its loadpoint resolved in `site`. Raises OrderError."""
    loadpoint = find(site.loadpoints, order.loadpoint)
    if loadpoint is None:
        raise OrderError(f"evcc has no loadpoint {order.loadpoint!r}")
    if not loadpoint.charger:
        raise OrderError(f"{order.loadpoint!r} is no charger for cars")
    match order.setting:
        case "mode":
            if order.value not in tuple(ChargeMode):
                raise OrderError(f"unknown mode {order.value!r}")
            return MODE_PATH.format(id=loadpoint.id, mode=str(order.value))
        case "limit_soc":
            soc_pct = _quantity(order)
            if soc_pct > 100:
                raise OrderError(f"limit_soc {order.value!r} is above 100")
            return LIMIT_SOC_PATH.format(id=loadpoint.id, int=round(soc_pct))
        case "limit_energy":
            return LIMIT_ENERGY_PATH.format(id=loadpoint.id, n=decimal(_quantity(order)))
        case "plan_soc" | "plan_energy" if _quantity(order) != 0:
            raise OrderError(f"{order.setting} {order.value!r}: plans are only deleted")
        case "plan_soc":
            vehicle = find(site.vehicles, order.vehicle)
            if vehicle is None:
                raise OrderError(f"evcc has no vehicle {order.vehicle!r}")
            return NO_PLAN_SOC_PATH.format(name=quote(vehicle.name, safe=""))
        case "plan_energy":
            return NO_PLAN_ENERGY_PATH.format(id=loadpoint.id)
        case _:
            raise OrderError(f"unknown setting {order.setting!r}")


def _quantity(order: Order) -> float:
    value = number(order.value)
    if value is None or value < 0:
        raise OrderError(f"{order.setting} {order.value!r} is no quantity")
    return value


def decimal(value: float) -> str:
    """Without exponent and trailing zeros, to the thousandth: evcc's routes know no `1e3`."""
    written = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if written in ("-0", "") else written


def echo_of(answer: Answer) -> object:
    """The value now in force, as evcc answered it; None when there is none."""
    try:
        echo: object = unwrapped(decoded(answer.body))
    except EvccUnreadable:
        return None
    return echo


def echo_matches(order: Order, answer: Answer) -> bool:
    """Whether evcc says that what was asked is now in force."""
    if answer.status != 200:
        return False
    if order.setting in PLANS:
        return True  # it echoes nothing; the next reading tells
    echo = echo_of(answer)
    if order.setting == "mode":
        # later versions read `smart` back for `pv` and `minpv` (§12)
        return echo == order.value or (echo == "smart" and order.value in ("pv", "minpv"))
    asked, now = number(order.value), number(echo)
    if asked is None or now is None:
        return False
    if order.setting == "limit_soc":
        asked = round(asked)
    return math.isclose(asked, now, abs_tol=0.001)


def battery_path(mode: BatteryMode) -> str:
    """The path to POST for an external battery mode."""
    return BATTERY_PATH.format(mode=mode.value)


def battery_echo_matches(mode: BatteryMode, answer: Answer) -> bool:
    """Whether evcc took the mode: without a controllable battery it answers 200 with 0."""
    return answer.status == 200 and number(echo_of(answer)) == BATTERY_ECHO[mode]
