// What the rater decided about pictures: sent as events, kept in the browser until they have arrived, and undone
// step by step, also after the page was reloaded.

import { Outbox } from "./outbox.js";

const STEPS = 500; // that can be undone

export class Decisions extends EventTarget {
  constructor(api, url, collection, rater) {
    super();
    this.outbox = new Outbox(api, url, collection, rater);
    this.key = `nimakit undo ${collection} ${rater}`;
    this.known = new Map(); // picture id -> { flag, stars }
    this.events = new Map(); // "picture field" -> id of this browser's last event about it
    this.made = []; // changes by this page
    this.steps = stored(this.key);
  }

  of(image) {
    return this.known.get(image) || { flag: null, stars: null };
  }

  // What an answer to a question asked now may not include.
  asking() {
    return { waiting: this.outbox.waiting(), made: this.made.length };
  }

  // Take over what the server knew when it was asked; what it may not have known counts more.
  merge(frames, { waiting, made }) {
    this.known = new Map(frames.map(({ id, flag, stars }) => [id, { flag, stars }]));
    const later = this.made.slice(made).map(({ image, field, value }) => [image, { [field]: value }]);
    for (const [image, change] of [...waiting.map((event) => [event.image, meaning(event)]), ...later]) {
      if (this.known.has(image)) Object.assign(this.known.get(image), change);
    }
    this.changed();
  }

  // changes: { image, field: "flag" or "stars", value } of one step; those that change nothing are left out.
  decide(changes) {
    const real = changes.filter(({ image, field, value }) => this.of(image)[field] !== value);
    if (!real.length) return false;
    this.steps.push(real.map(({ image, field }) => ({ image, field, value: this.of(image)[field] })));
    this.apply(real);
    return true;
  }

  // Take the last step back; returns its changes, or null if there is none.
  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.apply(step);
    return step;
  }

  apply(changes) {
    this.made.push(...changes);
    for (const { image, field, value } of changes) {
      this.known.set(image, { ...this.of(image), [field]: value });
      const name = `${image} ${field}`;
      this.events.set(name, this.outbox.add({ image, ...event(field, value), replaces: this.events.get(name) }));
    }
    this.steps = this.steps.slice(-STEPS);
    try {
      sessionStorage.setItem(this.key, JSON.stringify(this.steps));
    } catch {
      // no storage: steps are forgotten with the page
    }
    this.changed();
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

function event(field, value) {
  if (field === "flag") return { kind: value || "unflag" };
  return value ? { kind: "rating", value } : { kind: "skip" };
}

function meaning({ kind, value }) {
  if (kind === "rating") return { stars: value };
  if (kind === "skip") return { stars: null };
  return { flag: kind === "unflag" ? null : kind };
}

function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key)) || [];
  } catch {
    return [];
  }
}
