// The form: image, prompts, method. It only reports changes; `sync` displays the state.
import { photograph } from "./camera.js";
import { el } from "./elements.js";
import { DEFAULT, state } from "./store.js";

const GEOMETRIES = {
  model: "the model’s own preprocessing",
  keep: "whole image, aspect ratio kept",
  pad: "whole image, padded to a square",
};
const SIDES = { both: "image and words", image: "image only", text: "words only" };

// `on.change(patch, {step})` for a choice, `on.file(file)` for an image, `on.example(example)`,
// `on.fault(error)`, `on.run()` for the button.
export function buildForm(form, model, on) {
  const controls = {};
  form.append(
    imageCard(model, controls, on),
    promptCard(model, controls, on),
    methodCard(model, controls, on),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    on.run();
  });
  dropping(on);
  return {
    sync: () => {
      for (const [name, control] of Object.entries(controls.values)) {
        if (control.value !== state[name]) control.value = state[name];
      }
      controls.preview(state.image);
      const known = model.methods[state.method];
      const sides = known ? known.sides : ["image", "text"];
      for (const option of controls.values.sides.options) {
        option.disabled = option.value !== "both" && !sides.includes(option.value);
      }
    },
    busy: (working) => {
      controls.run.textContent = working ? "Cancel" : "Explain";
      controls.run.classList.toggle("primary", !working);
    },
  };
}

const card = (title, ...children) =>
  el("section", { class: "card" }, el("h2", {}, title), ...children);

function imageCard(model, controls, on) {
  const accept = model.formats.map((name) => `image/${name.toLowerCase()}`).join(",");
  const file = el("input", {
    type: "file",
    id: "file",
    class: "hidden",
    accept,
    tabindex: "-1",
    "aria-label": "Image file",
    change: () => {
      if (file.files.length) on.file(file.files[0]);
      file.value = "";
    },
  });
  const thumb = el("img", { alt: "", hidden: true });
  const choose = el(
    "button",
    { type: "button", class: "dropzone", click: () => file.click() },
    thumb,
    el("span", {}, el("b", {}, "Choose an image"), " or drop or paste it anywhere on the page"),
  );
  const camera = el(
    "button",
    { type: "button", click: () => photograph().then((blob) => blob && on.file(blob), on.fault) },
    "Camera",
  );
  const examples = model.examples.map((example) =>
    el(
      "button",
      { type: "button", class: "example", title: example.title, "aria-pressed": "false", "data-id": example.id, click: () => on.example(example) },
      el("img", { src: `/api/images/${example.id}`, alt: example.title, loading: "lazy" }),
    ),
  );
  controls.preview = (id) => {
    thumb.hidden = !id;
    if (id && thumb.dataset.id !== id) thumb.src = `/api/images/${encodeURIComponent(id)}`;
    thumb.dataset.id = id;
    for (const one of examples) one.setAttribute("aria-pressed", String(one.dataset.id === id));
  };
  return card(
    "1 Image",
    choose,
    file,
    el(
      "div",
      { class: "examples", role: "group", "aria-label": "Examples" },
      ...examples,
      navigator.mediaDevices ? camera : null,
    ),
  );
}

function area(id, rows, placeholder, input) {
  return el("textarea", { id, rows, placeholder, spellcheck: "false", autocomplete: "off", autocapitalize: "off", input });
}

function promptCard(model, controls, on) {
  const kind = model.classifier ? "Classes, one per line" : "Prompts, one per line";
  const prompts = area("prompts", 4, "a dog\na red car", () => on.change({ prompts: prompts.value }, { typed: true }));
  const against = area("against", 2, "a cat", () => on.change({ against: against.value }, { typed: true }));
  controls.values = { prompts, against };
  return card(
    "2 Words",
    el("label", { for: "prompts" }, kind),
    prompts,
    el(
      "details",
      {},
      el("summary", {}, "… rather than"),
      el("label", { for: "against" }, "Why the prompts above, and not these? One per line"),
      against,
    ),
  );
}

function methodCard(model, controls, on) {
  const named = (slow) =>
    Object.entries(model.methods)
      .filter(([, method]) => method.slow === slow)
      .map(([name, method]) => el("option", { value: name, title: method.summary }, method.title));
  const groups = () => [
    el("optgroup", { label: "Fast: use one forward pass" }, ...named(false)),
    el("optgroup", { label: "Slow: run the model many times" }, ...named(true)),
  ];
  const pick = (name, ...options) => {
    const change = () => on.change({ [name]: select.value }, { step: true });
    const select = el("select", { id: name, change }, ...options);
    controls.values[name] = select;
    return select;
  };
  const options = (names) => Object.entries(names).map(([value, text]) => el("option", { value }, text));
  const geometries = model.geometries.map((value) => el("option", { value }, GEOMETRIES[value]));
  const row = (text, name, select) => [el("label", { for: name }, text), select];
  controls.run = el("button", { type: "submit", class: "primary" }, "Explain");
  const wide = matchMedia("(min-width: 861px)").matches;
  return el(
    "details",
    { class: "card method", open: wide },
    el("summary", {}, el("h2", {}, "3 Method")),
    el(
      "div",
      { class: "fields" },
      ...row("Method", "method", pick("method", el("option", { value: DEFAULT }, "Default for each side"), ...groups())),
      ...row("Second method", "beside", pick("beside", el("option", { value: "" }, "none"), ...groups())),
      ...row("Explain", "sides", pick("sides", ...options(SIDES))),
      ...row("Input mode", "geometry", pick("geometry", ...geometries)),
    ),
    controls.run,
  );
}

// Drop and paste work everywhere on the page.
function dropping(on) {
  const sheet = document.getElementById("drop");
  const hasFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  let inside = 0;
  const over = (by) => (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    inside = Math.max(0, inside + by);
    sheet.hidden = inside === 0;
  };
  addEventListener("dragenter", over(1));
  addEventListener("dragleave", over(-1));
  addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    inside = 0;
    sheet.hidden = true;
    if (event.dataTransfer.files.length) on.file(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    on.file(file);
  });
}
