// The page: tabs, prompts, image, certificate, and small multiples.

function tabs() {
  if (entries.length < 2) return null;
  const turn = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    choose({ entry: (state.entry + by + entries.length) % entries.length });
    root.querySelector('[role="tab"][aria-selected="true"]').focus();
  };
  const buttons = entries.map(({ name, explanation }, index) =>
    el(
      "button",
      {
        type: "button",
        role: "tab",
        "aria-selected": String(index === state.entry),
        tabindex: index === state.entry ? "0" : "-1",
        click: () => choose({ entry: index }),
        keydown: turn,
      },
      el("i", { class: `dot ${tone(explanation)}`, title: explanation.certificate.verdict }),
      name,
    ),
  );
  return el("div", { class: "tabs", role: "tablist", "aria-label": "Explanations" }, ...buttons);
}

function promptList(explanation) {
  const most = Math.max(...explanation.prompts.map((item) => item.score), 0);
  const group = `prompt-${serial++}`;
  const rows = explanation.prompts.map((item, index) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name: group,
        checked: index === state.prompt,
        change: () => choose({ prompt: index }, "input[type=radio]:checked"),
      }),
      el("span", { class: "text" }, label(item.prompt)),
      el("span", { class: "score" }, score(item.score)),
      el("span", {
        class: "share",
        style: { width: `${most > 0 ? Math.max(0, (100 * item.score) / most) : 0}%` },
      }),
    ),
  );
  return card("Prompts", el("div", { class: "prompts", role: "radiogroup" }, ...rows));
}

function controls(explanation) {
  if (!explanation.prompts.some((item) => item.map)) return null;
  const check = (name, checked, text, change) =>
    el(
      "label",
      { class: "check" },
      el("input", { type: "checkbox", name, checked, change: ({ target }) => change(target.checked) }),
      text,
    );
  const again = (name) => (on) => choose({ [name]: on }, `input[name=${name}]`);
  const original = (on) => {
    state.original = on;
    root.classList.toggle("original", on);
  };
  const here = entries[state.entry].picture !== null;
  return card(
    "Display",
    here ? check("original", state.original, "Image without heat map", original) : null,
    check("exact", state.exact, "Patches without smoothing", again("exact")),
    check("contour", state.contour, "Contour at half of full strength", again("contour")),
    explanation.prompts.length > 1
      ? check("shared", shares(), "One colour scale for all prompts", again("shared"))
      : null,
  );
}

// Green only if the explained score is the model's own and the map is derived from it.
function tone({ certificate: { explains_score, score_check, modified_input, modified_computation } }) {
  if (explains_score) return "itself";
  const modified = modified_input.length + modified_computation.length > 0;
  return modified || score_check === "failed" ? "changed" : "other";
}

function certificate(explanation, item) {
  const noted = explanation.certificate;
  const explained = sides(explanation).map(([side, scores]) => [
    `explained score, ${side}`,
    fixed(scores[state.prompt], 5),
  ]);
  const [own, opponent] = (explanation.contrast || [])[state.prompt] || [];
  const modified = [
    ...noted.modified_input.map((change) => `Modified input: ${change}`),
    ...noted.modified_computation.map((change) => `Modified computation: ${change}`),
  ];
  return card(
    "Certificate",
    el("p", { class: `badge ${tone(explanation)}` }, noted.verdict),
    el("ul", { class: "statements" }, ...noted.statements.map((line) => el("li", {}, line))),
    modified.length ? el("ul", {}, ...modified.map((change) => el("li", {}, change))) : null,
    facts([
      ["model score", fixed(item.score_model, 5)],
      ...explained,
      ...(own === undefined ? [] : [["prompt alone", fixed(own, 5)], ["rather than", fixed(opponent, 5)]]),
      ["largest difference", power(noted.gap, 1)],
      ["tolerance", power(noted.tolerance, 0)],
      ["precision", noted.precision],
      ...Object.entries(noted.diagnostics || {}).map(([name, values]) => [name, power(values[state.prompt], 1)]),
    ]),
    ...(explanation.notes || []).map((note) => el("p", { class: "note" }, note)),
  );
}

// Result of the last audit of this model and method, for each side.
function audited({ audit }) {
  if (!audit) return null;
  return card(
    `Last audit of the method: ${audit.date.slice(0, 10)}`,
    facts([
      ...Object.entries(audit.verdicts).flatMap(([side, { itself, consistent }]) => [
        [`model fidelity, ${side}`, itself],
        [`performance consistency, ${side}`, consistent],
      ]),
      ["samples", `${audit.samples} of ${audit.dataset}`],
    ]),
    audit.failed.length ? el("p", {}, "Failed:") : null,
    audit.failed.length ? el("ul", {}, ...audit.failed.map((name) => el("li", {}, name))) : null,
  );
}

const methodName = ({ method, methods }) =>
  methods && methods.text ? `image: ${methods.image}, words: ${methods.text}` : method;

