"""The forms of the admin pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import (  # type: ignore[import-untyped]
    BooleanField,
    Field,
    SelectField,
    StringField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[import-untyped]
from wtforms.validators import (  # type: ignore[import-untyped]
    DataRequired,
    Length,
    StopValidation,
    ValidationError,
)

from nimakit.errors import NimakitError, UsageError
from nimakit.models.encoders import PUBLIC_ENCODERS, load_encoder
from nimakit.models.loading import load_model
from nimakit.models.pretrained import public_models
from nimakit.web.collections.setup import RULES, SIZES, kind_of
from nimakit.web.db.scale import HIGHEST, LOWEST, Scale
from nimakit.web.db.tables import Invitation, now
from nimakit.web.number_fields import Percentage, WholeNumber

_FIXED = "This cannot change once there are ratings. Duplicate the collection to use another."
_FIXED_KIND = "There are ratings, so this can only be Score or Rate. Duplicate the collection to use another."

UNUSED: dict[str, frozenset[str]] = {
    "score": frozenset({"choices"}),
    "rate": frozenset({"choices"}),
    "preference": frozenset({"scale", "low_label", "high_label", "personal", "encoder"}),
    "best-worst": frozenset({"scale", "low_label", "high_label", "personal", "encoder"}),
    "cull": frozenset(
        {
            "choices",
            "scale",
            "low_label",
            "high_label",
            "ordering",
            "wanted",
            "repeats",
            "personal",
        }
    ),
}
"""Experiment -> settings that it does not use: they are neither shown nor changed."""


class _OnlyIfUsed:
    """Accepts whatever is in the field of a setting that the chosen experiment does not use."""

    def __call__(self, form: FlaskForm, field: Field) -> None:
        if field.name in form.unused:
            field.errors = []
            raise StopValidation


def _text(longest: int) -> Length:
    return Length(max=longest, message=f"Enter at most {longest:,} characters.")


class CollectionForm(FlaskForm):  # type: ignore[misc]
    """The settings of a collection."""

    name = StringField("Name", [DataRequired("Enter a name."), _text(200)])
    experiment = SelectField(
        "Experiment",
        choices=[
            SelectChoice("score", "Score: one picture, one rating"),
            SelectChoice("rate", "Rate: correct the predicted score"),
            SelectChoice("preference", "Preference: choose the best of several"),
            SelectChoice("best-worst", "Best-worst: choose the best and the worst of several"),
            SelectChoice("cull", "Cull: pick the best of each group, and give stars"),
        ],
    )
    scale = StringField(
        "Scale",
        [_OnlyIfUsed()],
        default=str(Scale()),
        description="Lowest and highest rating, such as 1-10. It cannot change once there are ratings.",
    )
    choices = SelectField(
        "Pictures to choose from",
        choices=[SelectChoice(str(size), str(size)) for size in SIZES],
        description="2 or 4 in a preference; 4, 5 or 6 for the best and the worst.",
    )
    question = StringField("Question", [_text(200)], description="Leave blank to use the default question.")
    low_label = StringField("What the lowest rating means", [_OnlyIfUsed(), _text(40)])
    high_label = StringField("What the highest rating means", [_OnlyIfUsed(), _text(40)])
    ordering = SelectField(
        "Order",
        choices=[
            SelectChoice("random", "Random"),
            SelectChoice("fewest", "Fewest ratings first"),
            SelectChoice("active", "Most uncertain first"),
        ],
        description="Random differs for each rater. Uncertain: raters disagree with each other or the model.",
    )
    wanted = WholeNumber(
        "Ratings wanted per picture",
        1,
        10_000,
        "Where pictures are compared, comparisons. Leave blank to let everyone rate everything.",
        validators=[_OnlyIfUsed()],
    )
    repeats = Percentage(
        "Repeat rate (%)",
        0,
        50,
        "Share of the pictures that each rater sees twice, to measure their consistency.",
        validators=[_OnlyIfUsed()],
    )
    model = StringField(
        "Model",
        [_text(1000)],
        description="Predicts scores, in the background.",
    )
    encoder = StringField(
        "Encoder",
        [_OnlyIfUsed(), _text(1000)],
        description="The page Model learns from its features. Those of the model are already stored.",
    )
    personal = BooleanField(
        "Personal predictions",
        description="Learned from each rater's own ratings, after ten of them.",
    )
    blind = BooleanField(
        "Blind", default=True, description="Raters see no file names, and no predicted scores after rating."
    )
    show_others = BooleanField(
        "Show others' ratings", description="Raters see the mean of the others after rating."
    )
    sign_up = BooleanField("Anybody may join", description="Without an invitation, from the welcome page.")
    is_open = BooleanField("Accept new ratings", default=True)

    @property
    def unused(self) -> frozenset[str]:
        """Names of the settings that the chosen experiment does not use."""
        return UNUSED.get(self.experiment.data, frozenset())

    @property
    def all_unused(self) -> dict[str, list[str]]:
        """Experiment -> names of the settings that it does not use, for scripts."""
        return {experiment: sorted(names) for experiment, names in UNUSED.items()}

    def validate_scale(self, field: StringField) -> None:
        """Refuse text that is not a scale.

        Raises:
            ValidationError: Always then; the message says what a scale is.
        """
        try:
            Scale.parse(str(field.data or ""))
        except UsageError as error:
            raise ValidationError(
                f"Enter the lowest rating, {LOWEST} or {LOWEST + 1}, a hyphen, and the highest, at most"
                f" {HIGHEST}: 1-10, for example."
            ) from error

    def validate_model(self, field: StringField) -> None:
        """Refuse a new model that cannot be loaded.

        Public models are loaded in the background, because a download may take minutes; Settings then reports
        the result.

        Raises:
            ValidationError: There is no such model, or its file is invalid.
        """
        name = (field.data or "").strip()
        if not name or name == field.object_data or name in public_models():
            return
        if not RULES["model"].holds(name):
            raise ValidationError(f"A model must be {RULES['model'].text}. Received: {name}")
        try:
            load_model(name)
        except NimakitError as error:
            raise ValidationError(str(error)) from error

    def validate_encoder(self, field: StringField) -> None:
        """Refuse a new encoder file that cannot be loaded; public ones are loaded in the background.

        Raises:
            ValidationError: There is no such encoder, or its file is invalid.
        """
        name = (field.data or "").strip()
        if not name or name == field.object_data or name in PUBLIC_ENCODERS:
            return
        try:
            load_encoder(name)
        except NimakitError as error:
            raise ValidationError(str(error)) from error

    def fix(self) -> None:
        """Disable what ratings depend on, with the reason: `change_collection` refuses to change it."""
        kind = kind_of(self.experiment.object_data)
        offered = [
            replace(choice, render_kw={"disabled": kind_of(choice.value) != kind})
            for choice in self.experiment.choices
        ]
        self.experiment.choices = offered
        self.experiment.description = _FIXED_KIND
        fixed = [field for field in (self.choices, self.scale) if field.name not in self.unused]
        if sum(not choice.render_kw["disabled"] for choice in offered) == 1:
            fixed.append(self.experiment)
        for field in fixed:
            field.description, field.render_kw = _FIXED, {"disabled": True}

    def values(self) -> dict[str, Any]:
        """The arguments of `nimakit.web.collections.setup.change_collection`, of a valid form."""
        found = {key: self[key].data for key in RULES} | {
            "choices": int(self.choices.data),
            "question": self.question.data or "",
            "low_label": self.low_label.data or "",
            "high_label": self.high_label.data or "",
            "repeats": self.repeats.share or 0.0,
            "model": (self.model.data or "").strip() or None,
            "encoder": (self.encoder.data or "").strip() or None,
        }
        if "scale" not in self.unused:
            found["scale"] = Scale.parse(str(self.scale.data))
        return {key: value for key, value in found.items() if key not in self.unused}


class NewCollectionForm(CollectionForm):
    """The form for a new collection."""

    root = SelectField("Folder", choices=[])
    inside = StringField("Folder inside it", [_text(1000)], description="Leave blank for the whole folder.")

    def offer(self, folders: Sequence[Path]) -> None:
        """Set the folders to choose from."""
        self.root.choices = [SelectChoice(str(place), str(folder)) for place, folder in enumerate(folders)]


class InvitationForm(FlaskForm):  # type: ignore[misc]
    """The form for a new invitation."""

    label = StringField("For whom", [_text(80)], description="Only you see this.")
    max_uses = WholeNumber("Maximum people", 1, 100_000, "Leave blank for no limit.")
    days = WholeNumber("Expires after (days)", 1, 3650, "Leave blank for never.")

    def invitation(self, collection_id: int) -> Invitation:
        """The invitation."""
        return Invitation(
            collection_id=collection_id,
            label=(self.label.data or "").strip(),
            max_uses=self.max_uses.data,
            expires_at=now() + timedelta(days=self.days.data) if self.days.data else None,
        )
