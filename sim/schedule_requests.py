"""Requests as evcc sends them, drawn from a seed."""

from typing import Any

import numpy as np

STRATEGIES = (
    "charge_before_export",
    "none",
    "attenuate_demand_peaks",
    "attenuate_feedin_peaks",
    "attenuate_grid_peaks",
)


def day_prices(rng: np.random.Generator, slots: int, kind: str) -> list[float]:
    """Import prices per Wh: one price, hours as on the market, or some below 0."""
    if kind == "flat":
        return [0.0003] * slots
    t = np.arange(slots) / 4
    shape = 0.26 + 0.05 * np.sin(2 * np.pi * (t - 9) / 12) + 0.03 * np.sin(2 * np.pi * t / 24)
    hourly = shape[::4].repeat(4)[:slots] + rng.normal(0, 0.02, -(-slots // 4)).repeat(4)[:slots]
    if kind == "negative":
        hourly -= 0.24 * (np.cos(2 * np.pi * (t - 13) / 24) > 0.7)
    return [float(f"{one:.6g}") for one in hourly / 1000]


def home_request(
    seed: int,
    slots: int = 96,
    cars: int = 2,
    *,
    prices: str = "dynamic",
    strategy: str | None = None,
    grid: bool = False,
) -> dict[str, Any]:
    """A home with `cars` and a battery: prices, sun, load, what is forced and what is wished."""
    rng = np.random.default_rng(seed)
    start = int(rng.integers(96))
    hour = ((start + np.arange(slots)) % 96) / 4
    p_n = day_prices(rng, slots, prices)
    sun = np.maximum(0, np.sin(np.pi * (hour - 6) / 13)) * (hour > 6) * (hour < 19)
    ft = sun * rng.uniform(300, 2200) * rng.uniform(0.6, 1.0, slots)
    gt = (90 + 120 * ((hour > 6) & (hour < 9)) + 200 * ((hour > 17) & (hour < 22))) * rng.uniform(
        0.7, 1.5, slots
    )
    first = int(rng.integers(60, 901))
    dt = [first] + [900] * (slots - 1)
    ft[0], gt[0] = ft[0] * first / 900, gt[0] * first / 900
    p_a = min(p_n) * 0.9 * 0.99
    batteries = [_car(rng, slots, first, p_a) for _ in range(cars)]
    batteries.append(_house(rng, p_a))
    charging = strategy or STRATEGIES[int(rng.integers(len(STRATEGIES)))]
    request: dict[str, Any] = {
        "strategy": {
            "charging_strategy": charging,
            "discharging_strategy": "discharge_before_import",
        },
        "eta_c": 0.9,
        "eta_d": 0.9,
        "grid": {},
        "time_series": {
            "dt": dt,
            "gt": [round(float(one), 3) for one in gt],
            "ft": [round(float(one), 3) for one in ft],
            "p_N": p_n,
            "p_E": [0.00008] * slots,
        },
        "batteries": batteries,
    }
    if grid:
        request["grid"]["p_max_imp"] = float(rng.uniform(4000, 17000))
        if rng.random() < 0.5:
            request["grid"]["p_max_exp"] = float(rng.uniform(0, 6000))
        if rng.random() < 0.3:
            request["grid"]["prc_p_exc_imp"] = float(rng.uniform(0, 0.01))
    return request


def _car(rng: np.random.Generator, slots: int, first: int, p_a: float) -> dict[str, Any]:
    capacity = float(rng.choice([40e3, 58e3, 77e3]))
    s_max = capacity * float(rng.choice([0.8, 0.9, 1.0]))
    s_initial = float(rng.uniform(0.1, 0.95)) * s_max
    most = float(rng.choice([7400, 11000]))
    car: dict[str, Any] = {
        "charge_from_grid": True,
        "s_min": 0,
        "s_max": s_max,
        "s_initial": s_initial,
        "c_min": 4140.0 if most == 11000 else 1380.0,
        "c_max": most,
        "d_max": 0,
        "p_a": p_a,
    }
    kind = int(rng.integers(4))
    if kind == 0:
        goal = [0.0] * slots
        goal[int(rng.integers(8, slots))] = s_max
        car["s_goal"] = goal
    elif kind == 1:  # now, or minpv
        power = most if rng.random() < 0.5 else car["c_min"]
        car["p_demand"] = [power / 4 * first / 900] + [power / 4] * (slots - 1)
    elif kind == 2:  # under a price limit
        cheap = rng.random(slots) < 0.2
        car["p_demand"] = [most / 4 if one else 0.0 for one in cheap]
        car["p_demand"][0] *= first / 900
    return car


def _house(rng: np.random.Generator, p_a: float) -> dict[str, Any]:
    capacity = float(rng.choice([5e3, 10e3, 15e3]))
    return {
        "charge_from_grid": bool(rng.random() < 0.6),
        "discharge_to_grid": bool(rng.random() < 0.2),
        "s_capacity": capacity,
        "s_min": capacity * float(rng.choice([0.0, 0.1])),
        "s_max": capacity * float(rng.choice([0.95, 1.0])),
        "s_initial": capacity * float(rng.uniform(0, 1)),
        "c_min": 0,
        "c_max": 6000,
        "d_max": 6000,
        "p_a": p_a,
        "c_priority": int(rng.integers(3)),
    }
