"""The form of a study's settings."""

from typing import Any
from urllib.parse import urlsplit

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import (  # type: ignore[import-untyped]
    BooleanField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[import-untyped]
from wtforms.validators import Length, ValidationError  # type: ignore[import-untyped]

from nimakit.errors import UsageError
from nimakit.web.db.tables import CULL, Collection, Study, StudyVersion
from nimakit.web.number_fields import WholeNumber
from nimakit.web.study.platforms import PLATFORMS
from nimakit.web.study.texts import (
    example_lines,
    parse_examples,
    parse_practice,
    picture_names,
    practice_lines,
)

_LONGEST_TEXT = 20_000
_MARKDOWN = "Markdown; ![description](picture.jpg) shows a picture from the folder."
_SETTINGS = (
    "is_on",
    "platform",
    "quota",
    "places",
    "minutes",
    "may_skip",
    "practice_needed",
    "thanks",
    "code",
    "link",
    "redirects",
)


def _text(label: str, description: str) -> TextAreaField:
    longest = Length(max=_LONGEST_TEXT, message=f"{label} must have at most {_LONGEST_TEXT:,} characters.")
    return TextAreaField(label, [longest], description=description)


class StudyForm(FlaskForm):  # type: ignore[misc]
    """The settings and texts of a study.

    Args:
        collection: The collection.
        study: Its settings, if there are any.
        version: Its latest texts, if there are any.
    """

    is_on = BooleanField(
        "Rate this collection as a study", description="If off, raters see none of the pages below."
    )
    consent = _text("Consent", f"What raters agree to before anything is stored. {_MARKDOWN}")
    instructions = _text("Instructions", f"Shown before practice, and from the menu. {_MARKDOWN}")
    examples = _text(
        "Examples",
        "Shown below the instructions. A line for each: PICTURE | MEANING, such as lake.jpg | sharp: 8",
    )
    practice = _text("Practice", "A line for each task.")
    practice_needed = WholeNumber(
        "Right answers needed",
        1,
        1000,
        "Raters repeat the practice until they reach this. Leave blank for none.",
    )
    platform = SelectField(
        "Raters come from",
        default="",
        choices=[
            SelectChoice("", "anywhere"),
            *(SelectChoice(key, one.name) for key, one in PLATFORMS.items()),
        ],
    )
    quota = WholeNumber("Pictures per rater", 1, 100_000, "Leave blank for all pictures.")
    places = WholeNumber("Number of raters", 1, 100_000, "Leave blank for no limit.")
    minutes = WholeNumber(
        "Minutes per rater",
        1,
        100_000,
        "After this an unfinished place is given to another rater. Leave blank for no limit.",
    )
    may_skip = BooleanField("Raters may skip pictures", description="Skipped pictures count as done.")
    thanks = _text("Thank-you text", f"Shown with the completion code. {_MARKDOWN}")
    code = StringField(
        "Completion code",
        [Length(max=64, message="Completion code must have at most 64 characters.")],
        description="The same for all raters. Leave blank to give each rater a random code of their own.",
    )
    link = StringField(
        "Return address",
        [Length(max=1000, message="Return address must have at most 1,000 characters.")],
        description="Raters return there; {code} stands for their code. Leave blank for none.",
    )
    redirects = BooleanField(
        "Redirect at once", description="Raters return without seeing the thank-you page."
    )

    def __init__(
        self, collection: Collection, study: Study | None, version: StudyVersion | None, **rest: Any
    ) -> None:
        self.collection = collection
        values = {key: getattr(study, key) for key in _SETTINGS} if study else {}
        if version:
            values |= {
                "consent": version.consent,
                "instructions": version.instructions,
                "examples": example_lines(version.examples),
                "practice": practice_lines(version.practice),
            }
        if study:
            values["practice_needed"] = study.practice_needed or None
        super().__init__(data=values, **rest)

    def process(self, *given: Any, **rest: Any) -> None:
        """Fill the fields, which have other words where pictures are compared."""
        if self.collection.compares:
            self.quota.label.text = "Comparisons per rater"
            size = self.collection.choices
            self.quota.description = f"Each shows {size} pictures. Required, because comparisons have no end."
            self.may_skip.label.text = "Raters may skip comparisons"
            self.may_skip.description = "Skipped comparisons count as done."
        super().process(*given, **rest)

    def validate_is_on(self, field: BooleanField) -> None:
        """Refuse a study of a cull, and one whose raters would never finish.

        Raises:
            ValidationError: The collection cannot be rated as a study.
        """
        if field.data and self.collection.experiment == CULL:
            raise ValidationError("A cull cannot be rated as a study. Choose another experiment in Settings.")
        if field.data and self.collection.compares and not (self.quota.data or self.quota.errors):
            raise ValidationError("Comparisons have no end. Set the number of comparisons per rater.")

    def validate_examples(self, field: TextAreaField) -> None:
        """Refuse lines of another form."""
        _checked(parse_examples, field.data or "")

    def validate_practice(self, field: TextAreaField) -> None:
        """Refuse lines of another form."""
        _checked(parse_practice, field.data or "", self.collection)

    def validate_consent(self, field: TextAreaField) -> None:
        """Refuse pictures of other sites."""
        _checked(picture_names, field.data or "")

    validate_instructions = validate_thanks = validate_consent

    def validate_practice_needed(self, field: WholeNumber) -> None:
        """Refuse more right answers than there are tasks."""
        tasks = len([line for line in (self.practice.data or "").splitlines() if line.strip()])
        if (field.data or 0) > tasks:
            raise ValidationError(
                f"Right answers needed must be at most the number of practice tasks, {tasks}."
                f" Received: {field.data}"
            )

    def validate_code(self, field: StringField) -> None:
        """Refuse characters that cannot be seen."""
        if not (field.data or "").strip().isprintable():
            raise ValidationError("Completion code must have visible characters only.")

    def validate_link(self, field: StringField) -> None:
        """Refuse an address that browsers cannot open."""
        text = (field.data or "").strip()
        try:
            parts = urlsplit(text)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if text and not (is_address and text.isprintable() and " " not in text):
            raise ValidationError(
                f"Return address must begin with https:// or http://. Received: {text[:100]}"
            )

    def validate_redirects(self, field: BooleanField) -> None:
        """Refuse to redirect nowhere."""
        if field.data and not (self.link.data or "").strip():
            raise ValidationError("Set the return address that raters are redirected to.")

    def values(self) -> dict[str, Any]:
        """Attributes of `Study`."""
        counts = {key: self[key].data for key in ("quota", "places", "minutes")}
        switches = {key: bool(self[key].data) for key in ("is_on", "may_skip", "redirects")}
        texts = {key: _plain(self[key].data) for key in ("platform", "thanks", "code", "link")}
        return {**counts, **switches, **texts, "practice_needed": self.practice_needed.data or 0}

    def texts(self) -> dict[str, Any]:
        """The texts of a `StudyVersion`, with pictures as they are named in the form."""
        return {
            "consent": _plain(self.consent.data),
            "instructions": _plain(self.instructions.data),
            "examples": parse_examples(self.examples.data or ""),
            "practice": parse_practice(self.practice.data or "", self.collection),
        }


def _plain(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n").strip()


def _checked(parse: Any, *arguments: Any) -> Any:
    """What a function reads from a text.

    Raises:
        ValidationError: It cannot.
    """
    try:
        return parse(*arguments)
    except UsageError as error:
        raise ValidationError(str(error)) from error
