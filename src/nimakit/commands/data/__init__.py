"""`nimakit data`: make label files from ratings, check them and organise them."""

import click

from nimakit.commands.data.ava import ava
from nimakit.commands.data.balance import balance
from nimakit.commands.data.check import check
from nimakit.commands.data.filter import filter_
from nimakit.commands.data.flickr_aes import flickr_aes
from nimakit.commands.data.index import index
from nimakit.commands.data.link import link
from nimakit.commands.data.merge import merge
from nimakit.commands.data.pairs import pairs
from nimakit.commands.data.posts import posts
from nimakit.commands.data.ratings import ratings
from nimakit.commands.data.report import report
from nimakit.commands.data.split import split
from nimakit.commands.data.tid2013 import tid2013
from nimakit.commands.data.xmp import xmp
from nimakit.commands.sections import Sections


@click.group(cls=Sections, context_settings={"show_default": True})
def data() -> None:
    """Make label files from people's ratings, check them and organise them.

    \b
    Example:
      nimakit data ratings ratings.csv --output labels.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have


data.add_section("Make label files", ratings, pairs, posts, ava, flickr_aes, tid2013)
data.add_section("Read ratings", xmp)
data.add_section("Check them", check, report)
data.add_section("Organise images and labels", index, filter_, merge, split, balance, link)
