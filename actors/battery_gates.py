"""Why a battery that the plan lets serve is held all the same, or may not buy: by what is measured.

A plan knows means of a quarter hour; what a reserve and its owner's word say holds at each moment.
"""

from actors.situation import Situation
from engine.settings import BatterySettings
from engine.values import ChargeMode, Loadpoint, Site, Why

NOISE_W = 50.0
"""Less is no load that the battery would serve."""
DRAWING = (ChargeMode.NOW, ChargeMode.MINPV)


def held_back(view: Situation) -> Why | None:
    """Why it may not serve now: at its outage reserve, or it would feed a car it should not."""
    own, site = view.settings.battery, view.site
    if own is None or site is None or site.battery is None or not _would_give(site):
        return None
    soc_pct, floor_pct = site.battery.soc_pct, own.floor_soc_pct
    if floor_pct > own.min_soc_pct and soc_pct is not None and soc_pct <= floor_pct:
        return Why("battery_reserve", (("reserve_pct", floor_pct),))
    if own.feeds_cars == "never" and any(_draws(one) for one in site.loadpoints):
        return Why("battery_not_for_cars")
    return None


def too_dear(own: BatterySettings | None, price_eur_kwh: float) -> Why | None:
    """Why nothing is bought for it at this price: it is above its ceiling (INV-24)."""
    ceiling = own.max_price_eur_kwh if own is not None else None
    if ceiling is None or price_eur_kwh <= ceiling:
        return None
    return Why("battery_too_dear", (("price_eur_kwh", price_eur_kwh), ("ceiling_eur_kwh", ceiling)))


def _would_give(site: Site) -> bool:
    """Whether house and cars lack power: it gives some now, or the grid does in its place."""
    given_w = -(site.battery.charge_w or 0.0) if site.battery else 0.0
    return given_w > NOISE_W or (site.grid_import_w or 0.0) > NOISE_W


def _draws(lp: Loadpoint) -> bool:
    """Whether a car draws what it is told to, whatever the sun gives."""
    told = lp.plan_active or lp.min_soc_not_reached or lp.smart_cost_active
    return lp.charging and lp.charger and (lp.mode in DRAWING or told)
