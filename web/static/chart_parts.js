// The panels of the chart, each drawn into one <g>: bars, lines with bands, SoC, lanes, time axis.

import { draw } from "./dom.js";
import { hourOf, inCents, number, time, weekday } from "./format.js";
import { t } from "./i18n.js";
import { kindText, titleOf } from "./reasons.js";
import { ranker } from "./series.js";

export const LEFT = 34;
const RIGHT = 6;
const HOUR_MS = 3600000;

/** x of a time, in pixels. */
export function scaleOf(points, width) {
  const from = points[0].start.getTime();
  const to = points[points.length - 1].end.getTime();
  return (at) => LEFT + ((at - from) / (to - from)) * (width - LEFT - RIGHT);
}

/** Round steps that give about `count` ticks between `low` and `high`. */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((one) => one >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) {
    found.push(Math.round(value / step) * step);
  }
  return found;
}

function panel(name, top, height, low, high, width, digits) {
  const y = (value) => top + height - ((value - low) / (high - low)) * height;
  const group = draw("g", { class: `panel-${name}` });
  for (const value of ticks(low, high, height > 70 ? 4 : 3)) {
    group.append(
      draw("line", { class: "grid-line", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      draw("text", { class: "tick", x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" },
        number(value, digits(value))),
    );
  }
  return { group, y };
}

const title = (text, top, width) => draw("text", {
  class: "panel-title", x: width - RIGHT, y: top - 6, "text-anchor": "end",
}, text);

/** Price bars by slot: colour by third of what is shown, hatched where assumed. */
export function pricePanel(points, x, top, height, width, unit) {
  const values = points.map((point) => point.price).filter((one) => one !== null).map(inCents);
  const low = Math.min(0, ...values);
  const high = Math.max(1, ...values) * 1.05;
  const { group, y } = panel("price", top, height, low, high, width, () => 0);
  group.append(title(`${t("price")} (${unit})`, top, width));
  const rank = ranker(points);
  for (const point of points) {
    if (point.price === null) continue;
    const cents = inCents(point.price);
    const left = x(point.start);
    const box = {
      x: left, width: Math.max(0.5, x(point.end) - left - 0.4),
      y: Math.min(y(cents), y(0)), height: Math.max(1, Math.abs(y(cents) - y(0))),
    };
    group.append(draw("rect", { class: `price ${rank(point.price)}`, ...box }));
    if (point.assumed) group.append(draw("rect", { fill: "url(#hatch)", ...box }));
  }
  return group;
}

/** Runs of points where every named value is known. */
function known(points, ...names) {
  const found = [[]];
  for (const point of points) {
    if (names.every((name) => point[name] !== null && point[name] !== undefined)) {
      found[found.length - 1].push(point);
    } else if (found[found.length - 1].length) {
      found.push([]);
    }
  }
  return found.filter((run) => run.length);
}

/** A stepped path through one value per slot. */
function steps(run, x, y, name) {
  const ahead = run.map((p) => `${x(p.start)},${y(p[name])} ${x(p.end)},${y(p[name])}`);
  return ahead.join(" ");
}

function band(run, x, y, low, high) {
  const above = run.map((p) => `${x(p.start)},${y(p[high])} ${x(p.end)},${y(p[high])}`);
  const below = [...run].reverse().map((p) => `${x(p.end)},${y(p[low])} ${x(p.start)},${y(p[low])}`);
  return [...above, ...below].join(" ");
}

/** Sun and house load as lines in their 10 to 90 % bands. */
export function powerPanel(points, x, top, height, width) {
  const all = points.flatMap((p) => [p.load, p.pv, p.loadHigh, p.pvHigh]).filter(Number.isFinite);
  const { group, y } = panel("power", top, height, 0, Math.max(1, ...all) * 1.05, width,
    (value) => (Number.isInteger(value) ? 0 : 1));
  group.append(title(t("power_title"), top, width));
  for (const name of ["pv", "load"]) {
    for (const run of known(points, `${name}Low`, `${name}High`)) {
      const outline = band(run, x, y, `${name}Low`, `${name}High`);
      group.append(draw("polygon", { class: `band ${name}`, points: outline }));
    }
    for (const run of known(points, name)) {
      group.append(draw("polyline", { class: `line ${name}`, points: steps(run, x, y, name) }));
    }
  }
  return group;
}

/** State of charge of the battery and of every car in the plan. */
export function socPanel(points, x, top, height, width, names) {
  const { group, y } = panel("soc", top, height, 0, 100, width, () => 0);
  group.append(title(t("soc_title"), top, width));
  const line = (kind, value) => {
    const path = points
      .map((point) => [point.end, value(point)])
      .filter(([, soc]) => soc !== null && soc !== undefined)
      .map(([end, soc]) => `${x(end)},${y(soc)}`);
    if (path.length) {
      group.append(draw("polyline", { class: `line soc ${kind}`, points: path.join(" ") }));
    }
  };
  line("battery", (point) => point.soc);
  names.forEach((name, k) => line(`car-${k % 3}`,
    (point) => point.cars.find((car) => car.vehicle === name)?.soc_pct));
  return group;
}

export const BAR = 18;
export const BAR_TOP = 16;
export const LANE = 40;

/** One lane: a title and its blocks, labelled where there is room. */
export function lanePanel(status, name, kind, x, top, width) {
  const group = draw("g", { class: "lane" },
    draw("text", { class: "panel-title", x: LEFT, y: top + 11 }, titleOf(status, name)));
  group.append(draw("rect", { class: "lane-floor", x: LEFT, y: top + BAR_TOP, height: BAR, rx: 3,
    width: width - LEFT - RIGHT }));
  for (const block of status.plan.blocks) {
    if (block.name !== name || block.kind === "idle") continue;
    const left = x(time(block.start));
    const wide = Math.max(2, x(time(block.end)) - left - 1);
    const text = t(`short_${block.kind}`);
    group.append(draw("rect", { class: `block ${block.kind}`, x: left, y: top + BAR_TOP, height: BAR,
      width: wide, rx: Math.min(3, wide / 2) },
    draw("title", {}, kindText(kind, block.kind))));
    if (block.kind === "serve" || block.kind === "hold") {
      group.append(draw("rect", { fill: `url(#${block.kind})`, x: left, y: top + BAR_TOP, height: BAR,
        width: wide, rx: 3 }));
    }
    if (wide > text.length * 6.6 + 8) {
      group.append(draw("text", { class: `block-label ${block.kind}`, x: left + wide / 2,
        y: top + BAR_TOP + BAR / 2 + 4, "text-anchor": "middle" }, text));
    }
  }
  return group;
}

/** Hours below the panels, the day's name at midnight, and lines through all panels. */
export function timeAxis(points, x, top, height, width) {
  const every = width < 500 ? 6 : 3;
  const group = draw("g", { class: "axis" });
  const from = Math.ceil(points[0].start / HOUR_MS) * HOUR_MS;
  for (let ms = from; ms <= points[points.length - 1].end.getTime(); ms += HOUR_MS) {
    const at = new Date(ms);
    const hour = hourOf(at);
    if (hour % every) continue;
    const midnight = hour === 0;
    group.append(
      draw("line", { class: midnight ? "midnight" : "grid-line", x1: x(at), x2: x(at), y1: top,
        y2: top + height + 4 }),
      draw("text", { class: midnight ? "tick day" : "tick", x: x(at), y: top + height + 17,
        "text-anchor": "middle" }, midnight ? weekday(at) : String(hour)),
    );
  }
  return group;
}

/** The hatches, so that colour is never the only sign. */
export function patterns() {
  const stripes = (id, path) => draw("pattern", { id, width: 6, height: 6,
    patternUnits: "userSpaceOnUse" }, draw("path", { d: path, class: `hatch ${id}` }));
  return draw("defs", {},
    stripes("hatch", "M-1,1 l2,-2 M0,6 l6,-6 M5,7 l2,-2"),
    stripes("serve", "M-1,5 l2,2 M0,0 l6,6 M5,-1 l2,2"),
    stripes("hold", "M1,3 h2"));
}
