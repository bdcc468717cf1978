"""Random raters of each experiment."""

import math
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from web.expected import STATE
from web.study import Study
from web.walker import Walker


class Score(Walker):
    """Keys and buttons rate, and arrows choose a rating."""

    says = tuple((str(value % 10), f'.step[data-value="{value}"]', value) for value in range(1, 11))
    chosen: int | None = None

    def acts(self) -> list[Callable[[], None]]:
        """Adds the arrow keys."""
        return [*super().acts(), *[self.arrows] * 4]

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A rating or a skip."""
        return ("skip" if answer is None else "rating", self.item, answer)

    def show(self, item: tuple[int, ...] | None) -> None:
        """The earlier answer is chosen."""
        super().show(item)
        self.chosen = self.answers.get(item) if item else None

    def pressed(self, key: str) -> None:
        """Enter submits what is chosen, and Space shows full size."""
        focus = self.focus
        super().pressed(key)
        if focus and key in ("Enter", " "):
            return
        if key == "Enter" and self.chosen is not None:
            self.give(self.chosen)
        elif key == " ":
            self.toggle()

    def arrows(self) -> None:
        """Choose a number, or move over a picture in full size."""
        key, by = self.random.choice(
            (("ArrowLeft", -1), ("ArrowDown", -1), ("ArrowRight", 1), ("ArrowUp", 1))
        )
        for _ in range(self.random.randint(1, 4)):
            self.key(key)
            if self.item and not self.zoomed:
                self.chosen = min(10, max(1, (5 + (by > 0)) if self.chosen is None else self.chosen + by))
        self.focus = None

    def push(self, button: str) -> None:
        """A focused step is identified by its tooltip."""
        step = next((value for value in range(1, 11) if button.startswith(f"Rate {value} of")), None)
        if step is None:
            super().push(button)
        else:
            self.give(step)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """Compare the rating that Enter would submit."""
        if self.item:
            assert state["chosen"] == ([self.chosen - 1] if self.chosen else []), "shown as chosen"


class Rate(Walker):
    """The predicted score is changed and accepted."""

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
        """Adds the actions that change the score."""
        return [*super().acts(), *[self.move] * 6, self.digit]

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A rating or a skip."""
        return ("skip" if answer is None else "rating", self.item, answer)

    def give(self, answer: Any) -> None:
        """The shown score is accepted."""
        super().give(self.value if answer == "value" else answer)

    def show(self, item: tuple[int, ...] | None) -> None:
        """The earlier rating is shown, or else the prediction."""
        super().show(item)
        if item:
            answer = self.answers.get(item)
            self.value = self.predicted[item] if answer is None else answer

    def meet(self, item: tuple[int, ...], value: Any) -> None:
        """A new picture shows its prediction, which can be accepted."""
        super().meet(item, value)
        self.value = float(self.page.evaluate(STATE)["value"]) if value is None else value
        self.predicted[item] = self.value

    def set(self, value: float) -> None:
        """Another score is shown."""
        if self.item:
            self.value = math.floor(min(10, max(1, value)) * 10 + 0.5) / 10

    def move(self) -> None:
        """Change the score by 0.1 or 1, by key, click, double click or tap."""
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
        """Set a score by its digit."""
        value = self.random.randint(1, 10)
        self.key(str(value % 10))
        self.focus = None
        self.set(value)

    def push(self, button: str) -> None:
        """A focused step is identified by its tooltip."""
        for _, name, by in {move[1]: move for move in self.moves}.values():
            if button.startswith(f"{name} ("):
                self.set(self.value + by)
        super().push(button)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """Compare the score that Enter would submit."""
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
        """The place of the chosen picture."""
        return event.shown.index(event.image_id) if event.kind == "choice" else None

    def push(self, button: str) -> None:
        """A focused button is identified by its tooltip."""
        for place in range(self.pictures):
            if button.startswith(f"Choose photograph {place + 1} "):
                self.give(place)
                return
            if button == f"Photograph {place + 1} in full size":
                self.toggle(place)
        super().push(button)

    def full_size(self) -> None:
        """By key or button."""
        place = self.random.randrange(self.pictures)
        if self.click(f".choice .zoom >> nth={place}"):
            self.toggle(place)

    def picture(self) -> None:
        """A click or tap on a picture chooses it, or leaves full size."""
        place = self.random.randrange(self.pictures)
        taps = self.random.random() < 0.4
        if self.item and self.click(
            f".canvas >> nth={place}", times=1 if taps else self.random.choice((1, 1, 2)), taps=taps
        ):
            if place in self.zoomed:
                self.toggle(place)
            else:
                self.give(place)

    def compare_choice(self, state: dict[str, Any]) -> None:
        """Compare the earlier choice."""
        if self.item:
            answer = self.answers.get(self.item)
            place = self.pictures if answer == "tie" else answer
            assert state["chosen"] == ([] if place is None else [place]), "shown as chosen"


