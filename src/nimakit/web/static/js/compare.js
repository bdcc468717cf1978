// Up to four pictures side by side, which zoom and move together.

import { describe, mark, MOST_REASONS, nameOf, reason, titleOf } from "./grid.js";
import { address, side } from "./pictures.js";

const MOST = 4;
const WHEEL = 0.0015; // change of the logarithm of the scale per pixel
const STEP = 1.25;
const LARGEST = 16; // screen pixels per pixel
const TAP_PX = 8;
const DOUBLE_TAP_MS = 300;

export class Compare {
  // grid: Grid; decisions: Decisions.
  constructor(dialog, grid, decisions) {
    this.dialog = dialog;
    this.grid = grid;
    this.decisions = decisions;
    this.holder = dialog.querySelector(".panes");
    this.panes = [];
    this.scale = null; // screen pixels per pixel; null: fitted
    this.centre = { x: 0.5, y: 0.5 }; // what is in the middle of each pane, as a share of the picture
    this.pointers = new Map();
    this.beside = dialog.querySelector("#beside");
    this.beside.value = matchMedia("(max-width: 40rem)").matches ? "2" : "4";
    this.beside.addEventListener("change", () => this.show());
    dialog.addEventListener("close", () => grid.focus(grid.current));
    new ResizeObserver(() => this.place()).observe(this.holder);
    this.holder.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.holder.addEventListener("pointerdown", (event) => this.down(event));
    this.holder.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) this.holder.addEventListener(name, (event) => this.up(event));
  }

  get isOpen() {
    return this.dialog.open;
  }

  open() {
    if (!this.grid.current) return;
    this.zoom(null);
    if (!this.dialog.open) this.dialog.showModal();
    this.show();
  }

  // Show the pictures around the current one, in the order of its group.
  show() {
    const { group, frame } = this.grid.current;
    const count = Math.min(Number(this.beside.value), MOST, group.frames.length);
    const last = group.frames.length - count;
    const place = group.frames.indexOf(frame);
    const first = Math.min(last, place < count ? 0 : place - count + 1);
    const frames = group.frames.slice(first, first + count);
    this.dialog.querySelector("#compare-title").textContent = nameOf(group);
    if (frames.length !== this.panes.length || frames.some((one, number) => one !== this.panes[number].frame)) {
      this.panes = frames.map((one) => pane(one));
      this.holder.dataset.count = count;
      this.holder.replaceChildren(...this.panes.map(({ figure }) => figure));
      for (const one of this.panes) one.image.addEventListener("load", () => this.place());
    }
    this.update();
    this.place();
  }

  update() {
    if (!this.isOpen || !this.grid.current) return;
    const { group, frame } = this.grid.current;
    for (const one of this.panes) {
      const decision = this.decisions.of(one.frame.id);
      const isCurrent = one.frame === frame;
      one.figure.classList.toggle("current", isCurrent);
      one.figure.setAttribute("aria-current", String(isCurrent));
      mark(one.figure, decision);
      const text = [titleOf(one.frame), reason(one.frame, group, MOST_REASONS)];
      one.figure.querySelector(".pane-text").textContent = text.filter(Boolean).join(" · ");
      one.image.alt = describe(one.frame, group, decision);
    }
  }

  // Zoom all pictures; null fits them. The point under (left, top) of a pane stays where it is.
  zoom(scale, one = this.panes[0], left = null, top = null) {
    const before = one && this.layout(one);
    this.scale = scale === null || (one && scale <= before.fitted) ? null : Math.min(scale, LARGEST);
    if (this.scale === null) this.centre = { x: 0.5, y: 0.5 };
    else if (left !== null) {
      const share = { x: (left - before.left) / before.width, y: (top - before.top) / before.height };
      const { width, height } = this.layout(one);
      this.centre = {
        x: share.x + (one.view.clientWidth / 2 - left) / width,
        y: share.y + (one.view.clientHeight / 2 - top) / height,
      };
    }
    if (this.scale !== null) this.panes.forEach((each) => full(each, () => this.place()));
    this.place();
  }

  // To 100 %, or for small pictures to twice the size, and back.
  toggle(one = this.panes[0], left = null, top = null) {
    const { fitted } = this.layout(one);
    this.zoom(this.scale !== null ? null : fitted < 1 ? 1 : 2 * fitted, one, left, top);
  }

  // By keys and buttons: around the middle.
  step(by) {
    const [one] = this.panes;
    if (one) this.zoom((this.scale ?? this.layout(one).fitted) * STEP ** by, one, one.view.clientWidth / 2, one.view.clientHeight / 2);
  }

  // Move all pictures by shares of their panes.
  pan(dx, dy) {
    const [one] = this.panes;
    if (!one || this.scale === null) return;
    const { width, height } = this.layout(one);
    this.centre.x += (dx * one.view.clientWidth) / width;
    this.centre.y += (dy * one.view.clientHeight) / height;
    this.place();
  }

  // Where a picture is in its pane, in pixels of the page; `fitted` is the scale at which it fits.
  layout({ view, image, size }) {
    const natural = size || { width: image.naturalWidth || 3, height: image.naturalHeight || 2 };
    const ratio = devicePixelRatio || 1;
    const fit = Math.min(view.clientWidth / natural.width, view.clientHeight / natural.height);
    const fitted = fit * ratio;
    const scale = this.scale === null ? fit : Math.max(this.scale / ratio, fit);
    const width = natural.width * scale;
    const height = natural.height * scale;
    return {
      fitted,
      width,
      height,
      left: within(view.clientWidth / 2 - this.centre.x * width, view.clientWidth - width),
      top: within(view.clientHeight / 2 - this.centre.y * height, view.clientHeight - height),
    };
  }

  place() {
    for (const one of this.panes) {
      const { width, height, left, top } = this.layout(one);
      Object.assign(one.image.style, { width: `${width}px`, height: `${height}px`, translate: `${left}px ${top}px` });
    }
    // Beyond the edge there is nothing to move back over.
    const [one] = this.panes;
    if (one && this.scale !== null) {
      const { width, height, left, top } = this.layout(one);
      this.centre = { x: (one.view.clientWidth / 2 - left) / width, y: (one.view.clientHeight / 2 - top) / height };
    }
    this.dialog.querySelector("#zoom").setAttribute("aria-pressed", String(this.scale !== null));
    this.holder.classList.toggle("zoomed", this.scale !== null);
  }

  paneAt(event) {
    return this.panes.find(({ figure }) => figure.contains(event.target));
  }

  wheel(event) {
    const one = this.paneAt(event);
    if (!one) return;
    event.preventDefault();
    const { left, top } = inside(one, event);
    this.zoom((this.scale ?? this.layout(one).fitted) * Math.exp(-event.deltaY * WHEEL), one, left, top);
  }

  down(event) {
    const one = this.paneAt(event);
    if (event.button || !one) return;
    this.holder.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size === 1) this.pressed = { one, x: event.clientX, y: event.clientY, moved: false };
    else if (this.pressed) this.pressed.moved = true;
  }

  move(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer || !this.pressed) return;
    const { one } = this.pressed;
    const before = [...this.pointers.values()].map((each) => ({ ...each }));
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
    if (Math.hypot(event.clientX - this.pressed.x, event.clientY - this.pressed.y) > TAP_PX) this.pressed.moved = true;
    if (this.pointers.size === 2) {
      const [first, second] = this.pointers.values();
      const factor = apart(first, second) / Math.max(1, apart(...before));
      const middle = inside(one, { clientX: (first.x + second.x) / 2, clientY: (first.y + second.y) / 2 });
      this.zoom((this.scale ?? this.layout(one).fitted) * factor, one, middle.left, middle.top);
      this.pan(-dx / 2 / one.view.clientWidth, -dy / 2 / one.view.clientHeight);
    } else if (this.pressed.moved) {
      this.pan(-dx / one.view.clientWidth, -dy / one.view.clientHeight);
    }
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    const { one, moved } = this.pressed;
    this.pressed = null;
    if (moved || event.type === "pointercancel") return;
    const again = this.tapped?.one === one && event.timeStamp - this.tapped.at < DOUBLE_TAP_MS;
    this.tapped = again ? null : { one, at: event.timeStamp };
    this.grid.select({ group: this.grid.current.group, frame: one.frame });
    this.update();
    const { left, top } = inside(one, event);
    if (again) this.toggle(one, left, top);
  }
}

