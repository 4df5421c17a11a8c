"""Every rule of evcc's optimizer protocol, recomputed from a request and its answer alone."""

from typing import Any, NamedTuple

from sim.schedule_yardstick import Rates

TINY_WH = 0.01


class Checked(NamedTuple):
    """What an answer is worth, in currency: money with penalties, and money as it is reported."""

    value: float
    reported: float
    broken: tuple[str, ...]


def check(request: dict[str, Any], answer: dict[str, Any]) -> Checked:
    """All rules that are broken, and the value recomputed."""
    broken: list[str] = []
    series, grid = request["time_series"], request.get("grid") or {}
    slots, rates = len(series["gt"]), Rates.of(request)
    n, e = answer["grid_import"], answer["grid_export"]
    lengths = {len(n), len(e), len(answer["flow_direction"])}
    lengths |= {len(one) for battery in answer["batteries"] for one in battery.values()}
    if lengths != {slots} or len(answer["batteries"]) != len(request["batteries"]):
        return Checked(0.0, 0.0, (f"lengths {lengths}, {len(answer['batteries'])} batteries",))
    p_imp, p_exp = grid.get("p_max_imp"), grid.get("p_max_exp")
    n_over = answer["grid_import_overshoot"] if p_imp is not None else [0.0] * slots
    e_over = answer["grid_export_overshoot"] if p_exp is not None else [0.0] * slots
    if p_imp is None and answer["grid_import_overshoot"]:
        broken.append("import overshoot without a limit")
    if p_exp is None and answer["grid_export_overshoot"]:
        broken.append("export overshoot without a limit")
    within = list(n)
    if rates.rate is not None:  # what is reported is all that is imported
        within = [one - over for one, over in zip(n, n_over, strict=True)]
    value = reported = 0.0
    for t in range(slots):
        h = series["dt"][t] / 3600
        say = broken.append
        if min(within[t], e[t], n_over[t], e_over[t]) < 0:
            say(f"{t}: negative flow")
        net = sum(b["charging_power"][t] - b["discharging_power"][t] for b in answer["batteries"])
        left = within[t] + n_over[t] - e[t] - e_over[t] - net
        if abs(left - (series["gt"][t] - series["ft"][t])) > TINY_WH:
            say(f"{t}: balance is off by {left - series['gt'][t] + series['ft'][t]:g} Wh")
        if p_imp is not None:
            _limit(f"{t}: import", within[t], n_over[t], p_imp * h, broken)
        if p_exp is not None:
            _limit(f"{t}: export", e[t], e_over[t], p_exp * h, broken)
        _direction(t, answer["flow_direction"][t], within[t], e[t], broken)
        money = -(within[t] + n_over[t]) * series["p_N"][t] + e[t] * series["p_E"][t]
        value, reported = value + money, reported + money
        if rates.rate is None:
            value -= 100 * rates.base * n_over[t]
        value -= 100 * rates.base * (1 - t * 1e-5) * e_over[t]
    if rates.rate is not None:
        peak = max(
            (over * 3600 / dt for over, dt in zip(n_over, series["dt"], strict=True) if dt > 0),
            default=0.0,
        )
        value, reported = value - rates.rate * peak, reported - rates.rate * peak
    for i, (battery, found) in enumerate(
        zip(request["batteries"], answer["batteries"], strict=True)
    ):
        told: list[str] = []
        gain, spoken = _battery(request, battery, found, answer["flow_direction"], told)
        broken += [f"battery {i}, {text}" for text in told]
        value, reported = value + gain, reported + spoken
    _flags(answer, n_over, e_over, reported, broken)
    return Checked(value, reported, tuple(broken))


def _direction(t: int, up: Any, bought: float, sold: float, broken: list[str]) -> None:
    if up not in (0, 1):
        broken.append(f"{t}: direction {up}")
    if up and bought > TINY_WH:
        broken.append(f"{t}: imports while the direction is export")
    if not up and sold > TINY_WH:
        broken.append(f"{t}: exports while the direction is import")


