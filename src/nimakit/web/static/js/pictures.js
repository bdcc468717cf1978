// Loads pictures ahead of need, at a size for this screen.

import { _ } from "./texts.js";

const SIDES = [1280, 2560];

// The longer side needed for this screen, from the sizes of the server.
export function side() {
  const needed = Math.max(screen.width, screen.height) * Math.min(devicePixelRatio || 1, 2);
  return SIDES.find((one) => one >= needed * 0.9) || SIDES.at(-1);
}

export function address(item, size) {
  return `${item.src}${size}?v=${item.version}`;
}

export function unload(item) {
  item.image = item.ready = item.full = undefined;
}

// Start loading the picture of an item; item.ready is a promise of the decoded <img>.
export function load(item) {
  if (!item.ready) {
    const image = new Image();
    image.alt = item.name || _("The photograph to rate");
    image.draggable = false;
    image.decoding = "sync"; // drawn together with its caption
    image.src = address(item, side());
    item.image = image;
    item.ready = image.decode().then(() => image);
    item.ready.catch(() => {}); // handled when it is shown
  }
  return item.ready;
}

// Resolves once the current state of the page is drawn: in a task after the next frame.
export function drawn() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
