// The page: sends choices to the server, shows answers, and stores the choices in the link.
import { about, ask, download, sendImage } from "./api.js";
import { renderAnswer } from "./answer.js";
import { buildForm } from "./ask.js";
import { el } from "./elements.js";
import { createPaint } from "./paint.js";
import { DEFAULT, lines, link, question, remember, restore, state } from "./store.js";

const QUICK = 250;
// Choices that need no answer from the server, unless a table of words and patches is missing.
const LOCAL = ["prompt", "view", "word", "box", "pairs", "drawing"];
const root = document.getElementById("answer");
const status = document.getElementById("status");
const files = new Map();
const pictures = new Map();
const tables = new Map();
let [model, paint, form] = [];
let data = null;
let running = null;
let lastCost = 0;
let typing = 0;
let lastTyped = 0;

let fading = 0;
function say(text, fade = false) {
  status.textContent = text;
  clearTimeout(fading);
  if (fade) fading = setTimeout(() => (status.textContent = ""), 4000);
}

function fault(error) {
  if (error.name === "AbortError") return;
  if (!error.status && error.stack && !error.message) console.error(error);
  root.replaceChildren(el("p", { class: "fault", role: "alert" }, `${error.message}.`.replace(/\.\.$/, ".")));
  data = null;
  say("");
}

const isSlow = () =>
  [state.method, state.beside].some((name) => model.methods[name]?.slow ?? (name === DEFAULT && model.slowDefault));

function change(patch, { typed = false, step = !typed } = {}) {
  Object.assign(state, patch);
  form.sync();
  const local = Object.keys(patch).every((name) => LOCAL.includes(name));
  if (!typed) remember(step && !("view" in patch));
  if (local) return show();
  Object.assign(state, { word: -1, box: null });
  if (!typed) return run();
  clearTimeout(typing);
  if (isSlow()) return undefined;
  typing = setTimeout(() => {
    remember(performance.now() - lastTyped > 3000);
    lastTyped = performance.now();
    run();
  }, lastCost < QUICK ? 40 : 600);
  return undefined;
}

// Explains the current choices; a newer run cancels an older one.
async function run() {
  clearTimeout(typing);
  running?.abort();
  if (!state.image) return fault(new Error("Choose an image, or one of the examples"));
  if (!lines(state.prompts).length) return fault(new Error("Write at least one prompt, such as “a dog”"));
  const mine = (running = new AbortController());
  const began = performance.now();
  form.busy(true);
  const late = setTimeout(() => say("Explaining …"), QUICK);
  try {
    const [result, picture] = await Promise.all([explained(mine.signal), pictureOf(state.image)]);
    if (running !== mine) return undefined;
    const { image, entries } = result;
    for (const entry of entries) entry.title = model.methods[entry.method]?.title ?? titleOf(entry);
    picture.levels = image.levels;
    data = { entries, picture, size: { width: image.width, height: image.height }, table: null };
    state.prompt = Math.min(state.prompt, entries[0].explanation.prompts.length - 1);
    show();
    clearTimeout(late);
    lastCost = performance.now() - began;
    requestAnimationFrame(() => setTimeout(() => answered(began)));
  } catch (error) {
    if (running === mine) fault(error);
  } finally {
    clearTimeout(late);
    if (running === mine) {
      running = null;
      form.busy(false);
    }
  }
  return undefined;
}

const titleOf = ({ explanation: { methods, method } }) =>
  methods.image ? (model.methods[methods.image]?.title ?? methods.image) : (model.methods[method]?.title ?? method);

// Reports the time until the answer was on the screen.
function answered(began) {
  const took = performance.now() - began;
  performance.measure("whyclip:answer", { start: began, duration: took });
  document.documentElement.dataset.answered = took.toFixed(1);
  say(`Answered in ${took < 1000 ? `${Math.round(took)} ms` : `${(took / 1000).toFixed(1)} s`}.`, true);
}

function tell({ queue, progress }) {
  if (queue > 1) say(`Waiting: number ${queue} in the queue.`);
  if (progress) say(`${progress.what}: ${Math.round((100 * progress.done) / progress.total)} %`);
  document.body.classList.toggle("working", Boolean(progress));
}

