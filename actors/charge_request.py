"""evcc's optimizer protocol: the request, checked field by field, and the answer.

Fields and units are evcc's: power in W, energy in Wh, money in currency per Wh, slots in seconds.
Prices may be negative (markets are); what evcc's own service would not answer either is refused
with a message and one line per field.
"""

import math
from typing import Any

import msgspec

CHARGING = (
    "none",
    "charge_before_export",
    "attenuate_demand_peaks",
    "attenuate_feedin_peaks",
    "attenuate_grid_peaks",
)
DISCHARGING = ("none", "discharge_before_import")
SLOTS_MAX = 768
BATTERIES_MAX = 12
LARGEST = 1e9
ETA = 0.95
INVALID = "Input payload validation failed"
UNEQUAL = "All time series must have the same length"


class BadRequestError(ValueError):
    """What is wrong with a request: a message and, by field path, what about it."""

    def __init__(self, message: str, details: dict[str, str]) -> None:
        super().__init__(message)
        self.message, self.details = message, details


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """A battery, or a car: one that never discharges."""

    charge_from_grid: bool
    discharge_to_grid: bool
    s_capacity: float
    s_min: float
    s_max: float
    s_initial: float
    c_min: float
    c_max: float
    d_max: float
    p_a: float
    eta_c: float
    eta_d: float
    c_priority: int
    p_demand: tuple[float, ...] | None
    s_goal: tuple[float, ...] | None


class ChargeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole problem: prices, sun, load, batteries, grid, preferences."""

    charging_strategy: str
    discharging_strategy: str
    p_max_imp: float | None
    p_max_exp: float | None
    prc_p_exc_imp: float | None
    batteries: tuple[Battery, ...]
    dt: tuple[float, ...]
    gt: tuple[float, ...]
    ft: tuple[float, ...]
    p_n: tuple[float, ...]
    p_e: tuple[float, ...]

    @property
    def has_rate(self) -> bool:
        """The import limit is a threshold: what is beyond costs by its highest power."""
        return self.p_max_imp is not None and self.prc_p_exc_imp is not None


class BatteryAnswer(msgspec.Struct, frozen=True):
    """Energies per slot in Wh (evcc calls them power), and what is stored after each slot."""

    charging_power: tuple[float, ...]
    discharging_power: tuple[float, ...]
    state_of_charge: tuple[float, ...]


class LimitViolations(msgspec.Struct, frozen=True):
    """Whether a grid limit could not be kept."""

    grid_import_limit_exceeded: bool
    grid_export_limit_hit: bool


class ChargeAnswer(msgspec.Struct, frozen=True):
    """A schedule. `status` is always `Optimal`: evcc takes nothing else."""

    status: str
    objective_value: float
    limit_violations: LimitViolations
    batteries: tuple[BatteryAnswer, ...]
    grid_import: tuple[float, ...]
    grid_export: tuple[float, ...]
    flow_direction: tuple[int, ...]
    grid_import_overshoot: tuple[float, ...]
    grid_export_overshoot: tuple[float, ...]


class _Fields:
    """One JSON object, read field by field; what is wrong is noted by its path."""

    def __init__(self, value: Any, path: str, details: dict[str, str]) -> None:
        self._path, self._details = path, details
        self._value: dict[str, Any] = {}
        if isinstance(value, dict):
            self._value = value
        else:
            details[path.rstrip(".") or "body"] = f"{_shown(value)} is not of type 'object'"

    def wrong(self, name: str, text: str) -> None:
        """Note what is wrong with a field."""
        self._details.setdefault(self._path + name, text)

    def raw(self, name: str, required: bool = False) -> Any:
        """The field as it came; None where it is left out (or null)."""
        found = self._value.get(name)
        if found is None and required:
            self.wrong(name, f"'{name}' is a required property")
        return found

    def within(self, name: str, *, required: bool = False) -> "_Fields | None":
        """The object in this field."""
        found = self.raw(name, required)
        return None if found is None else _Fields(found, f"{self._path}{name}.", self._details)

    def number(
        self,
        name: str,
        default: float | None = None,
        least: float = 0.0,
        most: float = LARGEST,
        *,
        required: bool = False,
    ) -> float | None:
        """A number within bounds."""
        found = self.raw(name, required)
        if found is None:
            return default
        text = _about_number(found, least, most)
        if text:
            self.wrong(name, text)
            return default
        return float(found)

    def needed(self, name: str, least: float = 0.0) -> float:
        """A number that has to be there; 0 where it is not (the request is refused then)."""
        return self.number(name, 0.0, least, required=True) or 0.0

    def flag(self, name: str) -> bool:
        """A boolean, false where it is left out."""
        found = self.raw(name)
        if found is not None and not isinstance(found, bool):
            self.wrong(name, f"{_shown(found)} is not of type 'boolean'")
        return found is True

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """One of these words, the first where it is left out."""
        found = self.raw(name)
        if found is None:
            return known[0]
        if found not in known:
            self.wrong(name, f"{_shown(found)} is not one of {list(known)}")
            return known[0]
        return str(found)

    def series(
        self, name: str, least: float = 0.0, *, required: bool = False
    ) -> tuple[float, ...] | None:
        """An array of numbers."""
        found = self.raw(name, required)
        if found is None:
            return None
        if not isinstance(found, list):
            self.wrong(name, f"{_shown(found)} is not of type 'array'")
            return None
        for k, one in enumerate(found):
            text = _about_number(one, least, LARGEST)
            if text:
                self.wrong(f"{name}.{k}", text)
                return None
        return tuple(map(float, found))


def _shown(value: Any) -> str:
    """A value in a message, never long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _about_number(value: Any, least: float, most: float) -> str:
    """What is wrong with it, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{_shown(value)} is not of type 'number'"
    if not math.isfinite(value):
        return "is not a finite number"
    if value < least:
        return f"{_shown(value)} is less than the minimum of {least:g}"
    if value > most:
        return f"{_shown(value)} is greater than the maximum of {most:g}"
    return ""


def read_request(body: str | bytes) -> ChargeRequest:
    """The request in `body` (JSON). Raises BadRequestError."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError("Invalid request body", {"body": f"{error}"}) from error
    details: dict[str, str] = {}
    fields = _Fields(value, "", details)
    nothing = _Fields({}, "", {})
    strategy = fields.within("strategy") or nothing
    grid = fields.within("grid") or nothing
    etas = (
        fields.number("eta_c", ETA, most=1.0) or 0.0,
        _positive(fields, "eta_d", fields.number("eta_d", ETA, most=1.0) or 0.0),
    )
    raw = fields.raw("batteries", required=True)
    if raw is not None and not isinstance(raw, list):
        fields.wrong("batteries", f"{_shown(raw)} is not of type 'array'")
    raw = raw if isinstance(raw, list) else []
    if not details and not 1 <= len(raw) <= BATTERIES_MAX:
        fields.wrong("batteries", f"has {len(raw)} entries, not 1 to {BATTERIES_MAX}")
    batteries = [
        _battery(_Fields(one, f"batteries.{k}.", details), etas)
        for k, one in enumerate(raw[:BATTERIES_MAX])
    ]
    request = ChargeRequest(
        charging_strategy=strategy.choice("charging_strategy", CHARGING),
        discharging_strategy=strategy.choice("discharging_strategy", DISCHARGING),
        p_max_imp=grid.number("p_max_imp"),
        p_max_exp=grid.number("p_max_exp"),
        prc_p_exc_imp=grid.number("prc_p_exc_imp"),
        batteries=tuple(batteries),
        **_time_series(fields, details),
    )
    if details:
        raise BadRequestError(INVALID, details)
    _check_lengths(request)
    return request


