"""A rater who does anything: random acts on a page to rate on, each compared with what should come of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from playwright.sync_api import Page

from web.expected import DRAWN, STATE, Expected
from web.study import Study

DOUBLE_TAP_MS = 350
"""After so long a tap is no second half of a double tap."""


class Walker(Expected):
    """A random walk over a page; a seed is a walk."""

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        super().__init__(page, study)
        self.random = Random(seed)  # noqa: S311  # a walk that can be walked again
        self.tapped: tuple[float, float] | None = None
        self.touch = page.context.new_cdp_session(page)

    def walk(self, steps: int) -> None:
        """NewEvent so many times; what is shown and recorded is compared after each."""
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
        """What may come next; the more often it stands there the likelier."""
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
        """Where something is; None where it is not seen."""
        box = self.page.locator(selector).bounding_box()
        return box and (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    @contextmanager
    def until(self, event: str) -> Iterator[None]:
        """Waits until the page has seen what a finger did."""
        before = self.page.evaluate("(event) => window.seen[event]", event)
        yield
        self.page.wait_for_function("([event, before]) => window.seen[event] > before", arg=[event, before])

    def click(self, selector: str, *, times: int = 1, taps: bool = False) -> bool:
        """Click or tap on something; whether it was there."""
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
        """An answer by its key."""
        key, _, _ = self.random.choice(self.says)
        self.key(key)
        self.pressed(key)

    def say_by_click(self) -> None:
        """An answer by a click."""
        _, button, answer = self.random.choice(self.says)
        if self.click(button):
            self.give(answer)

    def say_by_tap(self) -> None:
        """An answer by a finger."""
        _, button, answer = self.random.choice(self.says)
        if self.click(button, taps=True):
            self.give(answer)

    def say_by_double_click(self) -> None:
        """The second click is none of the next item."""
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

    def drawn(self, item: tuple[int, ...]) -> float:
        """When an item came to be seen."""
        times = self.page.evaluate("[...window.drawn]")
        return max(float(time) for source, time in times if int(source.split("/")[-2]) in item)

    def say_in_mid_click(self) -> None:
        """A key while a button of the mouse is down: the click began on the item before."""
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
        """What is chosen, or the button that Tab went to."""
        self.key("Enter")
        self.pressed("Enter")

    def space(self) -> None:
        """Full size, or accept, or the button that Tab went to."""
        self.key(" ")
        self.pressed(" ")

    def skip(self) -> None:
        """By key, mouse or finger."""
        if self.random.random() < 0.5:
            self.key("s")
            self.focus = None
            self.give(None)
        elif self.click("#skip", times=self.random.choice((1, 1, 2)), taps=self.random.random() < 0.3):
            self.give(None)

    def back(self) -> None:
        """By key or mouse; what was answered is there again."""
        way = self.random.choice(("z", "Backspace", "#back"))
        if way == "#back":
            if self.click(way):
                self.return_to_last()
            return
        self.key(way)
        self.focus = None
        self.return_to_last()

    def back_by_double_click(self) -> None:
        """Twice back."""
        if self.click("#back", times=2):
            self.return_to_last()
            self.return_to_last()

    def swipe(self) -> None:
        """To the left skips what is new and passes over the rest; to the right goes back."""
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
        """Out of full size."""
        self.key("Escape")
        self.focus = None
        self.zoomed = set()

    def picture(self) -> None:
        """A click on a picture shows its full size."""
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
        """Nothing of that is an answer."""
        self.click("#theme")

    def leave(self) -> None:
        """Close what lies over the page; keys and clicks do nothing else meanwhile."""
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
        """Everything shown and recorded is as expected."""
        if self.help or self.menu:
            state = self.page.evaluate(STATE)
            assert (state["help"], state["menu"]) == (self.help, self.menu)
            self.leave()
        self.compare(self.page.evaluate(STATE))
