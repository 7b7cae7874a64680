// Gallery that filters and sorts its cards. Names are inserted as text, never as HTML.
"use strict";
const { prompts, entries } = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function card(entry) {
  const made = element("li");
  made.className = "card";
  const link = element("a", entry.name, made);
  link.href = entry.link;
  const images = element("div", "", made);
  images.className = "images";
  const original = entry.thumbnails.length > prompts.length ? 1 : 0;
  if (original) picture(images, entry.thumbnails[0], "image", "");
  prompts.forEach((prompt, i) =>
    picture(images, entry.thumbnails[i + original], prompt, entry.scores[i].toFixed(3)));
  return made;
}

function picture(parent, source, prompt, score) {
  const figure = element("figure", "", parent);
  if (source) {
    const image = element("img", "", figure);
    image.loading = "lazy";
    image.alt = score ? `Heat map for ${prompt}` : "Image";
    image.src = source;
  }
  const caption = element("figcaption", `${prompt} `, figure);
  if (score) element("span", score, caption);
}

const cards = entries.map((entry) => ({ entry, made: card(entry) }));
element("option", "name", at("sort")).value = "-1";
prompts.forEach((prompt, i) => (element("option", `score of ${prompt}`, at("sort")).value = i));

function update() {
  const wanted = at("filter").value.trim().toLowerCase();
  const by = Number(at("sort").value), order = Number(at("order").value);
  const least = at("least").value === "" ? -Infinity : Number(at("least").value);
  const shown = cards.filter(({ entry }) => entry.name.toLowerCase().includes(wanted)
    && (by < 0 ? Math.max(...entry.scores) : entry.scores[by]) >= least);
  shown.sort((a, b) => order * (by < 0
    ? a.entry.name.localeCompare(b.entry.name, "en", { numeric: true })
    : a.entry.scores[by] - b.entry.scores[by]));
  at("gallery").replaceChildren(...shown.map(({ made }) => made));
  at("count").textContent = `${shown.length} of ${cards.length} images`;
}

for (const id of ["filter", "sort", "order", "least"]) at(id).addEventListener("input", update);
update();
