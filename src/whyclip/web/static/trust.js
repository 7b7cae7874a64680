// How far to trust an answer: the certificate, in words.
import { el, fixed, power } from "./elements.js";

export function tone({ explains_score, score_check, modified_input, modified_computation }) {
  if (explains_score) return "itself";
  const modified = modified_input.length + modified_computation.length > 0;
  return modified || score_check === "failed" ? "changed" : "other";
}

// One sentence for readers who have not read the papers.
function meaning(noted) {
  const scopes = Object.values(noted.scope);
  if (scopes.includes("baseline")) return "This is a random baseline. It does not explain the score.";
  if (noted.modified_computation.length) {
    return "The method modifies the model’s computation, so its result may not hold for your model.";
  }
  if (noted.modified_input.length) {
    return "The input image was modified, so the score may differ from the score of your image.";
  }
  if (noted.score_check !== "passed") return "The score was not compared with the model’s own.";
  if (noted.explains_score) {
    return "The explained score is the model’s own, without modifications.";
  }
  if (scopes.includes("attention")) {
    return "This shows where the model attends. It is not computed from the score.";
  }
  return "The score is the model’s own, but the map is not computed from it.";
}

// The beginning of a sentence about the map, by its source.
export function derivation({ scope }) {
  return {
    score: "The score comes most from ",
    attention: "The model attends most to ",
    features: "The features that match best are at ",
    baseline: "This random map points at ",
  }[scope.image ?? scope.text] ?? "This method points most at ";
}

// `notes` are shown only with the first of several methods.
export function trust(explanation, index, title, notes) {
  const noted = explanation.certificate;
  const changes = [
    ...noted.modified_input.map((change) => `Modified input: ${change}`),
    ...noted.modified_computation.map((change) => `Modified computation: ${change}`),
  ];
  const item = explanation.prompts[index];
  const sides = Object.entries(noted.scores).map(([side, scores]) => [
    `explained score, ${side === "image" ? "image" : "words"}`,
    fixed(scores[index], 5),
  ]);
  const rows = [
    ["model score", fixed(item.score_model, 5)],
    ...sides,
    ["largest difference", power(noted.gap, 1)],
    ["method", methodName(explanation)],
    ["input mode", explanation.geometry],
  ];
  const audited = noted.audit
    ? "This method was audited on this model; see the details."
    : "No audit has been run, so this method’s consistency with the model is unknown.";
  return el(
    "section",
    { class: "card trust" },
    el("h2", {}, title),
    el("p", { class: `badge ${tone(noted)}` }, noted.verdict),
    el("p", {}, meaning(noted)),
    ...notes.map((line) => el("p", { class: "note" }, line)),
    el("p", { class: "quiet" }, `${audited} A heat map is the result of a method, not a proof of how the model decides.`),
    el(
      "details",
      {},
      el("summary", {}, "Details of the check"),
      el("ul", { class: "statements" }, ...[...noted.statements, ...changes].map((line) => el("li", {}, line))),
      el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    ),
  );
}

export const methodName = ({ method, methods = {} }) =>
  methods.image && methods.text ? `maps: ${methods.image}, words: ${methods.text}` : method;