// An image that the server no longer keeps is sent again, if this page still has it.
async function explained(signal, again = true) {
  try {
    return await ask("/api/explain", question(model), signal, tell);
  } catch (error) {
    if (error.status !== 410 || !again || !files.has(state.image)) throw error;
    await sendImage(files.get(state.image));
    return explained(signal, false);
  } finally {
    document.body.classList.remove("working");
  }
}

async function pictureOf(id) {
  if (!pictures.has(id)) {
    const image = new Image();
    image.src = `/api/images/${encodeURIComponent(id)}`;
    await image.decode().catch(() => {});
    if (!image.naturalWidth) return { image, levels: null };
    if (pictures.size > 8) pictures.delete(pictures.keys().next().value);
    pictures.set(id, { image, levels: null });
  }
  return pictures.get(id);
}

function show() {
  if (!data) return;
  data.table = tables.get(tableKey()) ?? null;
  const focus = document.activeElement?.dataset?.focus;
  renderAnswer(root, model, paint, data, { change, files: save, copy });
  if (focus) root.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  const wanted = state.word >= 0 || state.box || state.pairs;
  if (wanted && !data.table && model.table) fetchTable();
}

const promptNow = () => lines(state.prompts)[state.prompt];
const tableKey = () => JSON.stringify([state.image, state.geometry, promptNow()]);

async function fetchTable() {
  const key = tableKey();
  try {
    const asked = { ...question(model), prompts: [promptNow()], against: [] };
    const table = await ask("/api/table", asked, undefined, tell);
    if (tables.size > 16) tables.delete(tables.keys().next().value);
    tables.set(key, table);
    if (key === tableKey()) show();
  } catch (error) {
    if (key === tableKey()) say(error.message);
  }
}

async function addImage(file) {
  const limit = model.limits.bytes;
  if (file.size > limit) {
    return fault(new Error(`The file is larger than ${Math.floor(limit / 1e6)} MB; give a smaller one`));
  }
  say("Reading the image …");
  try {
    const { id } = await sendImage(file);
    files.clear();
    files.set(id, file);
    say("");
    if (!lines(state.prompts).length) Object.assign(state, { prompts: "a photo" });
    change({ image: id });
  } catch (error) {
    fault(error);
  }
  return undefined;
}

function takeExample(example) {
  const untouched = model.examples.some(({ prompts }) => prompts.join("\n") === state.prompts.trim());
  const prompts = untouched || !state.prompts.trim() ? example.prompts.join("\n") : state.prompts;
  change({ image: example.id, prompts, prompt: 0 });
}

async function save(kind) {
  say("Writing the file …");
  try {
    const href = URL.createObjectURL(await download(kind, question(model)));
    el("a", { href, download: `whyclip.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
    say(`Wrote whyclip.${kind}.`, true);
  } catch (error) {
    say(error.message);
  }
}

async function copy() {
  const address = new URL(link(), location.href).href;
  try {
    await navigator.clipboard.writeText(address);
    say("Link copied. It works while this server runs and keeps the image.", true);
  } catch {
    say(`The link is the address of this page: ${address}`);
  }
}

async function start() {
  model = await about();
  paint = createPaint(model.colours);
  document.documentElement.style.setProperty("--for", model.colours.words.for);
  document.documentElement.style.setProperty("--against", model.colours.words.against);
  document.getElementById("model").textContent = `model: ${model.model}`;
  const cancel = () => (running ? (running.abort(), (running = null), form.busy(false), say("Cancelled.")) : run());
  form = buildForm(document.getElementById("ask"), model, { change, file: addImage, example: takeExample, fault, run: cancel });
  addEventListener("popstate", () => begin(false));
  // The fragment of the link holds the choices, so it cannot name a part of the page.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    root.focus();
  });
  begin(true);
}

function begin(first) {
  restore(location.hash);
  if (first && !state.image && model.examples.length) {
    const [example] = model.examples;
    Object.assign(state, { image: example.id, prompts: state.prompts || example.prompts.join("\n") });
    remember(false);
  }
  form.sync();
  run();
}

start().catch(fault);