def _positive(fields: _Fields, name: str, value: float) -> float:
    """Something is divided by it."""
    if value <= 0.0:
        fields.wrong(name, f"{value:g} is not greater than 0")
        return ETA
    return value


def _battery(fields: _Fields, etas: tuple[float, float]) -> Battery:
    s_max, s_initial = fields.needed("s_max"), fields.needed("s_initial")
    capacity = fields.number("s_capacity")
    if capacity is not None and s_initial > capacity * (1 + 1e-6) + 1e-3:
        fields.wrong("s_initial", f"{s_initial:g} is greater than s_capacity ({capacity:g})")
    priority = fields.number("c_priority", 0.0, most=2.0) or 0.0
    if priority != int(priority):
        fields.wrong("c_priority", f"{priority:g} is not of type 'integer'")
    eta_d = fields.number("eta_d", etas[1], most=1.0)
    return Battery(
        charge_from_grid=fields.flag("charge_from_grid"),
        discharge_to_grid=fields.flag("discharge_to_grid"),
        # a car above its limit, without a capacity of its own: it holds what it holds
        s_capacity=max(s_max if capacity is None else capacity, s_initial),
        s_min=fields.needed("s_min"),
        s_max=s_max,
        s_initial=s_initial,
        c_min=fields.needed("c_min"),
        c_max=fields.needed("c_max"),
        d_max=fields.needed("d_max"),
        p_a=fields.needed("p_a", -LARGEST),
        eta_c=fields.number("eta_c", etas[0], most=1.0) or 0.0,
        eta_d=_positive(fields, "eta_d", 0.0 if eta_d is None else eta_d),
        c_priority=int(priority),
        p_demand=fields.series("p_demand"),
        s_goal=fields.series("s_goal"),
    )


def _time_series(fields: _Fields, details: dict[str, str]) -> dict[str, tuple[float, ...]]:
    """The five series; `gt_add` (further loads) is added to the load."""
    series = fields.within("time_series", required=True)
    if series is None:
        return dict.fromkeys(("dt", "gt", "ft", "p_n", "p_e"), ())
    found = {
        "dt": series.series("dt", required=True) or (),
        "gt": series.series("gt", required=True) or (),
        "ft": series.series("ft", required=True) or (),
        "p_n": series.series("p_N", -LARGEST, required=True) or (),
        "p_e": series.series("p_E", -LARGEST, required=True) or (),
    }
    more = series.raw("gt_add") or []
    if not isinstance(more, list):
        series.wrong("gt_add", f"{_shown(more)} is not of type 'array'")
        more = []
    loads = _Fields({str(k): one for k, one in enumerate(more)}, "time_series.gt_add.", details)
    for k in range(len(more)):
        added = loads.series(str(k), -LARGEST) or ()
        if len(added) != len(found["gt"]):
            loads.wrong(str(k), f"has {len(added)} values, time_series.gt has {len(found['gt'])}")
            continue
        found["gt"] = tuple(one + other for one, other in zip(found["gt"], added, strict=True))
    return found


def _check_lengths(request: ChargeRequest) -> None:
    slots = len(request.gt)
    lengths = {"time_series.dt": len(request.dt), "time_series.ft": len(request.ft)}
    lengths |= {"time_series.p_N": len(request.p_n), "time_series.p_E": len(request.p_e)}
    for k, battery in enumerate(request.batteries):
        for name, series in (("p_demand", battery.p_demand), ("s_goal", battery.s_goal)):
            if series is not None:
                lengths[f"batteries.{k}.{name}"] = len(series)
    wrong = {
        name: f"has {length} values, time_series.gt has {slots}"
        for name, length in lengths.items()
        if length != slots
    }
    if wrong:
        raise BadRequestError(UNEQUAL, wrong)
    if not 1 <= slots <= SLOTS_MAX:
        details = {"time_series.gt": f"has {slots} values, not 1 to {SLOTS_MAX}"}
        raise BadRequestError(INVALID, details)
