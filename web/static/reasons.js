// What is done now and why, who owns which setting, what comes next, what is wrong.

import { byId, flash, make, setChildren, show } from "./dom.js";
import { clock, number, percent, power, price, time, when } from "./format.js";
import { has, language, t } from "./i18n.js";

const STEPS_SHOWN = 8;
const CRUMB_KWH = 0.2;

/** What people call a lane: a car's title, or the house battery. */
export function titleOf(status, name) {
  if (name === null) return t("battery");
  const same = (one) => one.name.toLowerCase() === name.toLowerCase();
  return status.vehicles.find(same)?.title ?? status.loadpoints.find(same)?.title ?? name;
}

/** The sentence of a reason in the language in use. */
export const whyText = (why) => (why ? why[language()] : "");

/** A text for `key`, or the bare value where there is none (a newer server). */
const known = (key, value) => (has(key) ? t(key) : value);

/** "Carport: mode" for `loadpoint:lp-1:mode`. */
export function settingText(status, setting) {
  const [kind, ...rest] = setting.split(":");
  if (kind !== "loadpoint") return known(`setting_${kind}`, setting);
  const what = rest.pop();
  return `${titleOf(status, rest.join(":"))}: ${known(`setting_${what}`, what)}`;
}

/** Blocks that charge and are not over, earliest first. */
export function goodBlocks(status, now) {
  return status.plan.blocks
    .filter((block) => ["grid", "sun"].includes(block.kind) && time(block.end) > now)
    .sort((one, other) => time(one.start) - time(other.start));
}

/** The heart of a sentence about a lane: "serves the house". */
export const kindText = (lane, kind) => t(`kind_${lane}_${kind}`);

/** What the battery's mode means, and what it really does: it follows the house, not the plan. */
function batteryDoes(status, doing) {
  const watts = status.battery?.charge_w ?? null;
  const rule = known(`rule_${doing.mode}`, kindText(doing.lane, doing.kind));
  if (watts === null) return [rule];
  const flow = Math.abs(watts) < 10 ? "resting" : watts > 0 ? "charging_with" : "serving_with";
  const amount = flow === "resting" ? "" : ` ${power(Math.abs(watts))}`;
  return [rule, `${t("now")} ${t(flow)}${amount}`];
}

function carDoes(status, doing) {
  const loadpoint = status.loadpoints.find((one) => one.vehicle === doing.name);
  const bits = [kindText(doing.lane, doing.kind)];
  if (doing.power_kw > 0.05) bits.push(t("planned", { power: power(doing.power_kw * 1000) }));
  if (loadpoint) bits.push(`${t("now")} ${power(loadpoint.charge_w)}`);
  return bits;
}

function doingItem(status, doing, now) {
  const bits = doing.lane === "battery" ? batteryDoes(status, doing) : carDoes(status, doing);
  const next = doing.kind === "idle" && doing.lane === "car" && doing.next_charge_at;
  if (next) bits.push(t("charges_at", { at: when(time(next), now) }));
  else if (doing.until) bits.push(t("until", { at: when(time(doing.until), now) }));
  return make("li", { "data-kind": doing.kind },
    make("h3", {}, titleOf(status, doing.name)),
    make("p", { class: "what" }, bits.join(" · ")),
    make("p", { class: "why" }, whyText(doing.why)));
}

function ownerItem(status, owner, now) {
  const from = t("since", { at: when(time(owner.since), now) });
  const until = owner.until ? t("until", { at: when(time(owner.until), now) }) : null;
  const spanText = [from, until].filter(Boolean).join(" · ");
  return make("li", {},
    make("span", { class: "owner", "data-owner": owner.owner }, known(`owner_${owner.owner}`, owner.owner)),
    make("span", {}, make("strong", {}, settingText(status, owner.setting)), ` · ${spanText}`,
      make("br"), make("span", { class: "why" }, whyText(owner.why))));
}

/** Whether a block is worth a line: not rest, and not a crumb. */
const matters = (block) => block.kind !== "idle"
  && (block.kind === "hold" || Math.abs(block.energy_kwh) >= CRUMB_KWH);

function stepItem(status, block, now) {
  const start = time(block.start);
  const begins = start <= now ? t("now") : when(start, now);
  const amount = `${number(Math.abs(block.energy_kwh), 1)} kWh`;
  const bits = [kindText(block.lane, block.kind)];
  if (block.kind !== "hold") bits.push(amount);
  if (block.kind === "grid") bits.push(price(block.price_eur_kwh));
  if (block.soc_pct !== null) bits.push(t("then_soc", { soc: percent(block.soc_pct) }));
  return make("li", { "data-kind": block.kind },
    make("span", { class: "times" }, `${begins}–${clock(time(block.end))}`),
    make("span", {}, make("strong", {}, titleOf(status, block.name)), ` · ${bits.join(" · ")}`,
      make("br"), make("span", { class: "why" }, whyText(block.why))));
}

let shown = null;

/** Everything that is said in sentences, below the verdict. */
export function renderReasons(status, now) {
  const list = byId("doing");
  const items = status.doing.map((one) => doingItem(status, one, now));
  setChildren(list, items.length ? items : make("li", { class: "empty" }, t("no_plan_yet")));
  const said = status.doing.map((doing) => [doing.name, doing.kind, doing.mode].join()).join();
  if (shown !== null && shown !== said) flash(list); // powers move all the time; this is news
  shown = said;
  show(byId("watching"), status.control === "watch");

  setChildren(byId("owners"), status.in_control.length
    ? status.in_control.map((owner) => ownerItem(status, owner, now))
    : make("li", { class: "empty" }, t("nobody_owns")));

  setChildren(byId("troubles"), status.troubles.map((why) => make("li", {}, whyText(why))));
  show(byId("troubles"), status.troubles.length > 0);
  setChildren(byId("asked"), status.drivers_asked.map((asked) =>
    make("li", {}, `${whyText(asked.why)} (${when(time(asked.at), now)})`)));
  show(byId("asked"), status.drivers_asked.length > 0);

  const blocks = status.plan ? status.plan.blocks : [];
  const steps = blocks
    .filter((block) => matters(block) && time(block.end) > now)
    .sort((one, other) => time(one.start) - time(other.start))
    .slice(0, STEPS_SHOWN);
  setChildren(byId("steps"), steps.length
    ? steps.map((block) => stepItem(status, block, now))
    : make("li", { class: "empty" }, t("no_steps")));
}
