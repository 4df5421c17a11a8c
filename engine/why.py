"""`smartload why`: the explanation in the terminal, from a running controller's `/status`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from engine.slots import slot_of


class WhyError(Exception):
    """Nothing can be explained; `unreachable` tells whether the controller answered at all."""

    def __init__(self, text: str, unreachable: bool) -> None:
        super().__init__(text)
        self.unreachable = unreachable


def explain(url: str, at: str | None, car: str | None, language: str) -> Iterator[str]:
    """Sentences on what is done now, or is planned for `at`. Raises WhyError."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/status", timeout=10)
        status = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise WhyError(
            f"no controller answers at {url} ({error}); start one (`smartload run`, `smartload "
            "demo`), or give its address with --url",
            unreachable=True,
        ) from error
    plan = status.get("plan")
    if not plan or not plan["slots"]:
        raise WhyError("there is no plan yet; try again in a few seconds", unreachable=False)
    zone = ZoneInfo(status.get("zone") or "UTC")
    moment = _moment(at, status, zone)
    slot = _slot(plan["slots"], moment, zone)
    start = datetime.fromisoformat(slot["start"]).astimezone(zone)
    yield f"{start:%a %H:%M}  {slot['import_eur_kwh'] * 100:.1f} ct/kWh  (plan {plan['revision']})"
    yield from _sentences(plan["blocks"], moment, car, language)
    if at is None:
        for owned in status["in_control"]:
            yield f"{owned['setting']}: {owned['owner']}: {owned['why'][language]}"


def _moment(at: str | None, status: dict[str, Any], zone: ZoneInfo) -> datetime:
    now = datetime.fromisoformat(status["now"])
    if at is None:
        return now
    try:
        if len(at) <= 5:
            hour, minute = at.split(":")
            local = now.astimezone(zone).replace(
                hour=int(hour), minute=int(minute), second=0, microsecond=0
            )
            return local if local >= now else local + timedelta(days=1)
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise WhyError(
            f"--at {at!r} is no time: give HH:MM (the home's local time) or an ISO time",
            unreachable=False,
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _slot(slots: list[dict[str, Any]], at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    wanted = slot_of(at.astimezone(UTC))
    for slot in slots:
        if slot_of(datetime.fromisoformat(slot["start"])) == wanted:
            return slot
    first = datetime.fromisoformat(slots[0]["start"]).astimezone(zone)
    last = datetime.fromisoformat(slots[-1]["start"]).astimezone(zone)
    raise WhyError(
        f"the plan goes from {first:%a %H:%M} to {last:%a %H:%M}; {at.astimezone(zone):%a %H:%M} "
        "lies outside",
        unreachable=False,
    )


def _sentences(
    blocks: list[dict[str, Any]], at: datetime, car: str | None, language: str
) -> Iterator[str]:
    """What the battery and each car do at `at`, and why."""
    found = False
    for block in blocks:
        name = block["name"] or "battery"
        if car is not None and name.casefold() != car.casefold():
            continue
        if datetime.fromisoformat(block["start"]) <= at < datetime.fromisoformat(block["end"]):
            found = True
            yield f"{name}: {block['mode'] or '-'}: {block['why'][language]}"
    if car is not None and not found:
        yield f"{car}: nothing is planned for it then"
