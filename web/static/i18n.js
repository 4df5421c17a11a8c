// Texts in German and English, from one file per language with the same keys.

const LANGUAGES = ["de", "en"];
let texts = {};
let current = "en";

/** The language in use. */
export const language = () => current;

function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null; // storage may be forbidden; then the browser's language holds
  }
}

/** What the person chose before, else the browser's language, else English. */
export function preferred() {
  const wanted = [remembered(), ...navigator.languages].filter(Boolean);
  const found = wanted.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES.includes(tag));
  return found ?? "en";
}

/** Loads one language and makes it the one in use. */
export async function use(tag, { remember = false } = {}) {
  const answer = await fetch(new URL(`i18n/${tag}.json`, import.meta.url));
  texts = await answer.json();
  current = tag;
  document.documentElement.lang = tag;
  if (remember) {
    try {
      localStorage.setItem("language", tag);
    } catch {
      // only this visit, then
    }
  }
}

/** The text of `key` with `{name}` filled in. */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

/** Whether there is such a text. */
export const has = (key) => key in texts;

/** Fills every element that names its text in the page itself. */
export function translatePage() {
  for (const node of document.querySelectorAll("[data-i18n]")) {
    node.textContent = t(node.dataset.i18n);
  }
  for (const node of document.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", t(node.dataset.i18nLabel));
  }
}