function about(explanation, item) {
  const { width, height } = explanation.image;
  const value = (option) => {
    if (option === null) return "default";
    return typeof option === "string" ? option : JSON.stringify(option);
  };
  return card(
    "How it was made",
    facts([
      ["method", methodName(explanation)],
      ...Object.entries(explanation.options || {}).map(([name, option]) => [name, value(option)]),
      ...(explanation.against.length
        ? [["rather than", explanation.against.map((p) => [p].flat()[0]).join(" or ")]]
        : []),
      ["model", explanation.model],
      ["image", `${width} × ${height} pixels`],
      ...(item.map ? [["patches", item.map.grid.join(" × ")]] : []),
      ["geometry", explanation.geometry],
    ]),
  );
}

const facts = (rows) =>
  el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

const card = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);

function multiples(title, items) {
  return el(
    "section",
    { class: "multiples" },
    el("h2", {}, title),
    el("div", { class: "grid" }, ...items),
  );
}

function thumbnail(entry, index, scale, caption, chosen, pick) {
  const item = entries[entry].explanation.prompts[index];
  return el(
    "button",
    { type: "button", "aria-pressed": String(chosen), click: pick },
    heatImage(entry, index, 240, scale),
    el("span", { class: "caption" }, ...caption),
    el("span", { class: "score" }, score(item.score)),
  );
}

function scalesOf(entry) {
  const { prompts, image } = entries[entry].explanation;
  return Heat.scales(prompts.map((item) => item.map), shares(entry), image);
}

function allPrompts(explanation, scales) {
  if (explanation.prompts.length < 2 || !explanation.prompts.some((item) => item.map)) return null;
  const items = explanation.prompts.map((item, index) =>
    thumbnail(state.entry, index, scales[index], words(item), index === state.prompt, () =>
      choose({ prompt: index }, ".multiples [aria-pressed=true]"),
    ),
  );
  return multiples("All prompts side by side", items);
}

function allEntries(item) {
  const same = entries.every(({ explanation }) => {
    const other = explanation.prompts[state.prompt];
    return other && other.map && label(other.prompt) === label(item.prompt);
  });
  if (entries.length < 2 || !same) return null;
  const items = entries.map(({ name, explanation }, index) => {
    const scale = scalesOf(index)[state.prompt];
    const dot = el("i", { class: `dot ${tone(explanation)}` });
    return thumbnail(index, state.prompt, scale, [dot, name], index === state.entry, () =>
      choose({ entry: index }, ".multiples.entries [aria-pressed=true]"),
    );
  });
  const section = multiples(`“${label(item.prompt)}” in every explanation`, items);
  section.classList.add("entries");
  return section;
}

function headline(item) {
  const count = templates(item.prompt).length;
  const pick = (event) => choose({ template: Number(event.target.value) }, ".template select");
  const option = (_, index) =>
    el("option", { value: index, selected: index === state.template }, `${index + 1} of ${count}`);
  return el(
    "div",
    { class: "headline" },
    el("h1", {}, ...words(item, { template: state.template, spoken: true })),
    el("p", { class: "match" }, el("b", {}, score(item.score)), " match score"),
    count > 1
      ? el(
          "label",
          { class: "template" },
          "Template ",
          el("select", { change: pick }, ...Array.from({ length: count }, option)),
        )
      : null,
  );
}

function render() {
  const explanation = current();
  state.prompt = Math.min(state.prompt, explanation.prompts.length - 1);
  const item = explanation.prompts[state.prompt];
  state.template = Math.min(state.template, templates(item.prompt).length - 1);
  const scales = scalesOf(state.entry);
  const parts = [
    tabs(),
    el(
      "div",
      { class: "columns", role: entries.length > 1 ? "tabpanel" : null },
      el(
        "div",
        { class: "main" },
        headline(item),
        bigImage(item, scales[state.prompt]),
        wordBars(item, state.template),
      ),
      el(
        "aside",
        {},
        promptList(explanation),
        matchCard(item),
        controls(explanation),
        certificate(explanation, item),
        audited(explanation.certificate),
        about(explanation, item),
      ),
    ),
    allPrompts(explanation, scales),
    allEntries(item),
  ];
  root.replaceChildren(...parts.filter((part) => part !== null));
}

function choose(change, focus) {
  if ("prompt" in change || "entry" in change) state.template = 0;
  Object.assign(state, change);
  render();
  if (focus) root.querySelector(focus)?.focus({ preventScroll: true });
}

// In a notebook the page is in its own frame, whose height follows the content.
function fitFrame() {
  let frame = null;
  try {
    frame = window.frameElement;
  } catch {
    return;
  }
  if (!frame) return;
  document.documentElement.classList.add("framed");
  const fit = () => (frame.style.height = `${root.getBoundingClientRect().bottom + 2}px`);
  new ResizeObserver(fit).observe(root);
}

fitFrame();
root.style.setProperty("--for", colours.words.for);
root.style.setProperty("--against", colours.words.against);
// An image that cannot be decoded is replaced by plain grey under the heat map.
const settled = (image) =>
  image.complete || new Promise((done) => (image.onload = image.onerror = done));
Promise.all(images.map(settled)).then(render);
