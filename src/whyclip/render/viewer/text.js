// Words with their relevance: highlighted in the prompt, and as bars.

// The largest relevance of this template's words, or of all words if prompts share a scale.
function mostOf(item, template) {
  const items = shares() ? current().prompts : [item];
  const own = (word) => shares() || (word.template || 0) === template;
  const all = items.flatMap((one) => one.words.filter(own));
  return all.reduce((a, word) => Math.max(a, Math.abs(word.relevance)), 0);
}

function words(item, { template = 0, spoken = false } = {}) {
  // Positions count characters; JavaScript counts UTF-16 code units.
  const text = Array.from(templates(item.prompt)[template]);
  const own = item.words
    .filter((word) => (word.template || 0) === template)
    .sort((a, b) => a.start - b.start);
  const most = mostOf(item, template);
  const parts = [];
  let at = 0;
  for (const word of own) {
    if (word.start < at || word.end > text.length || word.end <= word.start) continue;
    parts.push(text.slice(at, word.start).join(""));
    parts.push(mark(text.slice(word.start, word.end).join(""), word.relevance, most, spoken));
    at = word.end;
  }
  parts.push(text.slice(at).join(""));
  return parts.filter((part) => part !== "");
}

function mark(text, relevance, most, spoken) {
  const share = most > 0 ? relevance / most : 0;
  const value = `${signed(relevance)}${share < 0 ? " against" : share > 0 ? " for" : ""}`;
  const node = el(
    "mark",
    { class: share < 0 ? "against" : share > 0 ? "for" : "neutral", title: spoken ? null : value },
    text,
  );
  node.style.setProperty("--strength", `${Math.round(100 * colours.words.strongest * Math.abs(share))}%`);
  if (spoken) {
    node.setAttribute("tabindex", "0");
    node.setAttribute("data-value", value);
    node.append(el("span", { class: "hidden" }, ` (${value})`));
  }
  return node;
}

// Every word with its relevance as a bar: for the match to the right, against it to the left.
function wordBars(item, template) {
  const own = item.words.filter((word) => (word.template || 0) === template);
  if (!own.length) return null;
  const most = mostOf(item, template) || 1;
  const negative = own.some((word) => word.relevance < 0);
  const rows = own.flatMap(({ word, relevance }) => {
    const length = (negative ? 50 : 100) * (Math.abs(relevance) / most);
    const start = !negative ? 0 : relevance < 0 ? 50 - length : 50;
    const bar = el("i", { class: relevance < 0 ? "against" : "for" });
    Object.assign(bar.style, { left: `${start}%`, width: `${length}%` });
    return [
      el("span", { class: "word" }, word),
      el("span", { class: negative ? "track middle" : "track" }, bar),
      el("span", { class: "score" }, signed(relevance)),
    ];
  });
  return el("section", { class: "bars" }, el("h2", {}, "Words"), el("div", {}, ...rows));
}
