// Processor time of drawing a heat map at 720 × 720, without a browser around it.
//
//     node benchmarks/paint.mjs                  the viewer's paint.js
//     node benchmarks/paint.mjs OLD/paint.js     beside another version of it, by turns
//
// On a busy machine the clock of a browser measures the other processes; this does not. It also says
// by how much the bytes of the two versions differ. Needs Node.js, and a Python that has whyclip.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const SIZE = 720;
const ROUNDS = 3;
const HERE = new URL("../src/whyclip/render/viewer/paint.js", import.meta.url);
const source = "import json; from whyclip.render.page import colours; print(json.dumps(colours()))";
const colours = JSON.parse(execFileSync(process.env.PYTHON || "python3", ["-c", source], { encoding: "utf-8" }));

function version(file) {
  const code = readFileSync(file, "utf-8").replace(/^(import .*\n|export )/gm, "");
  return new Function("el", `${code}\nreturn createPaint;`)(() => {})(colours);
}

const versions = Object.fromEntries([...process.argv.slice(2), HERE].map((file) => [String(file), version(file)]));

// Two blobs, one for and one against, as maps have them, with a little of everything between.
function relevance(rows, columns, signed) {
  return Array.from({ length: rows * columns }, (_, i) => {
    const [y, x] = [Math.floor(i / columns) / rows, (i % columns) / columns];
    const blob = (v, u, narrow) => Math.exp(-narrow * ((y - v) ** 2 + (x - u) ** 2));
    const value = blob(0.3, 0.4, 20) - 0.9 * blob(0.7, 0.7, 25) + 0.05 * Math.sin(7 * i);
    return signed ? value : Math.abs(value);
  });
}

function drawn(paint, map, signed, how) {
  let pixels = null;
  const context = {
    createImageData: (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) }),
    putImageData: ({ data }) => (pixels = data),
  };
  const canvas = { width: SIZE, height: SIZE, getContext: () => context };
  const before = process.cpuUsage();
  paint.draw(canvas, map, { width: SIZE, height: SIZE }, null, { limit: 1, signed }, how);
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / 1000, pixels];
}

const times = {};
let [worst, different, bytes] = [0, 0, 0];
for (let round = 0; round < ROUNDS; round++) {
  for (const box of [[40, -20, 700, 500], [0, 0, SIZE, SIZE]]) {
    for (const signed of [false, true]) {
      const map = { grid: [14, 14], box, values: relevance(14, 14, signed) };
      for (const exact of [false, true]) {
        for (const contour of [false, true]) {
          const outcomes = Object.entries(versions).map(([file, paint]) => {
            const [time, pixels] = drawn(paint, map, signed, { exact, contour });
            const kind = `${exact ? "patches" : "heat"}${contour ? " with contour" : ""}`;
            ((times[kind] ??= {})[file] ??= []).push(time);
            return pixels;
          });
          outcomes[0].forEach((value, i) => {
            const off = Math.abs(value - outcomes.at(-1)[i]);
            worst = Math.max(worst, off);
            different += off > 0;
            bytes += 1;
          });
        }
      }
    }
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
for (const [kind, files] of Object.entries(times)) {
  for (const [file, values] of Object.entries(files)) {
    console.log(`${kind}: median ${median(values).toFixed(1)} ms, smallest ${Math.min(...values).toFixed(1)} ms (${file})`);
  }
}
if (process.argv.length > 2) console.log(`largest difference ${worst} of 255, in ${different} of ${bytes} bytes`);
