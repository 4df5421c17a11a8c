"""evcc's JSON into our values: every shape from 0.206 to 0.316, signs and units converted here.

Pure. Powers are W on both sides and are never guessed from their size (INV-26). evcc counts a
discharging battery as positive, we a charging one (INV-53). Source: evcc-api.md §1, §2, §12.
"""

from collections.abc import Iterable
from typing import Any

from engine.evcc_circuits import circuits_from, grid_currents_from
from engine.evcc_fields import (
    EvccUnreadable,
    decoded,
    decoded_state,
    listing,
    mapping,
    moment,
    number,
    percent,
    positive,
    text,
    truth,
    unwrapped,
    whole,
)
from engine.values import (
    Battery,
    BatteryMode,
    ChargeMode,
    EvccVehicle,
    Loadpoint,
    Rate,
    RepeatingPlan,
    Site,
    Tariff,
)

NO_CAR_FEATURES = (
    "chargerFeatureHeating",
    "chargerFeatureIntegratedDevice",
    "chargerFeatureSwitchDevice",
)
DEFAULT_INTERVAL_S = 30.0
DAYS = range(7)


def site_from(payload: bytes | object) -> Site:
    """One reading of `GET /api/state`: its body, or what was decoded from it.

    Raises EvccUnreadable when it is empty, no JSON, or says that evcc is not ready.
    """
    state = unwrapped(decoded_state(payload) if isinstance(payload, bytes) else payload)
    if not isinstance(state, dict):
        raise EvccUnreadable("no state: not a JSON object")
    _demand_ready(state)
    devices = _loadpoint_entries(state)
    return Site(
        version=text(state.get("version")),
        title=text(state.get("siteTitle")),
        currency=text(state.get("currency")) or "EUR",
        interval_s=positive(state.get("interval")) or DEFAULT_INTERVAL_S,
        grid_import_w=_first(mapping(state.get("grid")).get("power"), state.get("gridPower")),
        pv_w=_pv_w(state),
        home_w=number(state.get("homePower")),
        battery=_battery(state),
        loadpoints=_loadpoints(devices),
        vehicles=tuple(
            _vehicle(name, mapping(entry))
            for name, entry in mapping(state.get("vehicles")).items()
            if name
        ),
        discharge_control=truth(state.get("batteryDischargeControl")),
        grid_charge_limit_eur_kwh=number(state.get("batteryGridChargeLimit")),
        priority_soc_pct=percent(state.get("prioritySoc")) or 0.0,
        buffer_soc_pct=percent(state.get("bufferSoc")) or 0.0,
        buffer_start_soc_pct=percent(state.get("bufferStartSoc")) or 0.0,
        smart_modes=any("alwaysCharge" in lp or lp["mode"] == "smart" for _, lp in devices),
        optimizer_controls=_optimizer_controls(state),
        dimmed=_dimmed(state),
        circuits=circuits_from(state),
        grid_currents_a=grid_currents_from(state),
    )


def _first(*candidates: Any) -> float | None:
    """The first of the candidates that is a number."""
    for one in candidates:
        known = number(one)
        if known is not None:
            return known
    return None


def _demand_ready(state: dict[str, Any]) -> None:
    """evcc-api.md §0: `apiReady` is also set when the start failed, then `fatal` is there."""
    if state.get("apiReady") is False or state.get("startupCompleted") is False:
        raise EvccUnreadable("evcc is starting")
    if state.get("fatal"):
        raise EvccUnreadable(f"evcc failed to start: {str(state['fatal'])[:200]}")


