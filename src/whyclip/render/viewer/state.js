// What is shown: the explanations that came with the page, and the reader's choices.

const { entries, pictures, colours } = JSON.parse(
  document.getElementById("explanations").textContent,
);
const state = { entry: 0, prompt: 0, template: 0, opacity: 0.85, shared: false };
const root = document.getElementById("viewer");
let serial = 0;

const current = () => entries[state.entry].explanation;
const sides = (explanation) => Object.entries(explanation.certificate.scores || {});
