// The answer: prompts with scores, words to click, images with heat, lines, certificate, files.
import { el, label, score, small } from "./elements.js";
import { Heat } from "./heat.js";
import { heatStage, plainStage, pointing } from "./stage.js";
import { VIEWS, state } from "./store.js";
import { drawLines } from "./lines.js";
import { pairs, rowOf, what, where } from "./table.js";
import { derivation, tone, trust } from "./trust.js";
import { bars, headline, plainWords } from "./words.js";

// `data`: {entries, picture, size, table}; `table` may be missing until it is loaded;
// `on.change(patch)` for a choice, `on.files(kind)`, `on.copy()`.
export function renderAnswer(root, model, paint, data, on) {
  const { entries, size, table } = data;
  const items = entries.map(({ explanation }) => explanation.prompts[state.prompt]);
  const item = items[0];
  const explained = item.words.length ? item.words : items.at(-1).words;
  const words = explained.length ? explained : plainWords(item.prompt);
  const chosen = chosenWord(words, table);
  const boxed = state.box && table ? boxWords(words, table) : null;
  const tell = el("p", { class: "readout", role: "status" });
  const panels = panelsOf(entries, items, chosen, table, size);
  const stages = panels.map((panel) => heatStage(paint, data.picture, size, panel));
  const first = panels.find((panel) => panel.map) || panels[0];
  const beside = plainStage(data.picture, size);
  pointing([beside, ...stages], size, {
    map: first.map ?? (table && where(table, 0)),
    scale: first.scale,
    box: state.box,
    tell: (text) => (tell.textContent = text || hint(model, chosen, boxed)),
    boxed: (box) => model.table && on.change({ box, word: -1 }),
  });
  tell.textContent = hint(model, chosen, boxed);
  const wide = size.width > 2.2 * size.height ? "pair stacked" : "pair";
  const captions = ["the image", ...panels.map((panel) => panel.caption)];
  const figures = [beside, ...stages].map((stage, i) =>
    el("figure", {}, stage, el("figcaption", {}, captions[i])),
  );
  const shown = el("div", { class: state.drawing ? "shown drawing" : "shown" }, el("div", { class: wide }, ...figures));
  const pick = model.table ? (word) => on.change({ word: word === state.word ? -1 : word, box: null }) : null;
  const line = headline(boxed || words, item.prompt, { chosen: state.word, pick, strongest: model.colours.words.strongest });
  const children = [
    promptTabs(entries, on),
    el("div", { class: "headline" }, line, scoreOf(entries, items)),
    el("p", { class: "lead" }, ...lead(item, words, size, entries[0])),
    item.match ? el("p", { class: `evidence ${item.match.evidence}` }, item.match.sentence) : null,
    el("p", { class: "seal" }, ...entries.map(seal), unlike(entries[0].explanation)),
    toolbar(on, model),
    shown,
    tell,
    first.map ? legend(paint, first, size) : null,
    explained.length || boxed
      ? bars(boxed || words, { title: boxed ? "Words in the box" : "Words" })
      : el("p", { class: "quiet" }, "The words have no bars: this method explains the image only."),
    ...entries.map(({ explanation, title }, i) =>
      trust(
        explanation,
        state.prompt,
        entries.length > 1 ? `How far to trust ${title}` : "How far to trust this",
        i ? [] : explanation.notes,
      ),
    ),
    files(on),
  ];
  root.replaceChildren(...children.filter((child) => child !== null));
  if (state.pairs && table) drawLines(shown, root, beside, table, pairs(table), size);
}

function hint(model, chosen, boxed) {
  if (!model.table) return "Word–region relevance is not available: this model exposes no attention weights.";
  if (chosen) return `Where “${chosen.word}” matches. Click the word again to go back.`;
  if (boxed) return "Contributions of the words inside the box. Press Escape or click the image to go back.";
  const box = matchMedia("(pointer: coarse)").matches ? "Press “Draw a box”, then draw one" : "Drag a box";
  return `Click a word to see where it matches. ${box} on the image to see which words match there.`;
}

function chosenWord(words, table) {
  const word = words[state.word];
  const row = word && table ? rowOf(table, word) : -1;
  return row < 0 ? null : { ...word, row };
}

function boxWords(words, table) {
  const sums = what(table, state.box);
  return words.map((word) => ({ ...word, relevance: sums[rowOf(table, word)] ?? 0 }));
}

