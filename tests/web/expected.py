"""A model of what a rating page should show and record after each action of a rater."""

from typing import Any

from playwright.sync_api import Page

from web.study import Study

BEHIND = 12
"""Items one can go back over."""
UNKNOWN = object()

DRAWN = """() => {
  const drawn = (window.drawn = new Map());
  const look = () => {
    for (const image of document.querySelectorAll(".canvas img")) {
      if (!drawn.has(image.src)) drawn.set(image.src, performance.now());
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  window.seen = { click: 0, pointerup: 0 };
  for (const kind in window.seen) document.addEventListener(kind, () => (window.seen[kind] += 1), true);
  document.addEventListener("keydown", () => (window.pressed = performance.now()), true);
}"""
"""Notes the first frame with a picture, the last key, and how many clicks and lifted pointers there were."""

STATE = """async () => {
  const main = document.querySelector("main");
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  while (main.getAttribute("aria-busy") !== "false" || localStorage.length) await frame();
  await frame();
  const button = document.activeElement.closest("button, a, summary");
  const all = (selector) => [...document.querySelectorAll(selector)];
  const places = (selector, name) =>
    all(selector).flatMap((one, place) => (one.classList.contains(name) ? [place] : []));
  return {
    items: all(".canvas img").map((image) => Number(image.src.split("/").at(-2))),
    focus: button && (button.id ? `#${button.id}` : button.title || button.tagName),
    chosen: places(".step, .choice, .tie", "chosen"),
    best: places(".choice", "best"),
    worst: places(".choice", "worst"),
    value: document.getElementById("value")?.value,
    zoomed: places(".picture", "zoomed"),
    help: document.getElementById("help").open,
    menu: document.querySelector("details.menu").open,
  };
}"""
"""What is there once all is drawn and sent."""


class Expected:
    """What a page shows and records by rights; experiments say what their answers are.

    Attributes:
        says: Key, button and answer of what answers at once.
        expected: Events since the last comparison.
        item: Pictures that are shown; None at the end, or where it is not known yet.
        answers: The last answer to each item.
        trace: What was done.
    """

    says: tuple[tuple[str, str, Any], ...] = ()

    def __init__(self, page: Page, study: Study) -> None:
        self.page, self.study = page, study
        self.trace: list[str] = []
        self.expected: list[tuple[Any, ...]] = []
        self.item: tuple[int, ...] | None = None
        self.answers: dict[tuple[int, ...], Any] = {}
        self.past: list[tuple[int, ...]] = []
        self.ahead: list[tuple[int, ...]] = []
        self.zoomed: set[int] = set()
        self.focus: str | None = None
        self.help = self.menu = False
        self.begins = True
        self.seen = 0

    def event(self, answer: Any) -> tuple[Any, ...]:
        """Kind, picture and value that are recorded."""
        raise NotImplementedError

    def give(self, answer: Any) -> None:
        """The item is answered, and the next one appears."""
        if self.item is None:
            return
        if self.answers.get(self.item, UNKNOWN) != answer:
            self.expected.append(self.event(answer))
            self.answers[self.item] = answer
        self.past = [*self.past, self.item][-BEHIND:]
        self.show(self.ahead.pop(0) if self.ahead else None)

    def return_to_last(self) -> None:
        """The previous item is shown again."""
        if self.past:
            self.ahead[:0] = [] if self.item is None else [self.item]
            self.show(self.past.pop())

    def show(self, item: tuple[int, ...] | None) -> None:
        """Another item is shown, known or not."""
        self.item, self.begins, self.zoomed = item, True, set()

    def meet(self, item: tuple[int, ...], value: Any) -> None:  # noqa: ARG002
        """A new item was shown briefly and answered."""
        assert item not in self.answers, "an item that was answered comes as a new one"
        self.item = item

    def toggle(self, place: int = 0) -> None:
        """Full size on or off."""
        if self.item is not None:
            self.zoomed ^= {place}

    def push(self, button: str) -> None:
        """A button performs its action."""
        for _, name, answer in self.says:
            if name == button:
                self.give(answer)
                return
        if button == "#skip":
            self.give(None)
        elif button == "#back":
            self.return_to_last()
        elif button == "#zoom":
            self.toggle()
        elif button == "#help-button":
            self.help = True
        elif button == "SUMMARY":
            self.menu = True

    def pressed(self, key: str) -> None:
        """A key performs its action; a focused button receives Enter and Space."""
        if self.focus and key in ("Enter", " "):
            self.push(self.focus)
            return
        self.focus = None
        for name, _, answer in self.says:
            if name == key:
                self.give(answer)

    def recorded(self, first: int) -> list[tuple[Any, ...]]:
        """Kind, item and value of events, from one of them on."""
        return [
            (event.kind, tuple(event.shown or (event.image_id,)), self.value_of(event))
            for event in self.study.events[first:]
        ]

    def value_of(self, event: Any) -> Any:
        """The answer in an event."""
        return event.value

    def compare(self, state: dict[str, Any]) -> None:
        """Compare what is shown, and what was recorded since the last comparison."""
        count = self.seen
        recorded = self.recorded(count)
        assert recorded == self.expected, f"recorded {recorded}, expected {self.expected}"
        self.seen, self.expected = count + len(self.expected), []
        shown = tuple(state["items"]) or None
        if self.begins and self.item is None and shown:
            self.meet(shown, None)
        assert shown == self.item, f"shown {shown}, expected {self.item}, then {self.ahead[:3]}"
        assert set(state["zoomed"]) == self.zoomed, "full size"
        assert (state["help"], state["menu"]) == (False, False)
        assert state["focus"] in (self.focus, None), "a button has the focus"
        self.focus = state["focus"]
        self.compare_choice(state)
        self.begins = False

    def compare_choice(self, state: dict[str, Any]) -> None:
        """Compare which answer is shown as chosen."""
        raise NotImplementedError
