// The words of a prompt as buttons, and their relevance as bars.
import { el, signed, templates } from "./elements.js";

const mostOf = (words) => words.reduce((a, word) => Math.max(a, Math.abs(word.relevance)), 0);

// Words of a prompt without relevance, so that they can still be clicked.
export const plainWords = (prompt) =>
  [...templates(prompt)[0].matchAll(/[\p{L}\p{N}]+/gu)].map(({ 0: word, index, input }) => {
    const start = Array.from(input.slice(0, index)).length;
    return { word, relevance: 0, start, end: start + Array.from(word).length };
  });

// The prompt with a button for every word; the characters between words remain text.
export function headline(words, prompt, { chosen, pick, strongest }) {
  // Positions count characters; JavaScript counts UTF-16 code units.
  const text = Array.from(templates(prompt)[0]);
  const most = mostOf(words);
  const parts = [];
  let at = 0;
  words.forEach((word, index) => {
    if (word.start < at || word.end > text.length || word.end <= word.start) return;
    parts.push(text.slice(at, word.start).join(""));
    const share = most > 0 ? word.relevance / most : 0;
    const button = el(
      "button",
      {
        type: "button",
        class: `word ${share < 0 ? "against" : share > 0 ? "for" : "neutral"}`,
        "aria-pressed": String(index === chosen),
        "data-focus": `word-${index}`,
        "data-start": word.start,
        disabled: !pick,
        title: `${signed(word.relevance)}${pick ? "; click to see where this word matches" : ""}`,
        click: () => pick(index),
      },
      text.slice(word.start, word.end).join(""),
      el("span", { class: "hidden" }, ` (${signed(word.relevance)})`),
    );
    button.style.setProperty("--strength", `${Math.round(100 * strongest * Math.abs(share))}%`);
    parts.push(button);
    at = word.end;
  });
  parts.push(text.slice(at).join(""));
  return el("h1", {}, ...parts.filter((part) => part !== ""));
}

// Every word with its relevance as a bar: for the match to the right, against it to the left.
export function bars(words, { title }) {
  const most = mostOf(words) || 1;
  const negative = words.some((word) => word.relevance < 0);
  const rows = words.flatMap(({ word, relevance }) => {
    const length = (negative ? 50 : 100) * (Math.abs(relevance) / most);
    const start = !negative ? 0 : relevance < 0 ? 50 - length : 50;
    const bar = el("i", { class: relevance < 0 ? "against" : "for" });
    Object.assign(bar.style, { left: `${start}%`, width: `${length}%` });
    return [
      el("span", { class: "word" }, word),
      el("span", { class: negative ? "track middle" : "track", "aria-hidden": "true" }, bar),
      el("span", { class: "score" }, signed(relevance)),
    ];
  });
  return el("section", { class: "bars" }, el("h2", {}, title), el("div", {}, ...rows));
}