def _limit(name: str, part: float, over: float, most: float, broken: list[str]) -> None:
    if part > most + TINY_WH:
        broken.append(f"{name} {part:g} Wh is above the limit {most:g}")
    if over > TINY_WH and part < most - TINY_WH:
        broken.append(f"{name} goes beyond its limit before it is full")


def _flags(
    answer: dict[str, Any],
    n_over: list[float],
    e_over: list[float],
    reported: float,
    broken: list[str],
) -> None:
    flags = answer["limit_violations"]
    for name, over in (("grid_import_limit_exceeded", n_over), ("grid_export_limit_hit", e_over)):
        if flags[name] != (max(over) > 0):
            broken.append(f"{name} is {flags[name]}, overshoot at most {max(over):g}")
    if abs(reported - answer["objective_value"]) > 1e-5 + 1e-6 * abs(reported):
        broken.append(f"objective_value {answer['objective_value']}, recomputed {reported}")
    if answer["status"] != "Optimal":
        broken.append(f"status {answer['status']}")


def _battery(
    request: dict[str, Any],
    battery: dict[str, Any],
    found: dict[str, Any],
    up: list[int],
    broken: list[str],
) -> tuple[float, float]:
    series, base = request["time_series"], Rates.of(request).base
    eta_c = battery.get("eta_c", request.get("eta_c", 0.95))
    eta_d = battery.get("eta_d", request.get("eta_d", 0.95))
    capacity = max(battery.get("s_capacity", battery["s_max"]), battery["s_initial"])
    c, d, s = found["charging_power"], found["discharging_power"], found["state_of_charge"]
    before, value = battery["s_initial"], 0.0
    for t, dt in enumerate(series["dt"]):
        h, say = dt / 3600, lambda text, t=t: broken.append(f"{t}: {text}")
        if min(c[t], d[t]) < 0 or not -TINY_WH <= s[t] <= capacity + TINY_WH:
            say(f"charge {c[t]:g}, discharge {d[t]:g}, stored {s[t]:g} of {capacity:g} Wh")
        if c[t] > battery["c_max"] * h + TINY_WH or d[t] > battery["d_max"] * h + TINY_WH:
            say(f"charge {c[t]:g} or discharge {d[t]:g} Wh above its power")
        if abs(s[t] - before - eta_c * c[t] + d[t] / eta_d) > TINY_WH:
            say(f"stored {s[t]:g}, expected {before + eta_c * c[t] - d[t] / eta_d:g}")
        if c[t] > TINY_WH and d[t] > TINY_WH:
            say("charges and discharges at once")
        if c[t] > TINY_WH and not battery.get("charge_from_grid") and not up[t]:
            say(f"charges {c[t]:g} Wh while the direction is import")
        if d[t] > TINY_WH and not battery.get("discharge_to_grid") and up[t]:
            say(f"discharges {d[t]:g} Wh while the direction is export")
        demand = (battery.get("p_demand") or [0.0] * (t + 1))[t]
        room, least = battery["s_max"] - s[t], battery["c_min"] * h
        excused = demand > 0 and room <= least + TINY_WH
        if TINY_WH < c[t] < least - TINY_WH and not excused:
            say(f"charges {c[t]:g} Wh, below its least {least:g}")
        value -= 1000 * base * (max(0.0, -room) + max(0.0, battery["s_min"] - s[t]))
        if demand > 0 and room > 1e-9:
            slots = len(series["dt"])
            short = max(0.0, min(battery["c_max"] * h, demand) - c[t])
            value -= 100 * base * (1 + (slots - t) / slots) * short
        goal = (battery.get("s_goal") or [0.0] * (t + 1))[t]
        if t and goal > 0:
            value -= 100 * base * max(0.0, goal - s[t])
        before = s[t]
    return value + s[-1] * battery["p_a"], (s[-1] - s[0]) * battery["p_a"]
