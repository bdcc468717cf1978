// Keys, and the page that shows them: one list says what there is.

export class Keys {
  constructor() {
    this.bindings = new Map();
    this.rows = [];
    this.dialog = document.getElementById("help");
    document.addEventListener("keydown", (event) => this.press(event));
    document.getElementById("help-button").addEventListener("click", () => this.dialog.showModal());
    this.add(["?"], "All keys and gestures", () => this.dialog.showModal());
  }

  // keys: KeyboardEvent.key values; shown: how they are written in the help; action gets the event.
  add(keys, text, action, { shown = keys.map(named), repeat = false } = {}) {
    for (const key of keys) this.bindings.set(key.toLowerCase(), { action, repeat });
    if (text) this.row(shown, text);
  }

  // A line of the help: for gestures, too.
  row(shown, text) {
    const name = document.createElement("dt");
    for (const one of shown) {
      const key = document.createElement("kbd");
      key.textContent = one;
      name.append(key, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = text;
    document.getElementById("keys").append(name, meaning);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (this.dialog.open || event.target.closest("input, textarea, select, details.menu")) return;
    // A button that has the focus is pressed by these; what they do besides must wait.
    if (event.target.closest("button, a") && (event.key === "Enter" || event.key === " ")) return;
    const binding = this.bindings.get(event.key.toLowerCase());
    if (!binding || (event.repeat && !binding.repeat)) return;
    event.preventDefault();
    binding.action(event);
  }
}

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫" };

function named(key) {
  return NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);
}