function pane(frame) {
  const figure = document.createElement("figure");
  figure.className = "pane";
  const view = document.createElement("div");
  view.className = "view";
  const image = new Image();
  image.draggable = false;
  image.src = address(frame, side());
  view.append(image);
  const caption = document.createElement("figcaption");
  const marks = document.createElement("span");
  marks.className = "frame-marks";
  const text = document.createElement("span");
  text.className = "pane-text";
  caption.append(marks, text);
  figure.append(view, caption);
  return { figure, view, image, frame, size: null };
}

// Replace the smaller copy by the full picture once it is loaded.
async function full(one, then) {
  if (one.full) return;
  one.full = new Image();
  one.full.src = address(one.frame, "full");
  try {
    await one.full.decode();
  } catch {
    return;
  }
  one.size = { width: one.full.naturalWidth, height: one.full.naturalHeight };
  one.image.src = one.full.src;
  then();
}

// A place between the ends of a picture that is larger than its pane; the middle for a smaller one.
function within(place, room) {
  return room >= 0 ? room / 2 : Math.min(0, Math.max(room, place));
}

function inside({ view }, { clientX, clientY }) {
  const box = view.getBoundingClientRect();
  return { left: clientX - box.left, top: clientY - box.top };
}

function apart(first, second) {
  return Math.hypot(first.x - second.x, first.y - second.y);
}
