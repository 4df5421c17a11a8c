// Numbers and times as people read them: the language's signs, the home's zone.

import { language, t } from "./i18n.js";

let zone = "Europe/Berlin";
let currency = "EUR";
const made = new Map();

/** Takes over the home's zone and currency. */
export function setHome(homeZone, homeCurrency) {
  if (homeZone !== zone || homeCurrency !== currency) made.clear();
  zone = homeZone;
  currency = homeCurrency;
}

function formatter(kind, options) {
  const key = `${language()} ${kind.name} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new kind(language(), options));
  return made.get(key);
}

/** A number with a fixed count of decimals; a dash for unknown. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const text = formatter(Intl.NumberFormat, options).format(value);
  return /^-0([.,]0*)?$/.test(text) ? text.slice(1) : text;
}

/** Power in W below 1 kW, else in kW. */
export function power(watts) {
  if (watts === null || watts === undefined) return "–";
  const small = Math.abs(watts) < 995;
  return small ? `${number(watts)} W` : `${number(watts / 1000, 1)} kW`;
}

/** Percent. */
export function percent(value) {
  return value === null || value === undefined ? "–" : `${number(value)} %`;
}

const CENTS = { EUR: "ct", USD: "ct", AUD: "ct", CAD: "ct", NZD: "ct", CHF: "Rp.", GBP: "p" };

/** The unit in which prices per kWh are shown. */
export const priceUnit = () => `${CENTS[currency] ?? currency}/kWh`;

/** A price per kWh as a number in that unit. */
export const inCents = (price) => (CENTS[currency] ? price * 100 : price);

/** A price per kWh. */
export function price(value) {
  if (value === null || value === undefined) return "–";
  return `${number(inCents(value), CENTS[currency] ? 1 : 2)} ${priceUnit()}`;
}

/** Money. */
export function money(value) {
  if (value === null || value === undefined) return "–";
  return formatter(Intl.NumberFormat, { style: "currency", currency }).format(value);
}

function dateText(at, options) {
  return formatter(Intl.DateTimeFormat, { timeZone: zone, ...options }).format(at);
}

/** Hours and minutes in the home's zone. */
export const clock = (at) => dateText(at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** A short weekday in the home's zone. */
export const weekday = (at) => dateText(at, { weekday: "short" });

/** The hour of the day in the home's zone, 0 to 23. */
export const hourOf = (at) => Number(
  new Intl.DateTimeFormat("en", { timeZone: zone, hour: "numeric", hourCycle: "h23" }).format(at),
);

const dayOf = (at) => dateText(at, { year: "numeric", month: "2-digit", day: "2-digit" });

/** Whether two times are on the same day in the home. */
export const sameDay = (one, other) => dayOf(one) === dayOf(other);

/** A time, with its weekday unless it is today. */
export function when(at, now) {
  return sameDay(at, now) ? clock(at) : `${weekday(at)} ${clock(at)}`;
}

/** How long ago, in words: "3 min". */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return t("span_s", { n: whole });
  if (whole < 3600) return t("span_min", { n: Math.floor(whole / 60) });
  if (whole < 172800) return t("span_h", { n: Math.floor(whole / 3600) });
  return t("span_d", { n: Math.floor(whole / 86400) });
}

/** "updated 3 min ago", from the server's time. */
export function age(at, now) {
  if (at === null) return t("age_unknown");
  return t("age", { span: span((now - at) / 1000) });
}

/** An ISO time as a Date; null stays null. */
export const time = (iso) => (iso ? new Date(iso) : null);
