"""`smartload why`: the explanation in the terminal, from a running controller's `/status`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from engine.slots import slot_of
from engine.words import label


class WhyError(Exception):
    """Nothing can be explained; `unreachable` tells whether the controller answered at all."""

    def __init__(self, text: str, unreachable: bool) -> None:
        super().__init__(text)
        self.unreachable = unreachable


def explain(url: str, at: str | None, car: str | None, language: str) -> Iterator[str]:
    """Sentences on what is done now, or is planned for `at`. Raises WhyError."""
    url = url if "://" in url else f"http://{url}"
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
    titles = {one["name"]: one["title"] for one in status["vehicles"]}
    if car is not None:
        car = _car(car, titles)
    start = datetime.fromisoformat(slot["start"]).astimezone(zone)
    assumed = ", assumed" if slot["assumed_price"] else ""
    price = f"{slot['import_eur_kwh'] * 100:.1f} ct/kWh{assumed}"
    yield f"{start:%a %H:%M}  {price}  (plan {plan['revision']})"
    yield from _sentences(plan["blocks"], moment, car, titles, language)
    if at is None and car is None:
        yield ""
        boxes = {one["name"]: one["title"] or one["name"] for one in status["loadpoints"]}
        for owned in status["in_control"]:
            setting = _setting(owned["setting"], boxes, language)
            yield f"{setting}: {label(owned['owner'], language)}: {owned['why'][language]}"


def _car(asked: str, titles: dict[str, str]) -> str:
    """evcc's name of the car with this name or title. Raises WhyError."""
    for name, title in titles.items():
        if asked.casefold() in (name.casefold(), (title or name).casefold()):
            return name
    known = ", ".join(titles) or "none"
    raise WhyError(f"there is no car {asked!r}; there are: {known}", unreachable=False)


def _setting(setting: str, boxes: dict[str, str], language: str) -> str:
    """`loadpoint:garage:limit_soc` -> `Garage, charging limit`."""
    if not setting.startswith("loadpoint:"):
        return label(setting, language)
    name, _, what = setting.removeprefix("loadpoint:").rpartition(":")
    return f"{boxes.get(name, name)}, {label(what, language)}"


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
    blocks: list[dict[str, Any]],
    at: datetime,
    car: str | None,
    titles: dict[str, str],
    language: str,
) -> Iterator[str]:
    """What the battery and each car do at `at`, and why."""
    found = False
    for block in blocks:
        name = block["name"]
        if car is not None and name != car:
            continue
        if datetime.fromisoformat(block["start"]) <= at < datetime.fromisoformat(block["end"]):
            found = True
            lane = label("battery", language) if name is None else titles.get(name) or name
            yield f"{lane}: {label(block['mode'] or 'unknown', language)}: {block['why'][language]}"
    if car is not None and not found:
        yield f"{titles[car] or car}: nothing is planned for it then"
