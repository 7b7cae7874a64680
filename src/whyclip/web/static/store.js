// The visitor's choices, and the link that restores them. The page depends only on these.

export const VIEWS = { original: "Original", heat: "Heat", contour: "Contour", patches: "Patches" };
export const DEFAULT = "default";

const FRESH = {
  image: "",
  prompts: "",
  against: "",
  method: DEFAULT,
  beside: "",
  sides: "both",
  geometry: "model",
  prompt: 0,
  view: "heat",
  word: -1,
  box: null,
  pairs: false,
  drawing: false,
};
// Short names in the link; other choices are not in it.
const KEYS = {
  image: "i", prompts: "p", against: "a", method: "m", beside: "b", sides: "s", geometry: "g",
  prompt: "n", view: "v", word: "w", box: "x", pairs: "l",
};

export const state = { ...FRESH };

const written = {
  box: (box) => box.map((share) => share.toFixed(4)).join(","),
  pairs: () => "1",
};
const read = {
  prompt: (text) => Math.max(0, Number.parseInt(text, 10) || 0),
  word: (text) => Number.parseInt(text, 10),
  view: (text) => (text in VIEWS ? text : FRESH.view),
  sides: (text) => (["both", "image", "text"].includes(text) ? text : FRESH.sides),
  box: (text) => {
    const box = text.split(",").map(Number);
    return box.length === 4 && box.every((share) => share >= 0 && share <= 1) ? box : null;
  },
  pairs: (text) => text === "1",
};

export function link() {
  const parts = new URLSearchParams();
  for (const [name, key] of Object.entries(KEYS)) {
    const value = state[name];
    if (value !== FRESH[name] && value !== null) {
      parts.set(key, (written[name] ?? String)(value));
    }
  }
  return `#${parts}`;
}

export function restore(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  Object.assign(state, FRESH);
  for (const [name, key] of Object.entries(KEYS)) {
    if (parts.has(key)) state[name] = (read[name] ?? String)(parts.get(key));
  }
}

// Stores a step for the back button, or updates the address of the current step.
export function remember(step) {
  const address = link();
  if (address === location.hash || (address === "#" && !location.hash)) return;
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// The body of a request to the server.
export function question(model) {
  return {
    image: state.image,
    prompts: lines(state.prompts),
    against: lines(state.against),
    methods: [state.method, ...(state.beside ? [state.beside] : [])],
    sides: state.sides === "both" || model.classifier ? [] : [state.sides],
    geometry: state.geometry,
  };
}
