"""The physics of one home: who gets what from sun, battery and grid (design §5). Numbers only.

`flow` says what flows at this moment, `settle` lives through an interval of it. `House` and `Box`
are the truth; what evcc knows of it is in `engine/regulator.py`. A home is one `House` and a
sequence of `Box`: plain objects here, records of NumPy arrays where numba compiles these very lines
(`sim/compiled.py`). Mutable on purpose: a tuple of this many fields costs more than the step.

Powers in W, energies in kWh, currents in A per phase; battery power is positive when discharging.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

VOLTAGE_V = 230.0

UNKNOWN, NORMAL, HOLD, CHARGE, HOLDCHARGE = range(5)
"""evcc's battery modes, by evcc's own numbers; UNKNOWN leaves the inverter to itself (NORMAL)."""

TINY_KWH = 1e-9


@dataclass(slots=True)
class House:
    """Battery, meters and what flows. Efficiencies are AC to cell and back; 0 kWh: no battery.

    The energies at the end are totals since the start, on the AC side.
    """

    capacity_kwh: float = 0.0
    charge_w: float = 0.0
    discharge_w: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    floor_kwh: float = 0.0
    max_kwh: float = 0.0
    hold_charges_from_pv: bool = True
    battery_kwh: float = 0.0
    mode: int = UNKNOWN
    """What the inverter was told last."""
    grid_w: float = 0.0
    pv_w: float = 0.0
    load_w: float = 0.0
    battery_w: float = 0.0
    import_kwh: float = 0.0
    export_kwh: float = 0.0
    pv_kwh: float = 0.0
    load_kwh: float = 0.0
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0


@dataclass(slots=True)
class Box:
    """A wallbox and the car that stands there. `full_kwh`: where the car itself stops.

    `stop_kwh` ends a coarse step's charge where evcc would have stopped inside it (inf: nowhere).
    """

    phases: int = 3
    enabled: bool = False
    current_a: float = 0.0
    plugged: bool = False
    refuses: bool = False
    car_kwh: float = 0.0
    full_kwh: float = inf
    stop_kwh: float = inf
    car_phases: int = 3
    car_max_a: float = 16.0
    charge_efficiency: float = 0.9
    charge_w: float = 0.0
    charged_kwh: float = 0.0
    """AC energy since the start, of all cars."""


def box_w(box: Box) -> float:
    """What the car draws at what the box offers: its own phases and current, nothing when full."""
    if not box.enabled or not box.plugged or box.refuses:
        return 0.0
    if box.car_kwh >= min(box.full_kwh, box.stop_kwh) - TINY_KWH:
        return 0.0
    return min(box.current_a, box.car_max_a) * VOLTAGE_V * min(box.phases, box.car_phases)


def into_battery_kwh(house: House, net_kwh: float, hours: float) -> float:
    """AC energy into the battery (negative: out of it) at this net surplus. Never to the grid."""
    if house.capacity_kwh <= 0:
        return 0.0
    mode = house.mode
    room_kwh = max(0.0, house.max_kwh - house.battery_kwh) / house.charge_efficiency
    most_kwh = min(house.charge_w * hours / 1000.0, room_kwh)
    if mode == CHARGE:
        return most_kwh
    if net_kwh >= 0:
        charges = mode != HOLDCHARGE and (mode != HOLD or house.hold_charges_from_pv)
        return min(net_kwh, most_kwh) if charges else 0.0
    if mode == HOLD:
        return 0.0
    there_kwh = max(0.0, house.battery_kwh - house.floor_kwh) * house.discharge_efficiency
    return -min(-net_kwh, house.discharge_w * hours / 1000.0, there_kwh)


INSTANT_H = 0.1 / 3600.0
"""A battery with less than a tenth of a second's energy left (or room) shows no power."""


def flow(house: House, boxes: Sequence[Box], load_w: float, pv_w: float) -> None:
    """What flows at this moment, as ideal meters would show it."""
    charge_w = 0.0
    for k in range(len(boxes)):
        boxes[k].charge_w = box_w(boxes[k])
        charge_w += boxes[k].charge_w
    house.pv_w, house.load_w = pv_w, load_w
    net_w = pv_w - load_w - charge_w
    into_kwh = into_battery_kwh(house, net_w * INSTANT_H / 1000.0, INSTANT_H)
    house.battery_w = -into_kwh / INSTANT_H * 1000.0 if into_kwh != 0 else 0.0
    house.grid_w = -net_w - house.battery_w


def settle(house: House, boxes: Sequence[Box], dt_s: float) -> None:
    """Live `dt_s` seconds on at the powers of `flow`; a car or battery that fills up stops then.

    Energy balances by construction: the grid takes or gives the remainder.
    """
    hours = dt_s / 3600.0
    cars_kwh = 0.0
    for k in range(len(boxes)):
        box = boxes[k]
        if box.charge_w > 0:
            until_kwh = min(box.full_kwh, box.stop_kwh)
            room_kwh = max(0.0, until_kwh - box.car_kwh) / box.charge_efficiency
            drawn_kwh = min(box.charge_w * hours / 1000.0, room_kwh)
            held_kwh = box.car_kwh + drawn_kwh * box.charge_efficiency
            box.car_kwh = min(held_kwh, max(box.car_kwh, until_kwh))
            box.charged_kwh += drawn_kwh
            cars_kwh += drawn_kwh
    pv_kwh = house.pv_w * hours / 1000.0
    load_kwh = house.load_w * hours / 1000.0
    net_kwh = pv_kwh - load_kwh - cars_kwh
    into_kwh = into_battery_kwh(house, net_kwh, hours)
    if into_kwh > 0:
        held_kwh = house.battery_kwh + into_kwh * house.charge_efficiency
        house.battery_kwh = min(held_kwh, max(house.battery_kwh, house.max_kwh))
        house.charged_kwh += into_kwh
    elif into_kwh < 0:
        held_kwh = house.battery_kwh + into_kwh / house.discharge_efficiency
        house.battery_kwh = max(held_kwh, min(house.battery_kwh, house.floor_kwh))
        house.discharged_kwh -= into_kwh
    grid_kwh = into_kwh - net_kwh
    house.pv_kwh += pv_kwh
    house.load_kwh += load_kwh
    if grid_kwh > 0:
        house.import_kwh += grid_kwh
    else:
        house.export_kwh -= grid_kwh
