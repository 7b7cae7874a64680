// The strongest word–patch pairs, as lines from the word to the patch.
import { el, signed } from "./elements.js";
import { Heat } from "./heat.js";

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function drawLines(shown, root, stage, table, pairs, size) {
  const buttons = [...root.querySelectorAll("h1 .word")];
  const sheet = shape("svg", { class: "lines", "aria-hidden": "true" });
  const most = pairs[0]?.value ?? 1;
  const place = () => {
    const origin = root.getBoundingClientRect();
    const image = stage.getBoundingClientRect();
    sheet.replaceChildren();
    for (const { word, value, row, column } of pairs) {
      const { start } = table.words[word];
      const button = buttons.find((one) => Number(one.dataset.start) === start);
      if (!button) continue;
      const from = button.getBoundingClientRect();
      const [x, y, wide, high] = Heat.patchBox(table, [row, column]);
      const to = [
        image.left - origin.left + ((x + wide / 2) / size.width) * image.width,
        image.top - origin.top + ((y + high / 2) / size.height) * image.height,
      ];
      const [a, b] = [from.left - origin.left + from.width / 2, from.bottom - origin.top];
      const middle = (b + to[1]) / 2;
      const curve = { d: `M${a},${b} C${a},${middle} ${to[0]},${middle} ${to[0]},${to[1]}` };
      const width = 1 + 3 * (value / most);
      sheet.append(
        shape("path", { ...curve, class: "casing", "stroke-width": width + 2 }),
        shape("path", { ...curve, class: "line", "stroke-width": width }),
        shape("circle", { cx: to[0], cy: to[1], r: 5, class: "end" }),
      );
    }
  };
  root.append(sheet);
  shown.after(
    el(
      "p",
      { class: "quiet pairs" },
      "Strongest pairs: ",
      pairs.length
        ? pairs.map((pair) => `${table.words[pair.word].word} at row ${pair.row + 1}, column ${pair.column + 1} (${signed(pair.value)})`).join("; ")
        : "none raises the score",
    ),
  );
  const observer = new ResizeObserver(() => (sheet.isConnected ? place() : observer.disconnect()));
  observer.observe(root);
  place();
}
