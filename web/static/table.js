// The numbers behind the chart, as a table; made only while it is open.

import { byId, make, setChildren } from "./dom.js";
import { clock, number, percent, priceUnit, weekday, inCents } from "./format.js";
import { t } from "./i18n.js";
import { titleOf } from "./reasons.js";

function row(point, cars) {
  const kw = (value) => number(value, 1);
  const mark = point.assumed ? "*" : "";
  const cells = [
    point.price === null ? "–" : `${number(inCents(point.price), 1)}${mark}`,
    kw(point.pv), kw(point.load), kw(point.grid), kw(point.battery), percent(point.soc),
    ...cars.map((name) => kw(point.cars.find((car) => car.vehicle === name)?.charge_kw ?? null)),
  ];
  const at = `${weekday(point.start)} ${clock(point.start)}`;
  return make("tr", {}, make("th", { scope: "row" }, at), cells.map((text) => make("td", {}, text)));
}

/** Fills the table when its box is open. */
export function renderTable(status, points) {
  if (!byId("table-box").open) return;
  const cars = [...new Set(points.flatMap((point) => point.cars.map((car) => car.vehicle)))];
  const heads = [
    t("time"), `${t("price")} ${priceUnit()}`, `${t("pv")} kW`, `${t("home")} kW`,
    `${t("grid")} kW`, `${t("battery")} kW`, `${t("battery")} %`,
    ...cars.map((name) => `${titleOf(status, name)} kW`),
  ];
  setChildren(byId("table"),
    make("caption", {}, t("table_caption")),
    make("thead", {}, make("tr", {}, heads.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, points.map((point) => row(point, cars))));
}
