"""A rater who does anything: random acts on a page to rate on, and what should be recorded of them."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

from playwright.sync_api import Page

from web.study import Study

BEHIND = 12
"""Items one can go back over."""
UNKNOWN = object()
DOUBLE_TAP_MS = 350
"""After so long a tap is no second half of a double tap."""
TAP_MS = 60
"""Until a tap has become a click."""

DRAWN = """() => {
  const drawn = (window.drawn = new Map());
  const look = () => {
    for (const image of document.querySelectorAll(".canvas img")) {
      if (!drawn.has(image.src)) drawn.set(image.src, performance.now());
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  document.addEventListener("keydown", () => (window.pressed = performance.now()), true);
}"""
"""Notes the first frame that has a picture, and the last key."""

STATE = """async () => {
  const main = document.querySelector("main");
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  while (main.getAttribute("aria-busy") !== "false" || localStorage.length) await frame();
  await frame();
  const button = document.activeElement.closest("button, a, summary");
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    items: all(".canvas img").map((image) => Number(image.src.match(/([0-9]+)[/][^/]*$/)[1])),
    focus: button && (button.id ? `#${button.id}` : button.tagName === "BUTTON" ? button.title : button.tagName),
    chosen: all(".step, .choice, .tie").flatMap((one, place) => (one.classList.contains("chosen") ? [place] : [])),
    value: document.getElementById("value")?.value,
    zoomed: all(".picture").flatMap((figure, place) => (figure.classList.contains("zoomed") ? [place] : [])),
    help: document.getElementById("help").open,
    menu: document.querySelector("details.menu").open,
  };
}"""
"""What is there once all is drawn and sent."""


class Walker:
    """What an experiment's page does, and a random walk over it.

    Attributes:
        says: Key, button and answer of what answers at once.
        pictures: Pictures of an item.
    """

    says: tuple[tuple[str, str, Any], ...] = ()
    pictures = 1

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        self.page, self.study, self.random = page, study, Random(seed)
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
        self.tapped: tuple[float, float] | None = None
        self.touch = page.context.new_cdp_session(page)

    def walk(self, steps: int) -> None:
        """Act so many times; what is shown and recorded is compared after each."""
        self.page.evaluate(DRAWN)
        self.check()
        acts = self.acts()
        for _ in range(steps):
            act = self.random.choice(acts)
            self.trace.append(act.__name__)
            act()
            self.check()

    def acts(self) -> list[Callable[[], None]]:
        """What may come next; the more often it stands there the likelier."""
        return [
            *([self.say_by_key, self.say_by_click] * 4), *([self.say_by_tap, self.enter, self.tab] * 2),
            self.say_by_double_click, self.say_twice_at_once, self.say_without_waiting, self.say_in_mid_click,
            self.skip, self.skip, self.back, self.back, self.back_by_double_click, self.space, self.swipe,
            self.full_size, self.full_size, self.escape, self.picture, self.look_at_help, self.look_at_menu,
            self.colours,
        ]  # fmt: skip

    # What the page is told.

    def key(self, key: str) -> None:
        """Press a key."""
        self.trace.append(f"  key {key!r}")
        self.page.keyboard.press(key)

    def middle(self, selector: str) -> tuple[float, float] | None:
        """Where something is; None where it is not seen."""
        box = self.page.locator(selector).bounding_box()
        return box and (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def click(self, selector: str, *, times: int = 1, taps: bool = False) -> bool:
        """Click or tap on something; whether it was there."""
        place = self.middle(selector)
        self.trace.append(f"  {'tap' if taps else 'click'} {selector} x{times} at {place}")
        if place is None:
            return False
        if taps:
            if self.tapped == place:
                self.page.wait_for_timeout(DOUBLE_TAP_MS)
            self.page.touchscreen.tap(*place)
            self.page.wait_for_timeout(TAP_MS)
            self.tapped = place
        else:
            self.page.mouse.click(*place, click_count=times)
        self.focus = None
        return True

    # What should come of it.

    def event(self, answer: Any) -> tuple[Any, ...]:
        """Kind, picture and value that are recorded."""
        raise NotImplementedError

    def give(self, answer: Any) -> None:
        """The item is answered, and the next one comes."""
        if self.item is None:
            return
        if self.answers.get(self.item, UNKNOWN) != answer:
            self.expected.append(self.event(answer))
            self.answers[self.item] = answer
        self.past = [*self.past, self.item][-BEHIND:]
        self.show(self.ahead.pop(0) if self.ahead else None)

    def return_to_last(self) -> None:
        """The last item is there again."""
        if self.past:
            self.ahead[:0] = [] if self.item is None else [self.item]
            self.show(self.past.pop())

    def show(self, item: tuple[int, ...] | None) -> None:
        """Another item is there, or one that is not known yet."""
        self.item, self.begins, self.zoomed = item, True, set()

    def toggle(self, place: int = 0) -> None:
        """Full size, and back."""
        if self.item is not None:
            self.zoomed ^= {place}

    def push(self, button: str) -> None:
        """A button does what it is for."""
        for _, name, answer in self.says:
            if name == button:
                self.give(answer)
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
        """A key does what it is for: a button that has the focus takes Enter and Space."""
        if self.focus and key in ("Enter", " "):
            self.push(self.focus)
            return
        self.focus = None
        for name, _, answer in self.says:
            if name == key:
                self.give(answer)

    # Acts.

    def say_by_key(self) -> None:
        key, _, _ = self.random.choice(self.says)
        self.key(key)
        self.pressed(key)

    def say_by_click(self) -> None:
        _, button, answer = self.random.choice(self.says)
        if self.click(button):
            self.give(answer)

    def say_by_tap(self) -> None:
        _, button, answer = self.random.choice(self.says)
        if self.click(button, taps=True):
            self.give(answer)

    def say_by_double_click(self) -> None:
        _, button, answer = self.random.choice(self.says)
        if self.click(button, times=2):
            self.give(answer)

    def say_twice_at_once(self) -> None:
        """The second key comes before anything is drawn: it counts for nothing."""
        (first, _, answer), (second, _, _) = self.random.choices(self.says, k=2)
        self.trace.append(f"  keys {first!r} and {second!r} at once")
        self.page.evaluate(
            """(keys) => keys.forEach((key) =>
                 document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })))""",
            [first, second],
        )
        self.focus = None
        self.give(answer)

    def say_without_waiting(self) -> None:
        """The second key counts only where the next item had been drawn."""
        (first, _, answer), (second, _, other) = self.random.choices(self.says, k=2)
        self.focus = None
        self.page.evaluate("document.activeElement.blur()")
        before = len(self.study.events)
        self.key(first)
        self.key(second)
        pressed = self.page.evaluate("window.pressed")
        self.give(answer)
        self.page.evaluate(STATE)
        items = tuple(self.page.evaluate(STATE)["items"])
        if len(self.study.events) - before > len(self.expected):
            _, shown, value = self.recorded(before)[-1]
            self.trace.append(f"  which counted, for {shown}")
            assert self.drawn(shown) < pressed, "answered before it was drawn"
            if self.item is None:
                self.meet(shown, value)
            self.give(other)
        elif self.item and self.item != items:
            self.give(other)  # it was answered like this before: nothing is recorded

    def meet(self, item: tuple[int, ...], value: Any) -> None:
        """A new item was there for a moment, and was given a value."""
        assert item not in self.answers, "an item that was answered comes as a new one"
        self.item = item

    def drawn(self, item: tuple[int, ...]) -> float:
        """When an item came to be seen."""
        times = self.page.evaluate("[...window.drawn]")
        return max(time for source, time in times if int(source.split("/")[-2]) in item)

    def say_in_mid_click(self) -> None:
        """A key while a button of the mouse is down: the click began on the item before."""
        (_, button, _), (key, _, answer) = self.random.choices(self.says, k=2)
        place = self.middle(button)
        if place is None:
            return
        self.page.mouse.move(*place)
        self.page.mouse.down()
        self.focus = None
        self.key(key)
        self.pressed(key)
        self.page.evaluate(STATE)
        self.page.mouse.up()

    def enter(self) -> None:
        self.key("Enter")
        self.pressed("Enter")

    def space(self) -> None:
        self.key(" ")
        self.pressed(" ")

    def skip(self) -> None:
        if self.random.random() < 0.5:
            self.key("s")
            self.focus = None
            self.give(None)
        elif self.click("#skip", times=self.random.choice((1, 1, 2)), taps=self.random.random() < 0.3):
            self.give(None)

    def back(self) -> None:
        way = self.random.choice(("z", "Backspace", "#back"))
        if way == "#back":
            if self.click(way):
                self.return_to_last()
            return
        self.key(way)
        self.focus = None
        self.return_to_last()

    def back_by_double_click(self) -> None:
        if self.click("#back", times=2):
            self.return_to_last()
            self.return_to_last()

    def swipe(self) -> None:
        """A finger drawn to the left skips what is new and passes over the rest; to the right it goes back."""
        place = self.middle(".canvas >> nth=0") if self.item else None
        if place is None or self.zoomed:
            return
        x, y = place
        by = self.random.choice((-150, 150))
        self.trace.append(f"  swipe by {by}")
        points = [[{"x": x + by * part / 5, "y": y}] for part in range(6)]
        self.touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[0]})
        for point in points[1:]:
            self.touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": point})
        self.touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        self.page.wait_for_timeout(TAP_MS)
        if by > 0:
            self.return_to_last()
        else:
            self.give(self.answers.get(self.item))

    def full_size(self) -> None:
        if self.random.random() < 0.5:
            self.key("f")
            self.focus = None
            self.toggle()
        elif self.click("#zoom"):
            self.toggle()

    def escape(self) -> None:
        self.key("Escape")
        self.focus = None
        self.zoomed = set()

    def picture(self) -> None:
        if self.item and self.click(".canvas >> nth=0"):
            self.toggle()

    def tab(self) -> None:
        """On to another button, which Enter or Space may press later."""
        for _ in range(self.random.randint(1, 8)):
            self.page.keyboard.press("Tab")
        self.focus = self.page.evaluate(STATE)["focus"]
        while self.focus == "A":
            self.page.keyboard.press("Tab")
            self.focus = self.page.evaluate(STATE)["focus"]
        self.trace.append(f"  Tab to {self.focus}")

    def look_at_help(self) -> None:
        if self.random.random() < 0.5:
            self.key("?")
        else:
            self.click("#help-button")
        self.help = True

    def look_at_menu(self) -> None:
        self.click("summary")
        self.menu = True

    def colours(self) -> None:
        self.click("#theme")

    def leave(self) -> None:
        """Close what lies over the page; keys and clicks do nothing else meanwhile."""
        key, button, _ = self.random.choice(self.says)
        if self.random.random() < 0.5 and key not in ("Enter", " "):  # those close the help
            self.key(key)
        way = self.random.choice(("Escape", "#help form button" if self.help else "summary", button))
        if way == "Escape" or (way == button and self.help):
            self.key("Escape")
        elif not self.click(way):
            self.click("summary")
        self.help = self.menu = False

    # Comparison.

    def recorded(self, first: int) -> list[tuple[Any, ...]]:
        """Kind, item and value of events, from one of them on."""
        return [
            (event.kind, tuple(event.shown or (event.image_id,)), self.value_of(event))
            for event in self.study.events[first:]
        ]

    def value_of(self, event: Any) -> Any:
        """What an event says of its item."""
        return event.value

    def check(self) -> None:
        """Everything shown and recorded is as expected."""
        try:
            if self.help or self.menu:
                state = self.page.evaluate(STATE)
                assert (state["help"], state["menu"]) == (self.help, self.menu)
                self.leave()
            self.compare(self.page.evaluate(STATE))
        except AssertionError as error:
            raise AssertionError(f"{error}\nThe last acts:\n" + "\n".join(self.trace[-25:])) from None

    def compare(self, state: dict[str, Any]) -> None:
        """What is shown, then what was recorded since the last time."""
        count = self.seen
        assert self.recorded(count) == self.expected, "recorded, expected"
        self.seen, self.expected = count + len(self.expected), []
        shown = tuple(state["items"]) or None
        if self.begins and self.item is None and shown:
            self.meet(shown, None)
        assert shown == self.item, "shown, expected"
        assert set(state["zoomed"]) == self.zoomed, "full size"
        assert (state["help"], state["menu"]) == (False, False)
        assert state["focus"] in (self.focus, None), "a button has the focus"
        self.focus = state["focus"]
        self.compare_choice(state)
        self.begins = False

    seen = 0

    def compare_choice(self, state: dict[str, Any]) -> None:
        """What is shown as chosen."""
        raise NotImplementedError


class Score(Walker):
    """A picture, a number: keys and buttons give it, arrows choose it."""

    says = tuple((str(value % 10), f'.step[data-value="{value}"]', value) for value in range(1, 11))
    chosen: int | None = None

    def acts(self) -> list[Callable[[], None]]:
        """With arrows."""
        return [*super().acts(), *[self.arrows] * 4]

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A rating or a skip."""
        return ("skip" if answer is None else "rating", self.item, answer)

    def show(self, item: tuple[int, ...] | None) -> None:
        """What was given before is chosen."""
        super().show(item)
        self.chosen = self.answers.get(item) if item else None

    def pressed(self, key: str) -> None:
        """Enter gives what is chosen, Space shows the full size."""
        focus = self.focus
        super().pressed(key)
        if focus and key in ("Enter", " "):
            return
        if key == "Enter" and self.chosen is not None:
            self.give(self.chosen)
        elif key == " ":
            self.toggle()

    def arrows(self) -> None:
        key, by = self.random.choice((("ArrowLeft", -1), ("ArrowDown", -1), ("ArrowRight", 1), ("ArrowUp", 1)))
        for _ in range(self.random.randint(1, 4)):
            self.key(key)
            if self.item and not self.zoomed:
                self.chosen = min(10, max(1, (5 + (by > 0)) if self.chosen is None else self.chosen + by))
        self.focus = None

    def push(self, button: str) -> None:
        """A step that Tab went to is known by its tooltip."""
        step = next((value for value in range(1, 11) if button.startswith(f"Rate {value} of")), None)
        if step is None:
            super().push(button)
        else:
            self.give(step)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """The number that Enter would give."""
        if self.item:
            assert state["chosen"] == ([self.chosen - 1] if self.chosen else []), "shown as chosen"


