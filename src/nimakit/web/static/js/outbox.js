// Events of the rater, kept in the browser until the server has them on disk. An event is stored before the next
// picture is shown. It may be sent several times; its id makes it count once.

import { Refused } from "./api.js";

const BATCH = 50;
const LONGEST_PAUSE_MS = 30000;

export class Outbox extends EventTarget {
  constructor(api, url, collection, rater) {
    super();
    this.api = api;
    this.url = url;
    this.rater = rater;
    this.prefix = `nimakit ${collection} ${rater} `;
    this.memory = new Map(); // used if the browser has no storage
    this.failures = 0;
    this.problem = "";
    this.sending = false;
    this.answered = 0; // batches the server has answered
    window.addEventListener("online", () => this.flush());
    window.addEventListener("beforeunload", (event) => {
      if (this.memory.size) event.preventDefault();
    });
  }

  // Store an event and send it as soon as possible; returns its id.
  add(event) {
    const id = crypto.randomUUID ? crypto.randomUUID() : fallbackId();
    const text = JSON.stringify({ ...event, id, at: Date.now() });
    try {
      localStorage.setItem(this.prefix + id, text);
    } catch {
      this.memory.set(this.prefix + id, text);
    }
    this.changed();
    this.flush();
    return id;
  }

  // Events not yet sent, oldest first.
  waiting() {
    const texts = [...this.memory.values()];
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const key = localStorage.key(i);
        if (key.startsWith(this.prefix)) texts.push(localStorage.getItem(key));
      }
    } catch {
      // no storage: all events are in memory
    }
    return texts
      .filter(Boolean)
      .map((text) => JSON.parse(text))
      .sort((a, b) => a.at - b.at);
  }

  // Pictures whose ratings have not arrived.
  pictures() {
    return this.waiting().flatMap((event) => (event.check ? [] : event.shown || [event.image]));
  }

  // Numbers of the attention checks whose answers have not arrived.
  checks() {
    return this.waiting().flatMap((event) => event.check || []);
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      for (;;) {
        const batch = this.waiting().slice(0, BATCH);
        if (!batch.length) break;
        await this.send(batch);
      }
      this.failures = 0;
      this.problem = "";
    } catch (error) {
      this.failures += 1;
      this.problem = error instanceof Refused ? error.message : "offline";
      const pause = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** (this.failures - 1));
      this.timer = setTimeout(() => this.flush(), pause * (0.75 + Math.random() / 2));
    } finally {
      this.sending = false;
      this.changed();
    }
  }

  async send(batch) {
    const now = Date.now();
    const events = batch.map(({ at, ...event }) => ({ ...event, age_ms: Math.max(0, now - at) }));
    const answer = await this.api.post(this.url, { rater: this.rater, events });
    this.answered += 1;
    for (const id of answer.accepted) this.forget(id);
    for (const { id, reason } of answer.refused) {
      this.forget(id);
      this.dispatchEvent(new CustomEvent("refused", { detail: reason }));
    }
    this.dispatchEvent(new CustomEvent("sent", { detail: answer }));
  }

  forget(id) {
    this.memory.delete(this.prefix + id);
    try {
      localStorage.removeItem(this.prefix + id);
    } catch {
      // no storage
    }
  }

  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}

// crypto.randomUUID is missing on pages loaded over plain HTTP from another machine.
function fallbackId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
