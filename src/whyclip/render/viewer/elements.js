// Elements and number formats. Content of an explanation is inserted as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const minus = (text) => text.replace("-", "−");
export const fixed = (value, digits) => (value === null ? "none" : minus(value.toFixed(digits)));
export const score = (value) => fixed(value, 3);
export const small = (value) => (value === null ? "none" : minus(String(Number(value.toPrecision(3)))));
export const power = (value, digits) =>
  value === 0 ? "0" : value.toExponential(digits).replace("e-", "e−");
export const signed = (value) => (value > 0 ? "+" : "") + small(value);
export const percent = (share) => minus(`${Math.round(100 * share)} %`);
export const templates = (prompt) => (Array.isArray(prompt) ? prompt : [prompt]);
export const label = (prompt) => {
  const [first, ...more] = templates(prompt);
  return more.length ? `${first} (+${more.length} templates)` : first;
};
