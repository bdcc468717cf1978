"""Entry point of the `nimakit` command: its subcommands, exit codes and error handling."""

import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence

import click

from nimakit import __version__
from nimakit.commands.compare import compare
from nimakit.commands.cull import cull
from nimakit.commands.data import data
from nimakit.commands.encoder import encoder
from nimakit.commands.enhance import enhance
from nimakit.commands.evaluate import evaluate
from nimakit.commands.explain import explain
from nimakit.commands.export import export
from nimakit.commands.features import features
from nimakit.commands.fetch import fetch
from nimakit.commands.group import group
from nimakit.commands.models import models
from nimakit.commands.personalise import learn_factors, personalise
from nimakit.commands.predict import predict
from nimakit.commands.rate import rate
from nimakit.commands.sections import Sections
from nimakit.commands.serve import serve
from nimakit.commands.train import train
from nimakit.errors import NimakitError
from nimakit.io.atomic import ESCAPE
from nimakit.progress import PrintableRecord, say

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Exit codes: 0 done; 1 usage or model error; 2 some images could not be scored; 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # sent when a container stops
    logging.setLogRecordFactory(PrintableRecord)
    warnings.filterwarnings("ignore", module="PIL")  # errors are reported per image
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE)  # paths may contain bytes that are not UTF-8
    try:
        code = cli.main(arguments, prog_name="nimakit", standalone_mode=False)
    except NimakitError as error:
        say(f"error: {error}")
        code = error.exit_code
    except click.ClickException as error:
        say(f"error: {error.format_message()}")
        code = 1
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = _INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout, such as head, has closed it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        say(f"error: {error}")
        code = 1
    sys.exit(code or 0)


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nimakit")
def cli() -> None:
    """Score how good photographs look, and learn it from people's ratings."""


cli.add_section("Score photographs", predict, explain, enhance, serve)
cli.add_section("Cull a shoot", cull, group)
cli.add_section("Train and evaluate models", train, evaluate, compare, models, fetch, export)
cli.add_section("Compute features", features, encoder)
cli.add_section("Collect ratings", rate, data)
cli.add_section("Learn one person's taste", personalise, learn_factors)
