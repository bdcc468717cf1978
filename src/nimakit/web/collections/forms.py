"""The forms of the admin pages."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import (  # type: ignore[import-untyped]
    BooleanField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[import-untyped]
from wtforms.validators import (  # type: ignore[import-untyped]
    InputRequired,
    Length,
    NumberRange,
    Optional,
    ValidationError,
)

from nimakit.errors import NimakitError
from nimakit.models.encoders import PUBLIC_ENCODERS, load_encoder
from nimakit.models.loading import load_model
from nimakit.models.pretrained import public_models
from nimakit.web.collections.setup import RULES
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import Invitation, now

_CENT = 100


class CollectionForm(FlaskForm):  # type: ignore[misc]
    """The settings of a collection."""

    name = StringField("Name", [InputRequired(), Length(max=200)])
    experiment = SelectField(
        "Experiment",
        choices=[
            SelectChoice("score", "Score: one picture, one rating"),
            SelectChoice("rate", "Rate: correct the predicted score"),
            SelectChoice("preference", "Preference: choose the best of several"),
            SelectChoice("cull", "Cull: pick the best of each group, and give stars"),
        ],
    )
    scale = StringField(
        "Scale",
        [InputRequired()],
        default=str(Scale()),
        description="Lowest and highest rating, such as 1-10. A cull has 1 to 5 stars.",
    )
    choices = SelectField("Pictures to choose from", choices=[SelectChoice("2", "2"), SelectChoice("4", "4")])
    question = StringField(
        "Question", [Length(max=200)], description="Leave blank to use the default question."
    )
    low_label = StringField("What the lowest rating means", [Length(max=40)])
    high_label = StringField("What the highest rating means", [Length(max=40)])
    ordering = SelectField(
        "Order",
        choices=[
            SelectChoice("random", "Random: a different order for each rater"),
            SelectChoice("fewest", "Fewest ratings first"),
            SelectChoice(
                "active", "Most uncertain first: where raters disagree with each other or with the model"
            ),
        ],
    )
    wanted = IntegerField(
        "Ratings wanted per picture",
        [Optional(), NumberRange(1, 10_000)],
        description="In a preference, comparisons. Leave blank to let everyone rate everything.",
    )
    repeats = IntegerField(
        "Repeat rate (%)",
        [Optional(), NumberRange(0, 50)],
        description="Share of the pictures that each rater sees twice, to measure their consistency.",
    )
    model = StringField(
        "Model",
        [Length(max=1000)],
        description="Predicts scores: aesthetic, an .onnx file or an ensemble .json. Leave blank for none.",
    )
    encoder = StringField(
        "Encoder",
        [Length(max=1000)],
        description="Whose features the page Model learns from: "
        + ", ".join(PUBLIC_ENCODERS)
        + ", or an .onnx file. Leave blank for those of the model above, which are stored.",
    )
    personal = BooleanField(
        "Personal predictions",
        description="Learned from each rater's own ratings, after ten of them. Not for comparisons; always"
        " in a cull.",
    )
    blind = BooleanField(
        "Blind", default=True, description="Raters see no file names, and no predicted scores after rating."
    )
    show_others = BooleanField(
        "Show others' ratings", description="Raters see the mean of the others after rating."
    )
    sign_up = BooleanField("Anybody may join", description="Without an invitation, from the welcome page.")
    is_open = BooleanField("Accept new ratings", default=True)

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

    def process(self, formdata: Any = None, obj: Any = None, **kwargs: Any) -> None:
        """Fill the fields from the request, or else from a collection."""
        super().process(formdata, obj, **kwargs)
        if obj is not None and not self.is_submitted():
            self.scale.data = str(obj.scale)
            self.repeats.data = round(obj.repeats * _CENT)

    def values(self) -> dict[str, Any]:
        """The arguments of `nimakit.web.collections.setup.change_collection`.

        Raises:
            UsageError: The scale is invalid.
        """
        return {key: self[key].data for key in RULES} | {
            "scale": Scale.parse(self.scale.data),
            "choices": int(self.choices.data),
            "question": self.question.data or "",
            "low_label": self.low_label.data or "",
            "high_label": self.high_label.data or "",
            "repeats": (self.repeats.data or 0) / _CENT,
            "model": (self.model.data or "").strip() or None,
            "encoder": (self.encoder.data or "").strip() or None,
        }


class NewCollectionForm(CollectionForm):
    """The form for a new collection."""

    root = SelectField("Folder", choices=[])
    inside = StringField(
        "Folder inside it", [Length(max=1000)], description="Leave blank for the whole folder."
    )

    def offer(self, folders: Sequence[Path]) -> None:
        """Set the folders to choose from."""
        self.root.choices = [SelectChoice(str(place), str(folder)) for place, folder in enumerate(folders)]


class InvitationForm(FlaskForm):  # type: ignore[misc]
    """The form for a new invitation."""

    label = StringField("For whom", [Length(max=80)], description="Only you see this.")
    max_uses = IntegerField(
        "Maximum people", [Optional(), NumberRange(1, 100_000)], description="Leave blank for no limit."
    )
    days = IntegerField(
        "Expires after (days)", [Optional(), NumberRange(1, 3650)], description="Leave blank for never."
    )

    def invitation(self, collection_id: int) -> Invitation:
        """The invitation."""
        return Invitation(
            collection_id=collection_id,
            label=(self.label.data or "").strip(),
            max_uses=self.max_uses.data,
            expires_at=now() + timedelta(days=self.days.data) if self.days.data else None,
        )
