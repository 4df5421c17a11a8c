// The points that chart and table share: one per quarter hour, past prices first, then the plan.

import { time } from "./format.js";

const SLOT_MS = 900000;
const PAST_MS = 2 * 3600000;
const AHEAD = 192;

const at = (series, ms) => series?.values[Math.floor((ms - time(series.start)) / SLOT_MS)] ?? null;

function quantile(quantiles, name, ms) {
  const k = Math.floor((ms - time(quantiles.start)) / SLOT_MS);
  const value = quantiles[name][k];
  return value === undefined ? null : value / 1000;
}

function forecastOf(forecast, ms) {
  if (!forecast) return {};
  return {
    loadLow: quantile(forecast.load, "q10_w", ms),
    loadHigh: quantile(forecast.load, "q90_w", ms),
    loadMid: quantile(forecast.load, "q50_w", ms),
    pvLow: quantile(forecast.pv, "q10_w", ms),
    pvHigh: quantile(forecast.pv, "q90_w", ms),
    pvMid: quantile(forecast.pv, "q50_w", ms),
  };
}

function planned(slot) {
  return {
    price: slot.import_eur_kwh,
    export: slot.export_eur_kwh,
    assumed: slot.assumed_price,
    load: slot.load_kw,
    pv: slot.pv_kw,
    grid: slot.grid_import_kw - slot.grid_export_kw,
    battery: slot.battery_charge_kw - slot.battery_discharge_kw,
    mode: slot.battery_mode,
    soc: slot.battery_soc_pct,
    cars: slot.cars,
  };
}

/**
 * Points `{start, end, price, assumed, load, pv, grid, battery, soc, cars, loadLow, ...}` from two
 * hours ago to the end of the plan (without a plan: 48 hours of what is published and forecast).
 */
export function pointsOf(status, now) {
  const { plan, prices, forecast } = status;
  const slots = new Map((plan?.slots ?? []).map((slot) => [
    Math.floor(time(slot.start) / SLOT_MS) * SLOT_MS, slot,
  ]));
  const first = Math.floor((now - PAST_MS) / SLOT_MS / 4) * SLOT_MS * 4;
  const last = slots.size
    ? Math.max(...slots.keys())
    : Math.floor(now / SLOT_MS) * SLOT_MS + (AHEAD - 1) * SLOT_MS;
  const points = [];
  for (let ms = first; ms <= last; ms += SLOT_MS) {
    const slot = slots.get(ms);
    const ahead = forecastOf(forecast, ms);
    points.push({
      start: new Date(ms),
      end: new Date(ms + SLOT_MS),
      price: at(prices?.import_eur_kwh, ms),
      export: at(prices?.export_eur_kwh, ms),
      assumed: false,
      load: ahead.loadMid ?? null,
      pv: ahead.pvMid ?? null,
      grid: null, battery: null, mode: null, soc: null, cars: [],
      ...ahead,
      ...(slot ? planned(slot) : {}),
    });
  }
  return points;
}

/**
 * A function from price to `cheap`, `mid` or `dear`: the lower and upper third of what is shown.
 * A price that fills the middle (a flat night) is neither.
 */
export function ranker(points) {
  const sorted = points.map((point) => point.price).filter((one) => one !== null);
  sorted.sort((one, other) => one - other);
  const part = (share) => sorted[Math.floor(sorted.length * share)];
  const [low, middle, high] = [part(1 / 3), part(1 / 2), part(2 / 3)];
  return (price) => {
    if (price < middle && price <= low) return "cheap";
    return price > middle && price >= high ? "dear" : "mid";
  };
}
