// How long the rater has looked at a picture: since it was drawn, and only while the page is in view.

export class Watch {
  constructor() {
    this.before = 0; // ms until the page was last hidden
    this.since = null; // null while the watch stands still
    this.running = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.run()));
  }

  // before: ms of earlier looks at the same picture.
  start(before) {
    this.before = before;
    this.running = true;
    this.since = null;
    this.run();
  }

  run() {
    if (this.running && this.since === null && !document.hidden) this.since = performance.now();
  }

  stop() {
    this.before = this.ms;
    this.since = null;
  }

  // End the look; returns its time with that of earlier ones.
  end() {
    this.stop();
    this.running = false;
    return this.before;
  }

  get ms() {
    return this.before + (this.since === null ? 0 : performance.now() - this.since);
  }
}
