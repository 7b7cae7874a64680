// One photograph from the camera, taken in a dialog.
import { el } from "./elements.js";

export async function photograph() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    throw new Error("no camera is available, or the browser has no permission to use it");
  }
  const video = el("video", { autoplay: true, playsinline: true, "aria-label": "Camera" });
  video.muted = true;
  video.srcObject = stream;
  const dialog = el("dialog", { class: "camera", "aria-label": "Take a photograph" }, video);
  try {
    return await new Promise((done) => {
      const take = () => {
        if (!video.videoWidth) return;
        const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
        canvas.getContext("2d").drawImage(video, 0, 0);
        canvas.toBlob((blob) => done(blob), "image/png");
      };
      dialog.append(
        el(
          "div",
          { class: "row" },
          el("button", { type: "button", class: "primary", click: take }, "Take the photograph"),
          el("button", { type: "button", click: () => done(null) }, "Cancel"),
        ),
      );
      dialog.addEventListener("close", () => done(null));
      document.body.append(dialog);
      dialog.showModal();
    });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    dialog.remove();
  }
}
