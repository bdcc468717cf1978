// The progress of the rater, and their pace.

import { _, number } from "./texts.js";

const REMEMBERED = 20; // latest answers that the pace is computed from
const PAUSE_MS = 60000; // a longer time was a break

export class Pace {
  // pace: the element that says how fast the rater is; null if nobody should be hurried.
  constructor(pace) {
    this.count = document.getElementById("count");
    this.bar = document.getElementById("progress");
    this.pace = pace;
    this.times = [];
    this.last = performance.now();
  }

  // An answer was given.
  tick() {
    const now = performance.now();
    if (now - this.last < PAUSE_MS) this.times.push(now - this.last);
    if (this.times.length > REMEMBERED) this.times.shift();
    this.last = now;
  }

  // total: null if there is no end; counted(count): "7 pictures".
  show(done, total, counted) {
    this.count.textContent = total ? _("%(done)s of %(total)s", { done: number(done), total: number(total) }) : counted(done);
    this.bar.hidden = !total;
    this.bar.max = total || 1;
    this.bar.value = Math.min(done, total || 0);
    if (!this.pace || this.times.length < 5) return;
    const each = this.times.reduce((sum, time) => sum + time, 0) / this.times.length;
    const parts = [_("%(count)s per minute", { count: number(Math.round(60000 / each)) })];
    if (total > done) parts.push(left((total - done) * each));
    this.pace.textContent = parts.join(" · ");
  }
}

function left(ms) {
  const minutes = ms / 60000;
  if (minutes < 1.5) return _("about 1 minute left");
  if (minutes < 90) return _("%(count)s min left", { count: Math.round(minutes) });
  return _("%(count)s h left", { count: Math.round(minutes / 60) });
}
