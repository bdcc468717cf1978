// The progress of the rater, and their pace.

const REMEMBERED = 20; // latest answers that the pace is computed from
const PAUSE_MS = 60000; // a longer time was a break

export class Pace {
  constructor() {
    this.count = document.getElementById("count");
    this.bar = document.getElementById("progress");
    this.pace = document.getElementById("pace");
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

  // total: null if there is no end.
  show(done, total, unit) {
    const plural = done === 1 ? "" : "s";
    this.count.textContent = total ? `${number(done)} of ${number(total)}` : `${number(done)} ${unit}${plural}`;
    this.bar.hidden = !total;
    this.bar.max = total || 1;
    this.bar.value = Math.min(done, total || 0);
    if (this.times.length < 5) return;
    const each = this.times.reduce((sum, time) => sum + time, 0) / this.times.length;
    const left = total ? ` · ${duration((total - done) * each)} left` : "";
    this.pace.textContent = `${Math.round(60000 / each)} per minute${total > done ? left : ""}`;
  }
}

function number(value) {
  return value.toLocaleString("en");
}

function duration(ms) {
  const minutes = ms / 60000;
  if (minutes < 1.5) return "about 1 minute";
  if (minutes < 90) return `${Math.round(minutes)} min`;
  return `${Math.round(minutes / 60)} h`;
}
