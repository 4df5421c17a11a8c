"""What `smartload check --write` may try now, what it leaves alone, and why. Pure."""

import math

from engine.check_battery import Outcome, Verdict
from engine.check_hands import SETTLE_S, Setting, value_of
from engine.settings import BatterySettings, Settings
from engine.values import BatteryMode, ChargeMode, Loadpoint, Site

MODES = (BatteryMode.HOLD, BatteryMode.CHARGE, BatteryMode.HOLDCHARGE)
AT_REST = (BatteryMode.UNKNOWN, BatteryMode.NORMAL)
BEFORE, DURING, AFTER = 2, 6, 3
"""Cycles that are watched before, in and after a mode."""
SETTINGS = ("mode", "limit_soc", "limit_energy")


def intentions(site: Site, settings: Settings) -> list[str]:
    """What `try_out` would do here, and for how long; for the user's word."""
    lines = []
    for loadpoint in site.loadpoints:
        for setting in SETTINGS if loadpoint.charger else ():
            other = other_value(loadpoint, setting)
            if isinstance(other, Verdict):
                lines.append(f"{setting} of {loadpoint.name}: left alone, {other.why}")
            else:
                now = value_of(loadpoint, setting)
                lines.append(
                    f"{setting} of {loadpoint.name}: {now} to {other} and back, some seconds"
                )
    why_not = battery_unfit(site)
    if why_not:
        return [*lines, f"battery: left alone, {why_not}"]
    cycles = BEFORE + DURING + AFTER + 2
    minutes = math.ceil((cycles * site.interval_s + SETTLE_S) / 60)
    for mode in MODES:
        if why_not := mode_unfit(mode, site, settings):
            lines.append(f"battery {mode.value}: left alone, {why_not}")
        else:
            grid = ", charging from the grid" if mode is BatteryMode.CHARGE else ""
            lines.append(
                f"battery {mode.value}: up to {minutes} minutes{grid}, then released; twice as "
                "long where it is not obeyed"
            )
    return lines


def other_value(loadpoint: Loadpoint, setting: str) -> Setting | Verdict:
    """A value to try that starts no car and ends no charge, or why there is none."""
    if setting == "mode":
        waits = not loadpoint.charging and not loadpoint.enabled
        if not loadpoint.connected:
            off = loadpoint.mode is ChargeMode.OFF
            return (ChargeMode.PV if off else ChargeMode.OFF).value
        if loadpoint.mode is ChargeMode.PV and waits and not loadpoint.plan_active:
            return ChargeMode.OFF.value  # for a car that waits, both are the same
        return Verdict(Outcome.NOT_TRIED, "a car is there, and another mode could start or stop it")
    if loadpoint.connected:
        return Verdict(Outcome.NOT_TRIED, "a car is there, and a limit could start or stop it")
    now = float(value_of(loadpoint, setting))
    if setting == "limit_soc":
        return 100.0 if now != 100.0 else 99.0
    return now + 1.0


def battery_unfit(site: Site) -> str:
    """Why no battery mode may be tried now; empty: it may."""
    battery = site.battery
    if battery is None:
        return "there is none"
    if not battery.controllable:
        return "evcc cannot control it"
    if battery.external_mode is not None:
        return (
            f"somebody else has set its external mode to {battery.external_mode.value}: stop that "
            "controller first"
        )
    if battery.mode not in AT_REST:
        return f"evcc itself keeps it in {battery.mode.value} now"
    return ""


def mode_unfit(mode: BatteryMode, site: Site, settings: Settings) -> str:
    """Why `charge` may not be tried now (the others may); empty: it may."""
    if mode is not BatteryMode.CHARGE:
        return ""
    own = settings.battery or BatterySettings()
    if not own.grid_charging:
        return "battery.grid_charging is false"
    if site.dimmed:
        return "the grid operator limits the power now"
    limit_kw = settings.site.import_limit_kw
    if limit_kw is not None:
        if site.grid_import_w is None:
            return "evcc shows no grid power to hold the limit of the house connection by"
        if site.grid_import_w / 1000 + own.charge_power_kw > limit_kw:
            return f"it would exceed the limit of the house connection ({limit_kw:g} kW)"
    return ""
