// A picture's page: full size, and the arrow keys for the previous and the next picture of the list.

import { Canvas } from "./canvas.js";

const follow = (rel) => document.querySelector(`#neighbours [rel="${rel}"]`)?.click();
const figure = document.getElementById("picture");
let canvas = null;
if (figure) {
  const image = figure.querySelector("img");
  image.draggable = false;
  const button = document.getElementById("zoom");
  canvas = new Canvas(figure, button, { left: () => follow("next"), right: () => follow("prev") });
  const { src, version } = figure.dataset;
  image.decode().then(() => canvas.show({ image, src, version }), () => {});
  button.addEventListener("click", () => canvas.toggle());
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const [left, right] = [event.key === "ArrowLeft", event.key === "ArrowRight"];
  if (event.key === "Escape" && canvas?.zoomed) canvas.toggle();
  else if (canvas?.zoomed) return; // the keys scroll
  else if (left) follow("prev");
  else if (right) follow("next");
});
