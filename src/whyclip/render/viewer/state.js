// State of the page: its explanations, and the reader's choices.

const { entries, pictures, levels, colours } = JSON.parse(
  document.getElementById("explanations").textContent,
);
const state = { entry: 0, prompt: 0, template: 0, original: false, exact: false, contour: false };
const images = pictures.map((src) => Object.assign(new Image(), { src }));
const painted = images.map((image, index) => ({ image, levels: levels[index] }));
const Paint = createPaint(colours);
const root = document.getElementById("viewer");
let serial = 0;

const shares = (entry = state.entry) => state.shared ?? entries[entry].shared;
const current = () => entries[state.entry].explanation;
const sides = (explanation) => Object.entries(explanation.certificate.scores || {});