class BestWorst(Walker):
    """Pictures of which the best and the worst are chosen, in two acts."""

    says: tuple[tuple[str, str, Any], ...] = ()
    best: int | None = None
    worst: int | None = None

    def __init__(self, page: Page, study: Study, seed: int) -> None:
        super().__init__(page, study, seed)
        self.pictures = study.collection.choices

    def acts(self) -> list[Callable[[], None]]:
        """Acts that choose; a single one does not answer."""
        return [
            *([self.pick_by_key] * 5), *([self.pick_by_button] * 4),
            *([self.picture, self.enter, self.tab] * 2), self.skip, self.back, self.back, self.space,
            self.swipe, self.full_size, self.escape, self.look_at_help, self.look_at_menu, self.colours,
        ]  # fmt: skip

    def event(self, answer: Any) -> tuple[Any, ...]:
        """A choice or a skip."""
        return ("skip" if answer is None else "choice", self.item, answer)

    def value_of(self, event: Any) -> Any:
        """The places of the best and the worst."""
        if event.kind == "skip":
            return None
        return event.shown.index(event.image_id), event.shown.index(event.worst_id)

    def show(self, item: tuple[int, ...] | None) -> None:
        """The earlier answer is marked."""
        super().show(item)
        self.best, self.worst = (self.answers.get(item) or (None, None)) if item else (None, None)

    def choose(self, best: int | None, worst: int | None) -> None:
        """Both together are an answer."""
        if self.item is None:
            return
        self.best, self.worst = best, worst
        if best is not None and worst is not None:
            self.give((best, worst))

    def pick(self, place: int) -> None:
        """A key or a tap: the best, then the worst; the same again takes it back."""
        if place == self.best:
            self.choose(None, self.worst)
        elif place == self.worst:
            self.choose(self.best, None)
        elif self.best is None:
            self.choose(place, self.worst)
        elif self.worst is None:
            self.choose(self.best, place)
        else:
            self.choose(place, None)

    def press_button(self, name: str, place: int) -> None:
        """A button chooses what it says."""
        chosen = {"best": self.best, "worst": self.worst}
        other = "worst" if name == "best" else "best"
        undone = chosen[name] == place and chosen[other] is None
        chosen[name] = None if undone else place
        if chosen[other] == place:
            chosen[other] = None
        self.choose(chosen["best"], chosen["worst"])

    def pick_by_key(self) -> None:
        """Press a number key."""
        place = self.random.randrange(self.pictures)
        self.key(str(place + 1))
        self.focus = None
        self.pick(place)

    def pick_by_button(self) -> None:
        """Click or tap Best or Worst."""
        name, place = self.random.choice(("best", "worst")), self.random.randrange(self.pictures)
        if self.click(f".pick-{name} >> nth={place}", taps=self.random.random() < 0.3):
            self.press_button(name, place)

    def picture(self) -> None:
        """A click or tap on a picture chooses it, or leaves full size."""
        place = self.random.randrange(self.pictures)
        if self.item and self.click(f".canvas >> nth={place}", taps=self.random.random() < 0.4):
            if place in self.zoomed:
                self.toggle(place)
            else:
                self.pick(place)

    def return_to_last(self) -> None:
        """The half of a new answer is taken back first."""
        if self.item and not self.answers.get(self.item) and {self.best, self.worst} != {None}:
            self.best = self.worst = None
            return
        super().return_to_last()

    def full_size(self) -> None:
        """By button."""
        place = self.random.randrange(self.pictures)
        if self.click(f".choice .zoom >> nth={place}"):
            self.toggle(place)

    def back(self) -> None:
        """Go back by key or mouse; there is no button before the first answer."""
        if self.past:
            super().back()

    def push(self, button: str) -> None:
        """A focused button is identified by its tooltip."""
        for place in range(self.pictures):
            if button == f"Show photograph {place + 1} in full size":
                self.toggle(place)
                return
            for name in ("best", "worst"):
                if button == f"{name.capitalize()}: photograph {place + 1}":
                    self.press_button(name, place)
                    return
        super().push(button)

    def leave(self) -> None:
        """Close a dialog or menu; until then keys do nothing else."""
        self.says = (("1", ".pick-best >> nth=0", None),)
        super().leave()
        self.says = ()

    def compare_choice(self, state: dict[str, Any]) -> None:
        """Compare what is marked as best and worst."""
        if self.item:
            assert state["best"] == ([] if self.best is None else [self.best]), "shown as best"
            assert state["worst"] == ([] if self.worst is None else [self.worst]), "shown as worst"
