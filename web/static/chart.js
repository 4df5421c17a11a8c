// The picture of the plan: 48 hours, price over power over SoC over one lane per battery and car.

import { byId, draw, make, setChildren, setText } from "./dom.js";
import { clock, number, percent, price, priceUnit, time, weekday, when } from "./format.js";
import { t } from "./i18n.js";
import {
  BAR, BAR_TOP, LANE, lanePanel, patterns, powerPanel, pricePanel, scaleOf, socPanel, timeAxis,
} from "./chart_parts.js";
import { kindText, titleOf } from "./reasons.js";

const PRICE = { top: 20, height: 96 };
const POWER = { top: 144, height: 64 };
const SOC = { top: 236, height: 54 };
const LANES = 300;
const BELOW = 24;

let drawn = null; // {status, points, x, width, height, cursor}

function lanesOf(status) {
  const lanes = new Map((status.plan?.blocks ?? []).map((block) => [block.name, block.lane]));
  return [...lanes];
}

function label(status, points) {
  const priced = points.filter((point) => point.price !== null);
  if (!priced.length) return t("chart_label_no_prices");
  const cheapest = priced.reduce((one, other) => (other.price < one.price ? other : one));
  return t("chart_label", {
    price: price(cheapest.price), at: when(cheapest.start, time(status.now)),
  });
}

/** The "now" marker: through every panel, not through their titles. */
function nowLine(lanes) {
  const bars = Array.from({ length: lanes }, (_, k) => ({ top: LANES + k * LANE + BAR_TOP, height: BAR }));
  return draw("g", { id: "now-line", class: "now" },
    [PRICE, POWER, SOC, ...bars].map(({ top, height }) =>
      draw("line", { y1: top - 3, y2: top + height + 3 })),
    draw("text", { y: 12, "text-anchor": "middle" }, t("now")));
}

/** Draws the whole chart into its box. */
export function renderChart(status, points, now) {
  const box = byId("chart-box");
  const width = Math.max(280, Math.floor(box.clientWidth));
  const lanes = lanesOf(status);
  const bottom = LANES + lanes.length * LANE;
  const height = bottom + BELOW;
  const x = scaleOf(points, width);
  const cars = lanes.filter(([, kind]) => kind === "car").map(([name]) => name);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": label(status, points) },
  patterns(),
  timeAxis(points, x, PRICE.top, bottom - PRICE.top, width),
  pricePanel(points, x, PRICE.top, PRICE.height, width, priceUnit()),
  powerPanel(points, x, POWER.top, POWER.height, width),
  socPanel(points, x, SOC.top, SOC.height, width, cars),
  lanes.map(([name, kind], k) => lanePanel(status, name, kind, x, LANES + k * LANE, width)),
  draw("rect", { id: "cursor", class: "cursor", y: PRICE.top, height: bottom - PRICE.top }),
  nowLine(lanes.length));
  setChildren(box, svg);
  const cursor = drawn?.cursor ?? null;
  drawn = { status, points, x, width, cursor };
  renderLegend(status, cars);
  moveNow(now);
  point(cursor);
}

/** Moves the "now" line; redraws nothing. */
export function moveNow(now) {
  const line = byId("now-line");
  if (!line || !drawn) return;
  const at = drawn.x(Math.max(drawn.points[0].start, Math.min(now, drawn.points.at(-1).end)));
  line.setAttribute("transform", `translate(${at},0)`);
  if (drawn.cursor === null) point(null, now);
}

function swatch(kind, text) {
  return make("span", { class: "legend-item" }, make("i", { class: `swatch ${kind}` }), text);
}

function renderLegend(status, cars) {
  const blocks = status.plan?.blocks ?? [];
  const present = (kind) => blocks.some((block) => block.kind === kind);
  const kinds = ["grid", "sun", "serve", "hold"].filter(present);
  setChildren(byId("legend"),
    ["cheap", "mid", "dear", "assumed"].map((kind) => swatch(`price ${kind}`, t(`legend_${kind}`))),
    swatch("line pv", t("pv")),
    swatch("line load", t("home")),
    status.battery ? swatch("line soc-battery", `${t("battery")} %`) : null,
    cars.map((name, k) => swatch(`line soc-car-${k % 3}`, `${titleOf(status, name)} %`)),
    kinds.map((kind) => swatch(`block ${kind}`, t(`legend_${kind}`))));
}

function readout(point) {
  const { status } = drawn;
  const at = point.start;
  const assumed = point.assumed ? ` (${t("assumed")})` : "";
  const bits = [`${price(point.price)}${assumed}`];
  const kw = (key, value) => {
    if (value !== null && value !== undefined) bits.push(`${t(key)} ${number(value, 1)} kW`);
  };
  kw("pv", point.pv);
  kw("home", point.load);
  kw("grid", point.grid);
  for (const [name, kind] of lanesOf(status)) {
    const block = status.plan.blocks.find((one) => one.name === name
      && time(one.start) < point.end && time(one.end) > at);
    const car = point.cars.find((one) => one.vehicle === name);
    const soc = name === null ? point.soc : car?.soc_pct ?? null;
    if (!block) continue;
    const charge = soc === null ? "" : ` (${percent(soc)})`;
    bits.push(`${titleOf(status, name)} ${kindText(kind, block.kind)}${charge}`);
  }
  return `${weekday(at)} ${clock(at)}–${clock(point.end)}: ${bits.join(" · ")}`;
}

/** Pins the cursor to one slot (null: none, the slot of `now` is read out). */
function point(k, now = time(drawn.status.now)) {
  drawn.cursor = k;
  const shown = k === null
    ? drawn.points.find((one) => one.start <= now && now < one.end)
    : drawn.points[k];
  const bar = byId("cursor");
  bar.setAttribute("visibility", k === null ? "hidden" : "visible");
  if (k !== null) {
    bar.setAttribute("x", drawn.x(shown.start));
    bar.setAttribute("width", Math.max(2, drawn.x(shown.end) - drawn.x(shown.start)));
  }
  setText(byId("readout"), shown ? readout(shown) : "");
}

function slotAt(event) {
  const left = byId("chart-box").getBoundingClientRect().left;
  const ends = drawn.points.map((one) => drawn.x(one.end));
  const found = ends.findIndex((end) => end > event.clientX - left);
  return found < 0 ? drawn.points.length - 1 : found;
}

/** Pointer and keyboard: tap or hover reads a slot out, arrow keys walk, Escape lets go. */
export function listen() {
  const box = byId("chart-box");
  box.addEventListener("pointermove", (event) => drawn && point(slotAt(event)));
  box.addEventListener("pointerdown", (event) => drawn && point(slotAt(event)));
  box.addEventListener("pointerleave", (event) => {
    if (drawn && event.pointerType === "mouse") point(null);
  });
  box.addEventListener("keydown", (event) => {
    if (!drawn) return;
    const now = time(drawn.status.now);
    const here = drawn.cursor ?? drawn.points.findIndex((one) => one.end > now);
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -16, PageDown: 16 };
    if (event.key === "Escape") point(null);
    else if (event.key in moves) {
      point(Math.max(0, Math.min(drawn.points.length - 1, here + moves[event.key])));
      event.preventDefault();
    }
  });
}
