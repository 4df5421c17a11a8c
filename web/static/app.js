// The window's page: hears the status, shows it; asks for nothing and changes nothing.

import { renderAges, renderCards } from "./cards.js";
import { listen as listenToChart, moveNow, renderChart } from "./chart.js";
import { byId, make, setChildren, setText, show } from "./dom.js";
import { connect } from "./feed.js";
import { age, clock, money, number, setHome, time } from "./format.js";
import { language, preferred, t, translatePage, use } from "./i18n.js";
import { renderReasons, whyText } from "./reasons.js";
import { pointsOf } from "./series.js";
import { renderTable } from "./table.js";
import { nextLines, verdict } from "./verdict.js";

const OLD_S = 30; // or two ticks, where they are farther apart
const MARKS = { ok: "✓", look: "!", act: "✕", watch: "◉", wait: "…" };

let status = null;
let heardAt = 0;
let connection = "off";
let chartOf = "";
let drawing = false;

/** The server's time: what it last said, and what has passed here since. */
function serverNow() {
  return new Date(time(status.now).getTime() + (performance.now() - heardAt));
}

function renderHeader(now) {
  byId("dot").dataset.state = connection;
  setText(byId("connection-text"), t(`connection_${connection}`));
  setText(byId("data-age"), status ? age(time(status.measured_at), now) : "");
  if (!status) return;
  const ageS = status.measured_at ? (now - time(status.measured_at)) / 1000 : Infinity;
  byId("data-age").dataset.old = ageS > Math.max(OLD_S, 2 * status.tick_s);
  setText(byId("site-title"), status.site_title ?? "");
}

function renderVerdict(now) {
  const { kind, text } = verdict(status, now);
  byId("verdict").dataset.kind = kind;
  setText(byId("verdict").firstElementChild, MARKS[kind]);
  setText(byId("verdict-text"), text);
  const lines = nextLines(status, now);
  if (byId("verdict-next").textContent !== lines.join("")) {
    setChildren(byId("verdict-next"), lines.map((line) => make("li", {}, line)));
  }
}

/** Sun and prices ahead in one line; what is unknown is left out. */
function renderTotals() {
  const { totals } = status;
  const hours = totals.prices_known_h;
  const parts = [
    totals.sun_today_kwh !== null && t("sun_today", { kwh: number(totals.sun_today_kwh, 1) }),
    totals.sun_tomorrow_kwh !== null
      && t("sun_tomorrow", { kwh: number(totals.sun_tomorrow_kwh, 1) }),
    hours !== null && (hours < 24
      ? t("prices_known", { hours: number(Math.floor(hours)) })
      : t("prices_known_day")),
  ].filter(Boolean);
  show(byId("totals"), parts.length > 0);
  setText(byId("totals"), parts.join(" · "));
}

function renderPlan(now) {
  const { plan } = status;
  setText(byId("plan-summary"), plan
    ? t("plan_summary", {
      at: clock(time(plan.made_at)), cost: money(plan.cost_eur), rung: t(`rung_${plan.rung}`),
      why: whyText(plan.news),
    })
    : t("no_plan_yet"));
  const minute = Math.floor(now / 900000);
  const key = [language(), plan?.revision, status.prices?.revision, status.forecast?.at,
    minute, byId("chart-box").clientWidth].join(" ");
  if (key === chartOf) return;
  chartOf = key;
  const points = pointsOf(status, now);
  renderChart(status, points, now);
  renderTable(status, points);
}

function renderFoot() {
  const found = status.health.problems.map((problem) => problem.replace(":", " "));
  setText(byId("foot"), t("foot", {
    version: status.version, evcc: status.evcc_version ?? "–", revision: status.revision,
    health: [t(`health_${status.health.status}`), ...found].join(" · "),
  }));
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  show(byId("zone-hint"), here !== status.zone);
  setText(byId("zone-hint"), t("zone_hint", { zone: status.zone }));
}

function render() {
  drawing = false;
  const now = status ? serverNow() : new Date();
  renderHeader(now);
  if (!status) {
    setText(byId("verdict-text"), t(connection === "off" ? "verdict_no_server" : "verdict_starting"));
    return;
  }
  setHome(status.zone, status.currency);
  renderVerdict(now);
  renderCards(byId("cards"), status);
  renderAges(now);
  renderReasons(status, now);
  renderTotals();
  renderPlan(now);
  renderFoot();
}

/** Draws once per frame, however much was heard. */
function renderSoon() {
  if (drawing) return;
  drawing = true;
  // a hidden page gets no frames, and needs none
  requestAnimationFrame(render);
}

function everySecond() {
  if (!status) return;
  const now = serverNow();
  renderHeader(now);
  renderAges(now);
  renderVerdict(now);
  moveNow(now);
}

async function choose(tag, remember) {
  await use(tag, { remember });
  translatePage();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === tag));
  }
  chartOf = "";
  render();
}

async function start() {
  await choose(preferred(), false);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => choose(button.dataset.language, true));
  }
  byId("table-box").addEventListener("toggle", () => status && renderTable(status, pointsOf(status, serverNow())));
  listenToChart();
  new ResizeObserver(renderSoon).observe(byId("chart-box"));
  setInterval(everySecond, 1000);
  connect((news) => {
    status = news;
    heardAt = performance.now();
    renderSoon();
  }, (state) => {
    connection = state;
    renderSoon();
  });
}

start();
