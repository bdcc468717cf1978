"""nimakit.commands.parameters: options and value types of several commands."""

import click
import pytest
from click.testing import CliRunner

from nimakit.commands.parameters import Bins, Finite, image_source


@pytest.mark.parametrize(
    ("text", "bins"),
    [
        ("1-10", list(range(1, 11))),
        (" 0 - 3 ", [0, 1, 2, 3]),
        ("-2-2", [-2, -1, 0, 1, 2]),
        ("0,25,50,75,100", [0, 25, 50, 75, 100]),
        ("0.5, 1, 2", [0.5, 1, 2]),
    ],
)
def test_bins_are_a_span_or_a_list(text: str, bins: list[float]) -> None:
    """A span goes in steps of one, a list may have any."""
    assert Bins().convert(text, None, None).tolist() == bins


@pytest.mark.parametrize(
    "text", ["", "5", "5-5", "10-1", "1,1", "2,1", "1,x", "nan,1", "1,inf", "a-b", "1-5000"]
)
def test_rejects_other_bins(text: str) -> None:
    """Fewer than two, not rising, or no numbers."""
    with pytest.raises(click.BadParameter, match="a rising list"):
        Bins().convert(text, None, None)


@pytest.mark.parametrize("text", ["nan", "0", "1.5", "x"])
def test_rejects_a_share_that_is_none(text: str) -> None:
    """NaN is in no range, though click lets it through."""
    with pytest.raises(click.BadParameter):
        Finite(0, 1, min_open=True).convert(text, None, None)


@pytest.mark.parametrize("name", ["--image-source", "--image-dir", "--images", "--inputimage"])
def test_the_photos_have_one_documented_name_and_aliases(name: str) -> None:
    """Scripts may use the names that single commands had; the help shows one."""

    @click.command()
    @image_source("photos", help="The photos.")
    def command(photos: str) -> None:
        click.echo(photos)

    assert CliRunner().invoke(command, [name, "a.jpg"]).output == "a.jpg\n"
    text = CliRunner().invoke(command, ["--help"]).output
    assert (name in text) == (name == "--image-source")
