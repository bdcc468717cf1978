// The next pictures, fetched and loaded ahead of need, and the latest ones, to go back to.

import { load, unload } from "./pictures.js";

const AHEAD = 12; // items buffered
const LOADED = 6; // items whose pictures are loaded
const BEHIND = 12; // items to go back to
const RELOAD_AFTER_MS = 60000; // after a longer absence the rater may have continued elsewhere

export class Deck extends EventTarget {
  constructor(api, url, outbox) {
    super();
    this.api = api;
    this.url = url;
    this.outbox = outbox;
    this.items = [];
    this.past = [];
    this.skippedUntil = null; // null: not showing skipped ones; "": all; then the event up to which to show them
    this.state = null; // the latest answer of the server
    this.refill = false; // whether to fetch again after the current fetch
    let hidden = 0;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) hidden = Date.now();
      else if (hidden && Date.now() - hidden > RELOAD_AFTER_MS) this.refresh();
    });
  }

  get current() {
    return this.items[0];
  }

  // Move past the first item, which was answered.
  advance() {
    const [item] = this.items.splice(0, 1);
    this.past.push(item);
    if (this.past.length > BEHIND) this.past.shift();
    this.fill();
    return item;
  }

  // Make the latest answered item the first again; false if there is none.
  back() {
    const item = this.past.pop();
    if (!item) return false;
    this.items.unshift(item);
    return true;
  }

  // Remove an item whose picture cannot be shown.
  drop(item) {
    this.items = this.items.filter((one) => one !== item);
    this.fill(true); // there is one item less
  }

  // Discard the next items and fetch them again.
  async refresh() {
    this.items.splice(1);
    await this.fill(true);
  }

  async fill(force = false) {
    this.preload();
    if (this.filling) {
      this.refill ||= force; // the fetch in progress began before this call's reason
      return;
    }
    if (!force && this.items.length > AHEAD / 2) return;
    this.filling = true;
    this.asked = this.outbox.answered; // the answer may not include later events
    try {
      const buffered = this.items.flatMap((item) => (item.check ? [] : item.ids || [item.id]));
      const checks = [...this.items.flatMap((item) => item.check || []), ...this.outbox.checks()];
      const query = new URLSearchParams({ amount: AHEAD, held: [...new Set([...buffered, ...this.outbox.pictures()])] });
      if (checks.length) query.set("checks", checks);
      if (this.skippedUntil !== null) query.set("skipped", this.skippedUntil);
      const answer = await this.api.get(`${this.url}?${query}`);
      const fresh = new Set(this.items.map(key));
      this.items.push(...answer.items.filter((item) => !fresh.has(key(item))));
      if (!this.state) this.past = answer.history;
      this.state = answer;
      this.skippedUntil = answer.skipped_until ?? this.skippedUntil;
      this.error = null;
      this.preload();
    } catch (error) {
      this.error = error;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.fill(true), 3000);
    } finally {
      this.filling = false;
      const { refill } = this;
      this.refill = false;
      if (refill) this.fill(true);
      this.dispatchEvent(new CustomEvent("filled"));
    }
  }

  preload() {
    for (const item of [...this.items.slice(0, LOADED), ...this.past.slice(-2)]) pictures(item).forEach(load);
    for (const item of this.past.slice(0, -4)) pictures(item).forEach(unload);
  }
}

function pictures(item) {
  return item.pictures || [item];
}

function key(item) {
  if (item.check) return `check ${item.check}`;
  return item.trial || `${item.id}.${item.round}`;
}
