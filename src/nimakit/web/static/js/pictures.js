// Loads pictures ahead of need, at the size this screen can show.

const SIDES = [1280, 2560];

// The longer side a picture can use here, in the steps the server has.
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

// Start loading an item's picture; item.ready is a promise of its decoded <img>.
export function load(item) {
  if (!item.ready) {
    const image = new Image();
    image.alt = item.name || "The photograph to look at";
    image.draggable = false;
    image.decoding = "sync"; // drawn with all that is said of it, not a moment later
    image.src = address(item, side());
    item.image = image;
    item.ready = image.decode().then(() => image);
    item.ready.catch(() => {}); // whoever shows it deals with it
  }
  return item.ready;
}

// Until what was put on the page just now has been drawn: a task after the next frame.
export function drawn() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
