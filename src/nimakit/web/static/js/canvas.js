// Shows a picture fitted to its place or at 100 % (one screen pixel per pixel), and handles gestures on it.

import { address } from "./pictures.js";

const MARGIN_PX = 8;
const MOST_BLOWN_UP = 3; // beyond that, single pixels would show
const SWIPE_PX = 70;
const TAP_PX = 8;
const DOUBLE_TAP_MS = 300;

export class Canvas {
  // figure: contains .canvas; button: shows whether it is zoomed; swipes: { left, right } functions.
  constructor(figure, button, swipes) {
    this.figure = figure;
    this.holder = figure.querySelector(".canvas");
    this.button = button;
    this.swipes = swipes;
    this.zoomed = false;
    this.item = null;
    new ResizeObserver(() => this.zoomed || this.fit()).observe(this.holder);
    figure.addEventListener("pointerdown", (event) => this.down(event));
    figure.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      figure.addEventListener(name, (event) => this.up(event));
    }
    figure.addEventListener("touchmove", (event) => this.swipe(event), { passive: false });
    this.holder.addEventListener("click", (event) => {
      if (this.still && this.item?.image) this.tap(event, this.item.image);
    });
  }

  show(item) {
    this.zoom(false);
    this.start = null; // a touch that began on the previous picture
    this.item = item;
    this.fit();
    this.holder.replaceChildren(item.image);
  }

  // Fit the picture to its place.
  fit() {
    const image = this.item?.image;
    if (!image) return;
    const scale = this.scale(image);
    image.style.width = `${image.naturalWidth * scale}px`;
    image.style.height = `${image.naturalHeight * scale}px`;
  }

  // The scale at which a picture fits its place.
  scale({ naturalWidth, naturalHeight }) {
    const room = [this.holder.clientWidth / naturalWidth, this.holder.clientHeight / naturalHeight];
    const margin = 1 - (2 * MARGIN_PX) / Math.max(200, this.holder.clientHeight);
    return Math.min(room[0], room[1] * margin, MOST_BLOWN_UP);
  }

  clear() {
    this.zoom(false);
    this.item = null;
    this.holder.replaceChildren();
  }

  toggle(x = 0.5, y = 0.5) {
    if (this.item) this.zoom(!this.zoomed, x, y);
  }

  // x, y: the point of the picture to centre, 0 to 1.
  async zoom(on, x = 0.5, y = 0.5) {
    this.zoomed = on;
    this.figure.classList.toggle("zoomed", on);
    this.button?.setAttribute("aria-pressed", String(on));
    if (!on) return this.fit();
    const { item } = this;
    const fitted = item.image.naturalWidth * this.scale(item.image);
    const most = Math.max(fitted, item.image.naturalWidth / (devicePixelRatio || 1));
    this.place(item.image, x, y, most);
    // Replace the smaller copy by the full picture once it is loaded.
    if (!item.full) {
      item.full = new Image();
      item.full.src = address(item, "full");
    }
    try {
      await item.full.decode();
    } catch {
      return;
    }
    if (this.item === item && this.zoomed) {
      this.place(item.image, x, y, Math.max(fitted, item.full.naturalWidth / (devicePixelRatio || 1)));
      item.image.src = item.full.src;
    }
  }

  // Set the width of the picture, and centre a point of it.
  place(image, x, y, width) {
    image.style.width = `${width}px`;
    image.style.height = "auto";
    this.holder.scrollLeft = x * this.holder.scrollWidth - this.holder.clientWidth / 2;
    this.holder.scrollTop = y * this.holder.scrollHeight - this.holder.clientHeight / 2;
  }

  scroll(dx, dy) {
    this.holder.scrollBy({ left: dx * this.holder.clientWidth, top: dy * this.holder.clientHeight, behavior: "smooth" });
  }

  down(event) {
    this.still = this.swiping = false;
    if (event.button || !event.isPrimary || !this.item) return;
    this.start = { x: event.clientX, y: event.clientY, left: this.holder.scrollLeft, top: this.holder.scrollTop };
    const onPicture = this.holder.contains(event.target);
    if (event.pointerType === "mouse" && onPicture) this.holder.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.start || !event.isPrimary) return;
    const dx = event.clientX - this.start.x;
    const dy = event.clientY - this.start.y;
    if (this.zoomed) {
      if (event.pointerType === "mouse") this.holder.scrollTo(this.start.left - dx, this.start.top - dy);
    } else if (event.pointerType !== "mouse" && Math.abs(dx) > Math.abs(dy) && this.item.image) {
      this.swiping = true;
      this.item.image.style.translate = `${dx}px 0`;
    }
  }

  // To the browser a fast swipe is a scroll with momentum, and the next tap would only stop it.
  swipe(event) {
    if (this.swiping && event.cancelable) event.preventDefault();
  }

  up(event) {
    if (!this.start || !event.isPrimary) return;
    const dx = event.clientX - this.start.x;
    const dy = event.clientY - this.start.y;
    this.start = null;
    const image = this.item?.image;
    if (image) image.style.translate = "";
    if (event.type === "pointercancel") return;
    const swiped = event.pointerType !== "mouse" && !this.zoomed && Math.abs(dx) > SWIPE_PX;
    if (swiped && Math.abs(dx) > 1.5 * Math.abs(dy)) {
      (dx < 0 ? this.swipes.left : this.swipes.right)();
    } else {
      this.still = Math.hypot(dx, dy) < TAP_PX; // the click that follows is not a drag
      this.pointer = event.pointerType;
    }
  }

  // A click zooms; on touch screens a double tap does, because single taps happen by mistake.
  tap(event, image) {
    const box = image.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const again = event.timeStamp - (this.tapped || 0) < DOUBLE_TAP_MS;
    this.tapped = again ? 0 : event.timeStamp;
    if (this.pointer === "mouse" ? event.detail < 2 : again) this.toggle(x, y);
  }
}