class Rate(Walker):
    """A predicted score, which is moved and accepted."""

    says = tuple((key, "#accept", "value") for key in ("Enter", " ", "a"))
    value = 0.0
    predicted: dict[tuple[int, ...], float]
    moves = (
        ("-", "Down 0.1", -0.1), ("ArrowDown", "Down 0.1", -0.1), ("+", "Up 0.1", 0.1), ("=", "Up 0.1", 0.1),
        ("ArrowUp", "Up 0.1", 0.1), ("_", "Down 1", -1), ("ArrowLeft", "Down 1", -1), ("*", "Up 1", 1),
        ("ArrowRight", "Up 1", 1),
    )  # fmt: skip

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        super().__init__(page, study, seed)
        self.predicted = {}

    def acts(self) -> list[Callable[[], None]]:
        """With what moves the score."""
        return [*super().acts(), *[self.move] * 6, self.digit]

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A rating or a skip."""
        return ("skip" if answer is None else "rating", self.item, answer)

    def give(self, answer: Any) -> None:
        """What is accepted is the score that stands there."""
        super().give(self.value if answer == "value" else answer)

    def show(self, item: tuple[int, ...] | None) -> None:
        """The score that was given is there, or else the predicted one."""
        super().show(item)
        if item:
            answer = self.answers.get(item)
            self.value = self.predicted[item] if answer is None else answer

    def meet(self, item: tuple[int, ...], value: Any) -> None:
        """A new picture has its predicted score, which is what is accepted."""
        super().meet(item, value)
        self.value = float(self.page.evaluate(STATE)["value"]) if value is None else value
        self.predicted[item] = self.value

    def set(self, value: float) -> None:
        """Another score stands there."""
        if self.item:
            self.value = math.floor(min(10, max(1, value)) * 10 + 0.5) / 10

    def move(self) -> None:
        key, name, by = self.random.choice(self.moves)
        way = self.random.random()
        if way < 0.4:
            self.key(key)
            self.focus = None
            self.set(self.value + by)
        else:
            times = self.random.choice((1, 1, 2)) if way < 0.8 else 1
            if self.click(f'[aria-label="{name}"]', times=times, taps=way >= 0.8):
                for _ in range(times):
                    self.set(self.value + by)

    def digit(self) -> None:
        value = self.random.randint(1, 10)
        self.key(str(value % 10))
        self.focus = None
        self.set(value)

    def push(self, button: str) -> None:
        """A step that Tab went to is known by its tooltip."""
        for _, name, by in {move[1]: move for move in self.moves}.values():
            if button.startswith(f"{name} ("):
                self.set(self.value + by)
        if button == "#accept":
            self.give("value")
        else:
            super().push(button)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """The score that Enter would give."""
        if self.item:
            assert float(state["value"]) == self.value, "score shown"


class Preference(Walker):
    """Pictures to choose from."""

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        super().__init__(page, study, seed)
        self.pictures = study.collection.choices
        picks = [(str(place + 1), f".pick >> nth={place}", place) for place in range(self.pictures)]
        arrows = [("ArrowLeft", picks[0][1], 0), ("ArrowRight", picks[1][1], 1)] if self.pictures == 2 else []
        self.says = (*picks, *arrows, ("t", "#tie", "tie"), ("ArrowDown", "#tie", "tie"))

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A choice, a tie or a skip."""
        kind = {"tie": "tie", None: "skip"}.get(answer, "choice")
        return (kind, self.item, answer if kind == "choice" else None)

    def value_of(self, event: Any) -> Any:
        """The place of what was chosen."""
        return event.shown.index(event.image_id) if event.kind == "choice" else None

    def push(self, button: str) -> None:
        """A button that Tab went to is known by its tooltip."""
        for place in range(self.pictures):
            if button.startswith(f"Choose photograph {place + 1} "):
                self.give(place)
                return
            if button == f"Photograph {place + 1} in full size":
                self.toggle(place)
        super().push(button)

    def full_size(self) -> None:
        place = self.random.randrange(self.pictures)
        if self.click(f".choice .zoom >> nth={place}"):
            self.toggle(place)

    def picture(self) -> None:
        """A click or a tap on a picture chooses it, or makes it small again."""
        place = self.random.randrange(self.pictures)
        taps = self.random.random() < 0.4
        if self.item and self.click(f".canvas >> nth={place}", times=1 if taps else self.random.choice((1, 1, 2)), taps=taps):
            if place in self.zoomed:
                self.toggle(place)
            else:
                self.give(place)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """What was chosen before."""
        if self.item:
            answer = self.answers.get(self.item)
            place = self.pictures if answer == "tie" else answer
            assert state["chosen"] == ([] if place is None else [place]), "shown as chosen"
