// Live values as cards, changed in place: each flashes when it changes and carries its age.

import { flash, make, setText } from "./dom.js";
import { age, number, percent, power, time } from "./format.js";
import { t } from "./i18n.js";

const cards = new Map();

function newCard(id) {
  const parts = {
    root: make("article", { class: "card", "data-card": id }),
    label: make("h3"),
    value: make("p", { class: "value" }),
    meter: make("div", { class: "meter", role: "img", hidden: "" }, make("span"), make("i")),
    detail: make("p", { class: "detail" }),
    age: make("p", { class: "age" }),
    measuredAt: null,
  };
  parts.root.append(parts.label, parts.value, parts.meter, parts.detail, parts.age);
  return parts;
}

function fillMeter(meter, card) {
  meter.hidden = card.soc === null || card.soc === undefined;
  if (meter.hidden) return;
  meter.firstChild.style.width = `${Math.max(0, Math.min(100, card.soc))}%`;
  meter.lastChild.hidden = !card.goal;
  meter.lastChild.style.left = `${card.goal ?? 0}%`;
  meter.setAttribute("aria-label", percent(card.soc));
}

function siteCards(status) {
  const { grid_import_w: grid, pv_w: pv, home_w: home, battery } = status;
  const direction = (watts, positive, negative) => {
    if (watts === null || Math.abs(watts) < 10) return "";
    return t(watts > 0 ? positive : negative);
  };
  const list = [
    {
      id: "grid", label: t("grid"), value: power(grid === null ? null : Math.abs(grid)),
      detail: direction(grid, "importing", "exporting"), kind: grid < 0 ? "good" : "",
    },
    { id: "pv", label: t("pv"), value: power(pv), detail: pv > 10 ? t("producing") : "" },
    { id: "home", label: t("home"), value: power(home), detail: t("home_detail") },
  ];
  if (battery) {
    const watts = battery.charge_w;
    const flow = direction(watts, "charging_with", "serving_with");
    const mode = t(`battery_mode_${battery.mode}`);
    list.push({
      id: "battery", label: t("battery"), value: percent(battery.soc_pct), soc: battery.soc_pct,
      detail: flow ? `${flow} ${power(Math.abs(watts))} · ${mode}` : `${t("resting")} · ${mode}`,
    });
  }
  return list.map((card) => ({ ...card, at: time(status.measured_at) }));
}

function loadpointCard(status, loadpoint) {
  const vehicle = status.vehicles.find((one) => one.name === loadpoint.vehicle);
  const turn = status.turns.find((one) => one.loadpoint === loadpoint.name);
  const charging = loadpoint.charge_w > 10;
  const soc = loadpoint.connected ? loadpoint.vehicle_soc_pct : null;
  const name = loadpoint.connected ? loadpoint.vehicle_title ?? t("guest") : null;
  const bits = loadpoint.connected || charging
    ? [charging ? `${t("charging")} ${power(loadpoint.charge_w)}` : t("not_charging")]
    : [t("no_car")];
  if (loadpoint.connected && loadpoint.charger) bits.push(t(`mode_${loadpoint.mode}`));
  if (loadpoint.session_kwh > 0.05) bits.push(`${number(loadpoint.session_kwh, 1)} kWh`);
  const unknown = loadpoint.connected ? power(loadpoint.charge_w) : t("free");
  return {
    id: `loadpoint-${loadpoint.name}`,
    label: [loadpoint.title, name].filter(Boolean).join(" · "),
    value: soc === null ? unknown : percent(soc), soc,
    goal: turn?.target_soc_pct ?? loadpoint.effective_limit_soc_pct,
    detail: bits.join(" · "), kind: charging ? "busy" : "",
    at: soc !== null && vehicle?.measured_at ? time(vehicle.measured_at) : time(status.measured_at),
  };
}

function vehicleCard(vehicle) {
  const range = vehicle.range_km === null ? null : `${number(vehicle.range_km)} km`;
  const source = vehicle.source ? t(`source_${vehicle.source}`) : null;
  const bits = [t("not_at_wallbox"), range, source, vehicle.stale ? t("stale") : null];
  return {
    id: `vehicle-${vehicle.name}`, label: vehicle.title, value: percent(vehicle.soc_pct),
    soc: vehicle.soc_pct, detail: bits.filter(Boolean).join(" · "), at: time(vehicle.measured_at),
    kind: vehicle.stale ? "old" : "",
  };
}

/** Builds or updates the cards under `box`. */
export function renderCards(box, status) {
  const present = new Set(
    status.loadpoints.filter((one) => one.connected && one.vehicle).map((one) => one.vehicle),
  );
  const list = [
    ...siteCards(status),
    ...status.loadpoints.map((loadpoint) => loadpointCard(status, loadpoint)),
    ...status.vehicles.filter((one) => !present.has(one.name)).map(vehicleCard),
  ];
  for (const id of [...cards.keys()].filter((known) => !list.some((card) => card.id === known))) {
    cards.get(id).root.remove();
    cards.delete(id);
  }
  list.forEach((card, k) => {
    const isNew = !cards.has(card.id);
    if (isNew) cards.set(card.id, newCard(card.id));
    const parts = cards.get(card.id);
    if (box.children[k] !== parts.root) box.insertBefore(parts.root, box.children[k] ?? null);
    setText(parts.label, card.label);
    parts.root.dataset.kind = card.kind ?? "";
    const inLanguage = parts.root.lang === document.documentElement.lang;
    if (setText(parts.value, card.value) && !isNew && inLanguage) flash(parts.value);
    if (setText(parts.detail, card.detail) && !isNew && inLanguage) flash(parts.detail);
    parts.root.lang = document.documentElement.lang; // another language is no new value
    parts.measuredAt = card.at;
    fillMeter(parts.meter, card);
  });
}

/** Brings every card's age up to `now`, the server's time. */
export function renderAges(now) {
  for (const parts of cards.values()) setText(parts.age, age(parts.measuredAt, now));
}
