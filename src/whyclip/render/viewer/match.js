// The score's position among reference scores, as evidence of a match.

function matchCard({ match }) {
  if (!match) return null;
  const place = (name, standing) =>
    standing
      ? [
          [`among ${standing.n.toLocaleString("en")} ${name}`, `${fixed(standing.percentile, 1)} %`],
          ["z-score", standing.z === null ? "none" : fixed(standing.z, 2)],
        ]
      : [];
  const limit = match.threshold;
  return card(
    "Is it a match?",
    el("p", { class: `evidence ${match.evidence}` }, match.sentence),
    facts([
      ...place(match.prompt_kind, match.among_prompts),
      ...place("images", match.among_images),
      ...(match.probability === null ? [] : [["probability", small(match.probability)]]),
      ...(limit ? [["threshold", score(limit.score)]] : []),
    ]),
    match.verdict ? el("p", {}, `Score ${score(match.score)} is ${minus(match.verdict)}.`) : null,
    rivals(match),
  );
}

// Reference prompts with the highest scores, next to the prompt itself and a nonsense prompt.
function rivals({ competitors, nonsense, score: own }) {
  if (!competitors.length) return null;
  const rows = [["this prompt", own, "own"], ...competitors.map(([text, value]) => [text, value, ""])];
  if (nonsense) rows.push([`nonsense: ${nonsense[0]}`, nonsense[1], "nonsense"]);
  const most = Math.max(...rows.map(([, value]) => value), 0) || 1;
  rows.sort((a, b) => b[1] - a[1]);
  const cells = rows.flatMap(([text, value, kind]) => {
    const bar = el("i", { class: kind === "own" ? "for" : "rival" });
    bar.style.width = `${Math.max(0, (100 * value) / most)}%`;
    return [
      el("span", { class: `word ${kind}` }, text),
      el("span", { class: "track" }, bar),
      el("span", { class: "score" }, score(value)),
    ];
  });
  return el("div", { class: "bars rivals" }, el("h2", {}, "Competing prompts"), el("div", {}, ...cells));
}