def _loadpoint_entries(state: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The loadpoints in use with their 1-based ids; later versions keep disabled ones in place."""
    entries = [
        (k, mapping(entry))
        for k, entry in enumerate(listing(state.get("loadpoints")), start=1)
        if not truth(mapping(entry).get("disabled"))
    ]
    if not entries:
        raise EvccUnreadable("evcc shows no loadpoints")
    for k, entry in entries:
        if not text(entry.get("mode")):
            raise EvccUnreadable(f"evcc is not ready: loadpoint {k} has no mode")
    return entries


def _loadpoints(entries: Iterable[tuple[int, dict[str, Any]]]) -> tuple[Loadpoint, ...]:
    taken: set[str] = set()
    made = []
    for k, entry in entries:
        name = text(entry.get("name")) or text(entry.get("title")) or f"lp-{k}"
        while name.casefold() in taken:
            name = f"{name} ({k})"
        taken.add(name.casefold())
        made.append(_loadpoint(k, name, entry))
    return tuple(made)


def _loadpoint(k: int, name: str, lp: dict[str, Any]) -> Loadpoint:
    charger = not any(truth(lp.get(feature)) for feature in NO_CAR_FEATURES)
    plan_soc = _soc_setting(lp.get("effectivePlanSoc"), charger)
    session_wh = _first(lp.get("sessionEnergy"), lp.get("chargedEnergy")) or 0.0
    single = truth(lp.get("chargerSinglePhase"))
    phases = _phases(lp.get("phasesActive"), 0) or _phases(lp.get("phasesConfigured"), 0)
    return Loadpoint(
        id=k,
        name=name,
        title=text(lp.get("title")),
        mode=_mode(k, lp),
        connected=truth(lp.get("connected")),
        charging=truth(lp.get("charging")),
        enabled=truth(lp.get("enabled")),
        charge_w=number(lp.get("chargePower")) or 0.0,
        charger=charger,
        vehicle=text(lp.get("vehicleName")) or None,
        vehicle_soc_pct=_soc_setting(lp.get("vehicleSoc"), charger),
        detecting=truth(lp.get("vehicleDetectionActive")),
        limit_soc_pct=_soc_setting(lp.get("limitSoc"), charger),
        limit_energy_kwh=positive(lp.get("limitEnergy")),
        effective_limit_soc_pct=_soc_setting(lp.get("effectiveLimitSoc"), charger),
        effective_min_current_a=positive(lp.get("effectiveMinCurrent"))
        or positive(lp.get("minCurrent"))
        or 6.0,
        effective_max_current_a=positive(lp.get("effectiveMaxCurrent"))
        or positive(lp.get("maxCurrent"))
        or 16.0,
        phases_active=phases or (1 if single else 3),
        phases_configured=_phases(lp.get("phasesConfigured"), 1 if single else 3),
        can_switch_phases=truth(lp.get("chargerPhases1p3p")),
        session_kwh=round(session_wh / 1000, 6),
        plan_active=truth(lp.get("planActive")),
        plan_soc_pct=plan_soc,
        plan_at=moment(lp.get("effectivePlanTime")) or moment(lp.get("planTime")),
        smart_cost_active=truth(lp.get("smartCostActive")),
        min_soc_not_reached=truth(lp.get("minSocNotReached")),
        priority=whole(_first(lp.get("effectivePriority"), lp.get("priority")), 0),
        # evcc's energy plan rests while a SoC plan counts
        plan_energy_kwh=positive(lp.get("planEnergy")) if plan_soc is None else None,
    )


def _soc_setting(value: Any, charger: bool) -> float | None:
    """0 means "unknown" or "none"; at a heating device the same fields hold °C."""
    soc_pct = percent(value)
    return soc_pct if charger and soc_pct else None


def _phases(value: Any, default: int) -> int:
    phases = whole(value, -1)
    return phases if 0 <= phases <= 3 else default


def _mode(k: int, lp: dict[str, Any]) -> ChargeMode:
    """Both vocabularies: `off pv minpv now`, and later `off smart now` with `alwaysCharge`."""
    name = text(lp.get("mode"))
    if name == "smart":
        always = lp.get("alwaysCharge")
        return ChargeMode.MINPV if always in ("on", "once", True) else ChargeMode.PV
    try:
        return ChargeMode(name)
    except ValueError:
        raise EvccUnreadable(f"loadpoint {k} has the unknown mode {name[:20]!r}") from None


def _pv_w(state: dict[str, Any]) -> float | None:
    total = number(state.get("pvPower"))
    if total is not None:
        return total
    powers = [number(mapping(one).get("power")) for one in listing(state.get("pv"))]
    known = [max(0.0, power) for power in powers if power is not None]
    return sum(known) if known and len(known) == len(powers) else None


def _battery(state: dict[str, Any]) -> Battery | None:
    """All batteries together, from the devices: evcc's own sums can be counts (§1.3)."""
    shape = state.get("battery")
    site = mapping(shape)
    devices = [mapping(one) for one in listing(site.get("devices") if site else shape)]
    power_w = _first(site.get("power"), state.get("batteryPower"))
    soc_pct = percent(_first(site.get("soc"), state.get("batterySoc")))
    capacity_kwh = _first(site.get("capacity"), state.get("batteryCapacity"))
    if not devices and not site and not soc_pct and not capacity_kwh:
        return None  # without a battery, old versions publish zeros
    if power_w is None:
        powers = [known for one in devices if (known := number(one.get("power"))) is not None]
        power_w = sum(powers) if powers and len(powers) == len(devices) else None
    external = text(state.get("batteryModeExternal"))
    return Battery(
        soc_pct=_battery_soc_pct(devices, soc_pct),
        charge_w=None if power_w is None else 0.0 - power_w,
        capacity_kwh=_battery_capacity_kwh(devices, capacity_kwh),
        mode=_battery_mode(text(state.get("batteryMode"))),
        # absent before the first external mode, `unknown` after its release: both are "none"
        external_mode=_battery_mode(external) if external not in ("", "unknown") else None,
        controllable=any(truth(one.get("controllable")) for one in devices),
    )


def _vehicle_mode(name: str) -> ChargeMode | None:
    """The mode that evcc sets when the car is assigned; None: it has none that we know."""
    if name == "smart":
        return ChargeMode.PV
    try:
        return ChargeMode(name)
    except ValueError:
        return None


def _battery_mode(name: str) -> BatteryMode:
    return BatteryMode(name) if name in tuple(BatteryMode) else BatteryMode.UNKNOWN


def _battery_capacity_kwh(devices: list[dict[str, Any]], total_kwh: float | None) -> float | None:
    known = [kwh for one in devices if (kwh := positive(one.get("capacity"))) is not None]
    if known and len(known) == len(devices):
        return round(sum(known), 6)
    if not total_kwh or total_kwh < 0 or total_kwh == max(1, len(devices)):
        return None
    # a sum with a gap in it would pass for the whole
    return total_kwh if not known else None


def _battery_soc_pct(devices: list[dict[str, Any]], total_pct: float | None) -> float | None:
    """Weighted by capacity; None when one of several is unknown, as evcc counts that one as 0."""
    if not devices:
        return total_pct
    known = [percent(one.get("soc")) or 0.0 for one in devices if not _silent(one)]
    if not known:
        return total_pct or None  # evcc keeps the last SoC when every read failed
    if len(known) < len(devices):
        return None
    weights = [positive(one.get("capacity")) for one in devices]
    kwh = [one for one in weights if one is not None]
    if len(kwh) < len(known):
        kwh = [1.0] * len(known)
    return round(sum(s * w for s, w in zip(known, kwh, strict=True)) / sum(kwh), 6)


def _silent(device: dict[str, Any]) -> bool:
    """A device whose SoC could not be read: nothing, or (older versions) 0 without a capacity."""
    soc_pct = percent(device.get("soc"))
    return soc_pct is None or (soc_pct == 0 and positive(device.get("capacity")) is None)


def _optimizer_controls(state: dict[str, Any]) -> bool:
    """evcc's own optimizer acts: `optimizerAutomatic`, a switch or a level (evcc #32881)."""
    automatic = state.get("optimizerAutomatic")
    if state.get("optimizer") is False:
        return False
    return automatic is True or text(automatic) not in ("", "off", "false")


def _dimmed(state: dict[str, Any]) -> bool:
    hems = mapping(state.get("hems"))
    circuits = mapping(state.get("circuits")).values()
    return (
        truth(mapping(hems.get("status")).get("dimmed"))
        or truth(hems.get("dimmed"))
        or any(truth(mapping(one).get("dimmed")) for one in circuits)
    )


def _vehicle(name: str, entry: dict[str, Any]) -> EvccVehicle:
    plan = mapping(entry.get("plan"))
    plan_soc, plan_at = positive(percent(plan.get("soc"))), moment(plan.get("time"))
    return EvccVehicle(
        name=name,
        title=text(entry.get("title")),
        capacity_kwh=positive(entry.get("capacity")),
        min_soc_pct=positive(percent(entry.get("minSoc"))),
        limit_soc_pct=positive(percent(entry.get("limitSoc"))),
        phases=_phases(entry.get("phases"), 0) or None,
        max_current_a=positive(entry.get("maxCurrent")),
        offline="Offline" in listing(entry.get("features")),
        mode=_vehicle_mode(text(entry.get("mode"))),
        plan_soc_pct=plan_soc if plan_at is not None else None,
        plan_at=plan_at if plan_soc is not None else None,
        repeating=tuple(
            RepeatingPlan(
                weekdays=tuple(
                    day
                    for one in listing(plan.get("weekdays"))
                    if 0 <= (day := whole(one, -1)) <= 6
                ),
                time=text(plan.get("time")),
                tz=text(plan.get("tz")),
                soc_pct=percent(plan.get("soc")) or 0.0,
                active=truth(plan.get("active")),
            )
            for plan in map(mapping, listing(entry.get("repeatingPlans")))
            if text(plan.get("time"))
        ),
    )


def tariff_from(usage: str, status: int, body: bytes) -> Tariff:
    """One answer of `GET /api/tariff/{usage}`; `rates` is None, with a reason, when it gave none.

    Slots keep evcc's own length (hourly before 0.209), in order of time; entries without a price
    or with broken times are left out: a gap, never a zero (INV-05, INV-18).
    """
    if status != 200:
        return Tariff(usage, None, refusal(status, body))
    try:
        payload = mapping(unwrapped(decoded(body)))
    except EvccUnreadable as unreadable:
        return Tariff(usage, None, unreadable.reason)
    rates = [rate for one in listing(payload.get("rates")) if (rate := _rate(one)) is not None]
    if not rates:
        return Tariff(usage, None, "no rates")
    return Tariff(usage, tuple(sorted(rates, key=lambda rate: rate.start)))


def _rate(entry: Any) -> Rate | None:
    """`{start, end, value}`, before 0.203 with `price`."""
    fields = mapping(entry)
    start, end = moment(fields.get("start")), moment(fields.get("end"))
    value = _first(fields.get("value"), fields.get("price"))
    if start is None or end is None or value is None or end <= start:
        return None
    return Rate(start, end, value)


def refusal(status: int, body: bytes) -> str:
    """What evcc said with a status other than 200: `HTTP 404: tariff not available`."""
    try:
        said = text(mapping(decoded(body)).get("error"))
    except EvccUnreadable:
        said = ""
    if not said:
        said = body[:80].decode("utf-8", "replace").strip()
    return f"HTTP {status}: {said[:200]}" if said else f"HTTP {status}"
