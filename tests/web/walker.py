"""A random rater: random actions on a rating page, each compared with the expected result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from playwright.sync_api import Page

from web.expected import DRAWN, STATE, Expected
from web.study import Study

DOUBLE_TAP_MS = 350
"""After so long a tap is no second half of a double tap."""


class Walker(Expected):
    """A random walk over a page, determined by its seed."""

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        super().__init__(page, study)
        self.random = Random(seed)  # noqa: S311  # a walk that can be walked again
        self.tapped: tuple[float, float] | None = None
        self.touch = page.context.new_cdp_session(page)

    def walk(self, steps: int) -> None:
        """Perform this number of actions, and compare what is shown and recorded after each."""
        self.page.evaluate(DRAWN)
        acts = self.acts()
        try:
            self.check()
            for step in range(steps):
                act = self.random.choice(acts)
                self.trace.append(f"{step}: {act.__name__}")
                act()
                self.check()
        except Exception as error:
            error.add_note("The last acts:\n" + "\n".join(self.trace[-25:]))
            raise

    def acts(self) -> list[Callable[[], None]]:
        """The possible actions; repeated ones are likelier."""
        return [
            *([self.say_by_key, self.say_by_click] * 4), *([self.say_by_tap, self.enter, self.tab] * 2),
            self.say_by_double_click, self.say_twice_at_once, self.say_without_waiting, self.say_in_mid_click,
            self.skip, self.skip, self.back, self.back, self.back_by_double_click, self.space, self.swipe,
            self.full_size, self.full_size, self.escape, self.picture, self.look_at_help, self.look_at_menu,
            self.colours,
        ]  # fmt: skip

    def key(self, key: str) -> None:
        """Press a key."""
        self.trace.append(f"  key {key!r}")
        self.page.keyboard.press(key)

    def middle(self, selector: str) -> tuple[float, float] | None:
        """The middle of an element; None if it is not visible."""
        box = self.page.locator(selector).bounding_box()
        return box and (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    @contextmanager
    def until(self, event: str) -> Iterator[None]:
        """Wait until the page has handled a touch."""
        before = self.page.evaluate("(event) => window.seen[event]", event)
        yield
        self.page.wait_for_function("([event, before]) => window.seen[event] > before", arg=[event, before])

    def click(self, selector: str, *, times: int = 1, taps: bool = False) -> bool:
        """Click or tap an element; return whether it was there."""
        place = self.middle(selector)
        self.trace.append(f"  {'tap' if taps else 'click'} {selector} x{times} at {place}")
        if place is None:
            return False
        if taps:
            if self.tapped == place:
                self.page.wait_for_timeout(DOUBLE_TAP_MS)
            with self.until("click"):
                self.page.touchscreen.tap(*place)
            self.tapped = place
        else:
            self.page.mouse.click(*place, click_count=times)
        self.focus = None
        return True

    def say_by_key(self) -> None:
        """Answer by key."""
        key, _, _ = self.random.choice(self.says)
        self.key(key)
        self.pressed(key)

    def say_by_click(self) -> None:
        """Answer by click."""
        _, button, answer = self.random.choice(self.says)
        if self.click(button):
            self.give(answer)

    def say_by_tap(self) -> None:
        """Answer by tap."""
        _, button, answer = self.random.choice(self.says)
        if self.click(button, taps=True):
            self.give(answer)

    def say_by_double_click(self) -> None:
        """Answer by double click, whose second click must not answer the next item."""
        _, button, answer = self.random.choice(self.says)
        if self.click(button, times=2):
            self.give(answer)

    def say_twice_at_once(self) -> None:
        """Press two keys at once: the second is ignored, because nothing was drawn in between."""
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
        """Press two keys: the second counts only if the next item was drawn."""
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

    def drawn(self, item: tuple[int, ...]) -> float:
        """When an item was drawn."""
        times = self.page.evaluate("[...window.drawn]")
        return max(float(time) for source, time in times if int(source.split("/")[-2]) in item)

    def say_in_mid_click(self) -> None:
        """Press a key during a click, which therefore began on the previous item."""
        (_, button, _), (key, _, _) = self.random.choices(self.says, k=2)
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
        """Press Enter: submits what is chosen, or presses the focused button."""
        self.key("Enter")
        self.pressed("Enter")

    def space(self) -> None:
        """Press Space: full size or accept, or presses the focused button."""
        self.key(" ")
        self.pressed(" ")

    def skip(self) -> None:
        """Skip by key, mouse or touch."""
        if self.random.random() < 0.5:
            self.key("s")
            self.focus = None
            self.give(None)
        elif self.click("#skip", times=self.random.choice((1, 1, 2)), taps=self.random.random() < 0.3):
            self.give(None)

    def back(self) -> None:
        """Go back by key or mouse."""
        way = self.random.choice(("z", "Backspace", "#back"))
        if way == "#back":
            if self.click(way):
                self.return_to_last()
            return
        self.key(way)
        self.focus = None
        self.return_to_last()

    def back_by_double_click(self) -> None:
        """Go back twice by double click."""
        if self.click("#back", times=2):
            self.return_to_last()
            self.return_to_last()

    def swipe(self) -> None:
        """Swipe left to skip or pass, or right to go back."""
        place = self.middle(".canvas >> nth=0") if self.item else None
        if place is None or self.zoomed:
            return
        x, y = place
        by = self.random.choice((-150, 150))
        self.trace.append(f"  swipe by {by}")
        points = [[{"x": x + by * part / 5, "y": y}] for part in range(6)]
        with self.until("pointerup"):
            self.touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[0]})
            for point in points[1:]:
                self.touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": point})
            self.touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        if by > 0:
            self.return_to_last()
        elif self.item:
            self.give(self.answers.get(self.item))

    def full_size(self) -> None:
        """By key or button."""
        if self.random.random() < 0.5:
            self.key("f")
            self.focus = None
            self.toggle()
        elif self.click("#zoom"):
            self.toggle()

    def escape(self) -> None:
        """Leave full size."""
        self.key("Escape")
        self.focus = None
        self.zoomed = set()

    def picture(self) -> None:
        """A click on a picture shows its full size."""
        if self.item and self.click(".canvas >> nth=0"):
            self.toggle()

    def tab(self) -> None:
        """Move the focus to another button."""
        for _ in range(self.random.randint(1, 8)):
            self.page.keyboard.press("Tab")
        self.focus = self.page.evaluate(STATE)["focus"]
        while self.focus == "A":
            self.page.keyboard.press("Tab")
            self.focus = self.page.evaluate(STATE)["focus"]
        self.trace.append(f"  Tab to {self.focus}")

    def look_at_help(self) -> None:
        """By key or button."""
        if self.random.random() < 0.5:
            self.key("?")
        else:
            self.click("#help-button")
        self.help = True

    def look_at_menu(self) -> None:
        """By mouse."""
        self.click("summary")
        self.menu = True

    def colours(self) -> None:
        """Change the colours, which answers nothing."""
        self.click("#theme")

    def leave(self) -> None:
        """Close a dialog or menu; until then keys and clicks do nothing else."""
        key, button, _ = self.random.choice(self.says)
        if self.random.random() < 0.5 and key not in ("Enter", " "):  # those close the help
            self.key(key)
        focus = self.focus
        way = self.random.choice(("Escape", "#help form button" if self.help else "summary", button))
        if way == "Escape" or (way == button and self.help):
            self.key("Escape")
        elif not self.click(way):
            self.click("summary")
        elif self.help:
            self.focus = focus  # the button that it was opened with has it again
        self.help = self.menu = False

    def check(self) -> None:
        """Compare everything shown and recorded."""
        if self.help or self.menu:
            state = self.page.evaluate(STATE)
            assert (state["help"], state["menu"]) == (self.help, self.menu)
            self.leave()
        self.compare(self.page.evaluate(STATE))
