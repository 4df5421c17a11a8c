"""What the pretend evcc tells on `/ws` and when (evcc-recorded/websocket-demo.jsonl).

First all of the state but the forecast in one message, the forecast's keys in messages of their
own. Then one key per message: a cycle tells its readings and its loadpoint's keys, changed or not;
a setting is told as soon as it is set, and with it what belongs to it. Nothing else is repeated.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

Flat = tuple[dict[str, Any], msgspec.Raw]
"""The state with flat keys, and the forecast as it is encoded."""

READINGS = ("grid", "pvPower", "pvEnergy", "pv", "battery", "homePower")
EFFECTIVE = (
    "effectivePriority", "effectivePlanId", "effectivePlanTime", "effectivePlanSoc",
    "effectivePlanStrategy", "effectiveMinCurrent", "effectiveMaxCurrent", "effectiveMinSoc",
    "effectiveLimitSoc",
)  # fmt: skip
OF_LOADPOINT = (
    "smartCostActive", "smartCostNextStart", "smartFeedInPriorityActive",
    "smartFeedInPriorityNextStart", "offeredCurrent", "sessionEnergy", "sessionSolarPercentage",
    "sessionPricePerKWh", "sessionPrice", "sessionCo2PerKWh", "chargedEnergy", "chargeDuration",
    "todayEnergy", "last24hEnergy", "last7dEnergy", *EFFECTIVE, "vehicleWelcomeActive",
    "connected", "charging", "vehicleLimitSoc", "vehicleRange", "vehicleSoc",
    "chargeRemainingDuration", "chargeRemainingEnergy", "mode", "plan", "planProjectedStart",
    "planProjectedEnd", "planOverrun", "minSocNotReached",
)  # fmt: skip
WHEN_ASKED = (
    "vehicleLimitSoc", "vehicleRange", "chargeRemainingDuration", "chargeRemainingEnergy",
)  # fmt: skip
"""Told whenever the car is asked, as it is while it charges; 0 is not told again."""
OF_SITE = (
    "greenShareHome", "greenShareLoadpoints", "tariffGrid", "tariffFeedIn", "tariffSolar",
    "tariffPriceHome", "tariffPriceLoadpoints",
)  # fmt: skip

VEHICLE = ("vehicleTitle", "phasesActive")
NEW_VEHICLE = (
    *VEHICLE, "vehicleClimaterActive", "vehicleSoc", "vehicleRange", "vehicleLimitSoc",
    "vehicleOdometer",
)  # fmt: skip
TOGETHER = {
    "mode": ("mode", "batteryBoost"),
    "planEnergy": ("planEnergy", "planTime"),
    "planStrategy": ("planStrategy", "effectivePlanStrategy"),
    "enableThreshold": ("enableThreshold", "disableThreshold"),
    "disableThreshold": ("enableThreshold", "disableThreshold"),
    "vehicleName": ("vehicleName", *NEW_VEHICLE, *EFFECTIVE, "vehicleDetectionActive"),
    "vehicleDetectionActive": ("vehicleName", *VEHICLE, *EFFECTIVE, "vehicleDetectionActive"),
    "pvRemaining": ("pvAction", "pvRemaining"),
    "phaseRemaining": ("phaseAction", "phaseRemaining"),
    **dict.fromkeys(EFFECTIVE, EFFECTIVE),
}
"""Keys of a loadpoint that are told together when the first of them is set."""

Listener = deque[bytes]
"""Messages that one listener has not fetched yet."""
LONGEST = 50_000
"""A listener that lets so many wait gets no more; it has to be let go."""


class Publisher:
    """Writes messages for all who listen. Costs nothing while nobody does. Not thread-safe."""

    def __init__(self, read: Callable[[], Flat]) -> None:
        self._read = read
        self._listeners: list[Listener] = []
        self._told: dict[str, Any] = {}
        self._forecast = msgspec.Raw(b"{}")
        self._forecast_told: dict[str, Any] = {}

    def listen(self) -> Listener:
        """A new listener; its first messages wait already."""
        if not self._listeners:
            self._told, self._forecast = self._look()
            self._forecast_told = _forecast(self._forecast)
        listener = Listener([msgspec.json.encode(self._told)])
        listener.extend(_message(key, self._forecast_told[key]) for key in self._forecast_told)
        self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        self._listeners = [one for one in self._listeners if one is not listener]

    def _look(self) -> Flat:
        """The state of now, as copies."""
        state, forecast = self._read()
        return msgspec.json.decode(msgspec.json.encode(state)), forecast

    def cycle(self, k: int, read: bool = True) -> None:
        """A cycle of loadpoint `k` is over. Not `read`: the grid's meter failed."""
        if not self._listeners:
            return
        state, forecast = self._look()
        others = self._together(self._changed(state))
        first = [key for key in state if key.endswith(".chargePower")]
        first += READINGS if read else READINGS[1:-1]
        order: list[str] = []
        current = f"loadpoints.{k}.offeredCurrent"
        if read:
            first += self._of_loadpoint(state, f"loadpoints.{k}")
            order += [key for key in others if key.startswith("loadpoints.")]
            order += OF_SITE
        order += [key for key in others if not key.startswith("loadpoints.")]
        order.append("batteryGridChargeActive")
        order += [key for key in state if key.endswith(".suggestion")]
        # the current is told as it was, and again where it is another one now
        old = {current: self._told[current]} if current in self._told else {}
        self._tell(state | old, first)
        self._tell(state, [key for key in order if key not in first or key == current])
        self._tell_forecast(forecast)

    def settings(self) -> None:
        """Something was set: what is different now, each with what belongs to it."""
        if not self._listeners:
            return
        state, _ = self._look()
        changed = self._changed(state)
        first = self._of_vehicles(state) if "vehicles" in changed else []
        self._tell(state, first + self._together(changed))

    def _changed(self, state: dict[str, Any]) -> list[str]:
        """What is not as it was told."""
        missing = object()
        return [key for key in state if self._told.get(key, missing) != state[key]]

    def _together(self, changed: list[str]) -> list[str]:
        """The same, each with what belongs to it."""
        order: list[str] = []
        for key in changed:
            place, _, name = key.rpartition(".")
            order += [f"{place}.{one}" for one in TOGETHER.get(name, ())] if place else []
            order.append(key)
        return order

    def _of_loadpoint(self, state: dict[str, Any], place: str) -> list[str]:
        """What a cycle tells of its loadpoint in any case."""
        asked = state.get(f"{place}.charging", False)
        return [
            f"{place}.{key}"
            for key in OF_LOADPOINT
            if key not in WHEN_ASKED or (asked and state.get(f"{place}.{key}"))
        ]

    def _of_vehicles(self, state: dict[str, Any]) -> list[str]:
        """What counts at the loadpoints whose vehicle has other settings now."""
        old, new = self._told["vehicles"], state["vehicles"]
        order: list[str] = []
        for key, vehicle in state.items():
            place, _, name = key.rpartition(".")
            if name == "vehicleName" and old.get(vehicle) != new.get(vehicle):
                order += [f"{place}.{one}" for one in EFFECTIVE]
        return order

    def _tell(self, state: dict[str, Any], order: Iterable[str]) -> None:
        """These keys once each, one message per key."""
        for key in dict.fromkeys(order):
            if key in state:
                self._send(_message(key, state[key]))
        self._told = state

    def _tell_forecast(self, forecast: msgspec.Raw) -> None:
        """Its keys, as far as they are others than before."""
        if forecast is self._forecast:
            return
        new = _forecast(forecast)
        for key in new:
            if self._forecast_told.get(key) != new[key]:
                self._send(_message(key, new[key]))
        self._forecast, self._forecast_told = forecast, new

    def _send(self, message: bytes) -> None:
        for listener in self._listeners:
            if len(listener) < LONGEST:
                listener.append(message)


def _message(key: str, value: Any) -> bytes:
    return msgspec.json.encode({key: value})


def _forecast(encoded: msgspec.Raw) -> dict[str, Any]:
    parts = msgspec.json.decode(encoded)
    return {f"forecast.{key}": parts[key] for key in parts}
