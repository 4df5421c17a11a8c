"""The page and the server speak of the same fields, texts and files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.clock import VirtualClock
from engine.values import BatteryMode, ChargeMode, SocSource
from tests.make_status import NOW, at_risk, make_messages, make_plan
from web.feed import Window
from web.status import status

STATIC = Path(__file__).resolve().parent.parent / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
TEXTS = {tag: json.loads((STATIC / "i18n" / f"{tag}.json").read_text()) for tag in ("de", "en")}

# in the page, these names stand for data of the server and for nothing else
PLACES = {
    "status": (),
    "health": ("health",),
    "battery": ("battery",),
    "loadpoint": ("loadpoints", 0),
    "vehicle": ("vehicles", 0),
    "turn": ("turns", 0),
    "owner": ("in_control", 0),
    "doing": ("doing", 0),
    "asked": ("drivers_asked", 0),
    "plan": ("plan",),
    "slot": ("plan", "slots", 0),
    "car": ("plan", "slots", 0, "cars", 0),
    "block": ("plan", "blocks", 0),
    "shortfall": ("plan", "shortfalls", 0),
    "why": ("why",),
    "prices": ("prices",),
    "series": ("prices", "import_eur_kwh"),
    "forecast": ("forecast",),
    "quantiles": ("forecast", "load"),
    "totals": ("totals",),
}
READ = re.compile(rf"(?<![\w.\-/])({'|'.join(PLACES)})\??\.([a-zA-Z_0-9]+)")
NESTED = re.compile(r"(?<![\w.])status\.(health|battery|plan|prices|forecast)\??\.(\w+)")


def whole_status() -> dict[str, Any]:
    window = Window(VirtualClock(NOW))
    for message in make_messages():
        list(window.on(at_risk(message) if message == make_plan() else message))  # type: ignore[arg-type]
    return status(window.snapshot, NOW)


def reads(script: Path) -> set[tuple[str, str]]:
    text = script.read_text()
    return set(READ.findall(text)) | set(NESTED.findall(text))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_inv_159_every_field_that_the_page_reads_is_produced(script: Path) -> None:
    whole = whole_status()
    for place, field in reads(script) - {("why", "de")}:
        found: Any = whole
        for step in PLACES[place]:
            found = found[step]
        assert field in found, f"{script.name} reads {place}.{field}"


def test_inv_159_the_page_reads_enough_for_the_test_to_mean_something() -> None:
    found = set().union(*(reads(script) for script in SCRIPTS))
    assert len(found) > 60
    assert {place for place, _ in found} >= PLACES.keys() - {"why", "battery"}


def used_texts() -> set[str]:
    """Keys that stand in the page and its scripts, and those made of values that the server has."""
    found = set()
    for path in [*SCRIPTS, STATIC / "index.html"]:
        text = path.read_text()
        found |= set(re.findall(r"""\bt\(\s*"(\w+)\"""", text))
        found |= set(re.findall(r'data-i18n(?:-label)?="(\w+)"', text))
        for prefix in re.findall(r"`(\w+_)\$\{", text):
            found |= {key for key in TEXTS["en"] if key.startswith(prefix)}
        for keys in re.findall(r"t\([^()]*\? \"(\w+)\" : \"(\w+)\"", text):
            found |= set(keys)
    return found


def test_both_languages_have_the_same_texts_with_the_same_gaps() -> None:
    assert TEXTS["de"].keys() == TEXTS["en"].keys()
    for key, german in TEXTS["de"].items():
        gaps = [set(re.findall(r"\{(\w+)\}", text)) for text in (german, TEXTS["en"][key])]
        assert gaps[0] == gaps[1], key
        assert german


def test_every_text_that_the_page_uses_exists() -> None:
    assert used_texts() <= TEXTS["de"].keys()
    assert len(used_texts()) > 80


def test_there_is_a_text_for_every_value_that_the_server_may_send() -> None:
    wanted = {f"mode_{mode}" for mode in ChargeMode} | {f"source_{one}" for one in SocSource}
    wanted |= {f"battery_mode_{mode}" for mode in BatteryMode}
    wanted |= {f"rung_{rung}" for rung in ("lp", "last", "rules", "evcc")}
    wanted |= {f"health_{one}" for one in ("ok", "starting", "degraded")}
    wanted |= {f"kind_battery_{one}" for one in ("grid", "sun", "serve", "hold", "idle")}
    wanted |= {f"kind_car_{one}" for one in ("grid", "sun", "idle")}
    wanted |= {f"owner_{one}" for one in ("smartload", "evcc", "evcc_optimizer", "human")}
    assert wanted <= TEXTS["de"].keys()


def test_nothing_is_loaded_from_elsewhere_and_no_script_stands_in_the_page() -> None:
    for path in STATIC.rglob("*.*"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\son\w+=", page)
    assert "style=" not in page


def test_every_module_is_preloaded_and_every_import_exists() -> None:
    page = (STATIC / "index.html").read_text()
    for script in SCRIPTS:
        assert f'modulepreload" href="static/{script.name}"' in page, script.name
        for name in re.findall(r'from "\./([\w.]+)"', script.read_text()):
            assert (STATIC / name).is_file(), f"{script.name} imports {name}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_small(script: Path) -> None:
    assert script.read_text().count("\n") <= 400


def test_the_page_is_light() -> None:
    assert sum(path.stat().st_size for path in STATIC.rglob("*.*")) < 120_000


# texts and what they stand on (token names of style.css)
PAIRS = [
    ("text", "panel"), ("text", "page"), ("muted", "panel"), ("muted", "page"),
    ("accent", "panel"), ("accent", "page"), ("warn", "panel"), ("bad", "panel"), ("bad", "page"),
    ("on-accent", "accent"), ("on-sun", "sun"), ("on-serve", "serve"), ("text", "hold"),
    ("panel", "ok"), ("panel", "warn"), ("panel", "bad"), ("panel", "accent"), ("panel", "muted"),
    ("text", "flash"),
]  # fmt: skip


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_has_enough_contrast(theme: int) -> None:
    roots = re.findall(r":root \{(.*?)\}", (STATIC / "style.css").read_text(), re.DOTALL)
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", "".join(roots[: theme + 1])))
    for one, other in PAIRS:
        dark, light = sorted((luminance(tokens[one]), luminance(tokens[other])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{one} on {other}"