// One panel for each method, or a single panel for a chosen word.
function panelsOf(entries, items, chosen, table, size) {
  if (chosen) {
    const map = where(table, chosen.row);
    const [scale] = Heat.scales([map], false, size);
    const caption = `where “${chosen.word}” matches`;
    return [{ map, scale, view: state.view, label: `the word “${chosen.word}”`, caption }];
  }
  return entries.map(({ explanation, title }, i) => {
    const { map, prompt } = items[i];
    const scale = map ? Heat.scales(explanation.prompts.map((one) => one.map), false, size)[state.prompt] : null;
    const caption = map ? title : `${title}: words only`;
    return { map, scale, view: state.view, label: `“${label(prompt)}”`, caption };
  });
}

function promptTabs(entries, on) {
  const { prompts } = entries[0].explanation;
  if (prompts.length < 2) return null;
  const best = Math.max(...prompts.map((item) => item.score));
  const rows = prompts.map((item, index) =>
    el(
      "label",
      { class: "tab" },
      el("input", { type: "radio", name: "prompt", checked: index === state.prompt, "data-focus": `prompt-${index}`, change: () => on.change({ prompt: index, word: -1, box: null }) }),
      el("span", { class: "text" }, label(item.prompt)),
      el("span", { class: item.score === best ? "score best" : "score" }, score(item.score)),
    ),
  );
  return el("div", { class: "tabs-row", role: "radiogroup", "aria-label": "Prompts" }, ...rows);
}

function scoreOf(entries, items) {
  const { against } = entries[0].explanation;
  const than = against.length ? ` rather than ${against.map(label).join(" or ")}` : "";
  return el(
    "p",
    { class: "match" },
    el("b", {}, score(items[0].score)),
    ` match score${than}`,
  );
}

// One sentence on the region and the word with the highest relevance.
function lead(item, words, size, { explanation }) {
  const place = item.map && Heat.peakPlace(item.map, size);
  const most = words.reduce((a, word) => (word.relevance > (a?.relevance ?? 0) ? word : a), null);
  const parts = [];
  if (place) parts.push("the ", el("b", {}, place), " of the image");
  if (place && most) parts.push(" and ");
  if (most) parts.push("the word ", el("b", {}, `“${most.word}”`));
  if (!parts.length) return ["No region and no word has positive relevance for this prompt."];
  return [derivation(explanation.certificate), ...parts, "."];
}

// The certificate in a few words, next to the answer; the card below explains it.
const seal = ({ title, explanation: { certificate } }, _, { length }) =>
  el("span", { class: `chip ${tone(certificate)}` }, `${length > 1 ? `${title}: ` : ""}${certificate.verdict}`);

const unlike = ({ notes }) =>
  notes.length ? el("span", { class: "chip changed" }, "see the note below") : null;

function toolbar(on, model) {
  const views = Object.entries(VIEWS).map(([value, text]) =>
    el(
      "label",
      { class: "segment" },
      el("input", { type: "radio", name: "view", value, checked: state.view === value, "data-focus": `view-${value}`, change: () => on.change({ view: value }) }),
      el("span", {}, text),
    ),
  );
  const lines = el(
    "button",
    { type: "button", "aria-pressed": String(state.pairs), "data-focus": "pairs", disabled: !model.table, click: () => on.change({ pairs: !state.pairs }) },
    "Word–region lines",
  );
  return el(
    "div",
    { class: "toolbar" },
    el("div", { class: "segments", role: "radiogroup", "aria-label": "Display" }, ...views),
    el(
      "button",
      { type: "button", "aria-pressed": String(state.drawing), "data-focus": "drawing", disabled: !model.table, click: () => on.change({ drawing: !state.drawing }) },
      "Draw a box",
    ),
    lines,
  );
}

function legend(paint, { scale, map }, size) {
  const cropped = Heat.unseenAreas(map, size).length > 0;
  return el(
    "div",
    { class: "legend" },
    el("span", {}, scale.signed ? `${small(-scale.limit)} against` : "0"),
    paint.bar(scale),
    el("span", {}, `${small(scale.limit)} for`),
    cropped ? el("span", { class: "key" }, el("i", { class: "unseen" }), "cropped away") : null,
  );
}

function files(on) {
  const kinds = { html: "Web page", png: "PNG", svg: "SVG", json: "JSON" };
  const buttons = Object.entries(kinds).map(([kind, text]) =>
    el("button", { type: "button", "data-kind": kind, "data-focus": `file-${kind}`, click: () => on.files(kind) }, text),
  );
  const copy = el("button", { type: "button", "data-focus": "link", click: () => on.copy() }, "Copy link");
  return el("section", { class: "card files", "aria-label": "Download" }, el("h2", {}, "Download"), el("div", { class: "row" }, ...buttons, copy));
}
