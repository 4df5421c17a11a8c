// One sentence for the door: is all well, and what comes next?

import { clock, number, percent, price, span, time, when } from "./format.js";
import { t } from "./i18n.js";
import { goodBlocks, settingText, titleOf } from "./reasons.js";

function shortfallText(status, shortfall, now) {
  const values = {
    name: titleOf(status, shortfall.name === "battery" ? null : shortfall.name),
    by: shortfall.by ? when(time(shortfall.by), now) : "–",
    missing: shortfall.missing_pct === null
      ? `${number(shortfall.missing_kwh, 1)} kWh`
      : percent(shortfall.missing_pct),
  };
  return t(shortfall.by ? "verdict_risk" : "verdict_risk_open", values);
}

/** `{kind, text}`: kind is `ok`, `look`, `act`, `watch` or `wait`. */
export function verdict(status, now) {
  const owned = (name) => status.in_control.find((owner) => owner.owner === name);
  const human = owned("human");
  if (status.health.problems.includes("hands_off")) return { kind: "act", text: t("verdict_hands_off") };
  if (!status.evcc_reachable) {
    const since = time(status.evcc_silent_since) ?? time(status.measured_at);
    if (since === null) return { kind: "wait", text: t("verdict_starting") };
    const ago = span((now - since) / 1000);
    return { kind: "act", text: t("verdict_evcc_silent", { span: ago }) };
  }
  const missed = status.plan?.shortfalls.filter((one) => one.goal !== "forecast_reserve") ?? [];
  if (missed.length) {
    const [shortfall] = missed;
    return { kind: "look", text: shortfallText(status, shortfall, now) };
  }
  if (status.control === "off") return { kind: "watch", text: t("verdict_off") };
  if (status.control === "watch") return { kind: "watch", text: t("verdict_watch") };
  if (owned("evcc_optimizer")) return { kind: "watch", text: t("verdict_optimizer") };
  if (!status.plan) return { kind: "wait", text: t("verdict_no_plan") };
  if (human) {
    return { kind: "watch", text: t("verdict_human", { what: settingText(status, human.setting) }) };
  }
  if (status.troubles.length) return { kind: "look", text: t("verdict_troubles") };
  return { kind: "ok", text: t("verdict_ok") };
}

/** What happens next, and whether the goals will be met: a few short lines. */
export function nextLines(status, now) {
  if (!status.plan) return [];
  const lines = [];
  const block = goodBlocks(status, now).find((one) => one.lane === "car" || one.kind === "grid");
  if (block) {
    const start = time(block.start);
    const key = start <= now ? "next_charging_now" : "next_charging";
    lines.push(t(key, {
      name: titleOf(status, block.name),
      start: when(start, now),
      end: clock(time(block.end)),
      price: block.kind === "sun" ? t("from_sun") : price(block.price_eur_kwh),
    }));
  }
  for (const turn of status.turns) {
    const missed = status.plan.shortfalls.some((shortfall) => shortfall.name === turn.vehicle);
    if (turn.departure && turn.target_soc_pct !== null && !missed) {
      lines.push(t("goal_met", {
        name: turn.title,
        target: percent(turn.target_soc_pct),
        by: when(time(turn.departure), now),
      }));
    }
  }
  return lines;
}
