"""What contradicts a mode: one reading of powers held against what evcc was told (design §7).

Pure, and without memory: `actors/proof.py` counts for how long. Powers in W, SoC in percent;
unknown is None, and no evidence. Sources: evcc-api.md §4, evcc-regulator.md §6, §12, §14.
"""

from engine.settings import BatterySettings, Settings
from engine.values import Battery, BatteryMode, ChargeMode, Loadpoint, Site, find

NOISE_W = 150.0
NOISE_SHARE = 0.05
IDLE_IMPORT_W = 500.0
"""A battery that gives nothing while the house without its cars draws this much serves nobody."""
NEAR_MAX_PCT = 1.0
NEAR_FLOOR_PCT = 5.0
CAR_MOVES_W = 100.0
MAYBE_FULL_KWH = 0.5
FULL_PCT = 99.5
ROUNDED_PCT = 0.5
"""evcc shows a SoC that it has rounded."""
CHARGING = (ChargeMode.NOW, ChargeMode.MINPV)
SET_MODES = (BatteryMode.HOLD, BatteryMode.CHARGE, BatteryMode.HOLDCHARGE)


# --- the battery ----------------------------------------------------------------------------------


def battery_contradicts(
    mode: BatteryMode | None, site: Site, settings: Settings, full_pct: float | None
) -> bool | None:
    """Whether the battery's power contradicts this external mode (None: released).

    `full_pct`: where it was seen to stop charging. None: the reading does not tell.
    """
    battery = site.battery
    if battery is None or battery.charge_w is None:
        return None
    match mode:
        case BatteryMode.CHARGE:
            # a dim signal makes evcc hold it
            return None if site.dimmed else _does_not_charge(settings, battery, full_pct)
        case BatteryMode.HOLD:
            return battery.charge_w < -_noise_w(settings) or _buys(site, settings, battery)
        case BatteryMode.HOLDCHARGE:
            return charges(settings, battery) and not _at_floor(settings, battery)
        case _ if mode is None and battery.mode in SET_MODES:
            return None  # evcc's own wish
        case _:
            return _buys(site, settings, battery) or _idles(site, settings, battery)


def charges(settings: Settings, battery: Battery) -> bool:
    """Whether the battery takes more than noise."""
    return battery.charge_w is not None and battery.charge_w > _noise_w(settings)


def at_maximum(settings: Settings, battery: Battery, full_pct: float | None = None) -> bool:
    """Whether it is as full as it gets, by the settings or by what was seen."""
    soc_pct = battery.soc_pct or 0.0
    most_pct = _told(settings).max_soc_pct
    if full_pct is not None:
        most_pct = min(most_pct, full_pct)
    return soc_pct >= most_pct - NEAR_MAX_PCT


def _told(settings: Settings) -> BatterySettings:
    return settings.battery or BatterySettings()


def _noise_w(settings: Settings) -> float:
    return max(NOISE_W, NOISE_SHARE * 1000.0 * _told(settings).charge_power_kw)


def _at_floor(settings: Settings, battery: Battery) -> bool:
    """Near its floor a battery protects itself."""
    soc_pct = battery.soc_pct
    return soc_pct is None or soc_pct <= _told(settings).min_soc_pct + NEAR_FLOOR_PCT


def _buys(site: Site, settings: Settings, battery: Battery) -> bool | None:
    """Whether it charges from the grid; None where that is not measured."""
    if not charges(settings, battery) or _at_floor(settings, battery):
        return False
    return None if site.grid_import_w is None else site.grid_import_w > _noise_w(settings)


def _idles(site: Site, settings: Settings, battery: Battery) -> bool | None:
    """Whether it gives nothing although the house draws and it has something to give."""
    if abs(battery.charge_w or 0.0) > _noise_w(settings) or _at_floor(settings, battery):
        return False
    if site.grid_import_w is None:
        return None
    cars_w = sum(lp.charge_w for lp in site.loadpoints if lp.charger)
    return site.grid_import_w - cars_w > IDLE_IMPORT_W


def _does_not_charge(settings: Settings, battery: Battery, full_pct: float | None) -> bool | None:
    if charges(settings, battery):
        return False
    return None if battery.soc_pct is None else not at_maximum(settings, battery, full_pct)


# --- the loadpoints -------------------------------------------------------------------------------


def loadpoint_contradicts(site: Site, lp: Loadpoint) -> bool | None:
    """Whether a loadpoint's power contradicts its mode; None: it may have its reasons."""
    if lp.mode not in CHARGING:
        own = lp.plan_active or lp.smart_cost_active or lp.min_soc_not_reached
        return lp.charge_w > CAR_MOVES_W and not lp.enabled and not own
    if lp.charge_w > CAR_MOVES_W:
        return False
    if lp.detecting or site.dimmed or _at_limit(site, lp):
        return None
    if not lp.enabled:
        return True
    if not lp.charging:
        return None  # it sleeps, refuses, or is full: the car's own matter
    maybe_full = lp.vehicle_soc_pct is None and lp.session_kwh > MAYBE_FULL_KWH
    return None if maybe_full else True


def _at_limit(site: Site, lp: Loadpoint) -> bool:
    """Whether the car has reached a limit that evcc knows."""
    energy_kwh, soc_pct = lp.limit_energy_kwh, lp.vehicle_soc_pct
    if energy_kwh is not None and lp.session_kwh >= energy_kwh:
        return True
    if soc_pct is None:
        return False
    vehicle = find(site.vehicles, lp.vehicle) if lp.vehicle else None
    in_evcc = vehicle.limit_soc_pct if vehicle is not None else None
    limits = (lp.limit_soc_pct, lp.effective_limit_soc_pct, in_evcc)
    return soc_pct >= min([FULL_PCT, *(limit - ROUNDED_PCT for limit in limits if limit)])
