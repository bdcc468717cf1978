"""`nimakit train`: fine-tune a model on label histograms."""

from pathlib import Path

import click

from nimakit.commands.parameters import recursive
from nimakit.errors import UsageError
from nimakit.progress import say

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--config-file", type=_FILE, help="Training config, JSON.")
@click.option("--samples-file", type=_FILE, help="Label file to learn from, JSON.")
@click.option("--image-dir", type=_FILE, help="Folder of the images that the label files name.")
@recursive
@click.option("--test-samples-file", type=_FILE, help="Label file to test with: never seen while training.")
@click.option(
    "--jobs-dir",
    type=_FILE,
    default=Path("train_jobs"),
    show_default=True,
    help="Where the job folder is made; it is named after the time.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out images that are not there or cannot be decoded, instead of refusing the job; also with"
    " --resume.",
)
@click.option(
    "--prepare-only", is_flag=True, help="Check everything, make the job folder, print it, and end."
)
@click.option(
    "--resume",
    type=_FILE,
    metavar="JOB",
    help="Go on with a job folder that was prepared, stopped or killed, from its last epoch.",
)
@click.option(
    "--detach",
    is_flag=True,
    help="For the ./train-local launcher: do not follow the job. Without effect inside it.",
)
@click.option(
    "--docker-image",
    metavar="IMAGE",
    help="For the ./train-local launcher: the image it runs; only noted in run.json inside it.",
)
@click.option(
    "--trust-image",
    metavar="IMAGE",
    help="For the ./train-local launcher: run this image if the config or the job chooses it, though it is"
    " not ours. Without effect inside it.",
)
def train(
    *,
    config_file: Path | None,
    samples_file: Path | None,
    image_dir: Path | None,
    recursive: bool,
    test_samples_file: Path | None,
    jobs_dir: Path,
    allow_missing: bool,
    prepare_only: bool,
    resume: Path | None,
    detach: bool,  # noqa: ARG001 - the launcher's
    docker_image: str | None,
    trust_image: str | None,  # noqa: ARG001 - the launcher's
) -> int:
    """Fine-tune a model on label histograms; the job folder goes to stdout, all else to stderr.

    Exit code: 0 done; 1 refused or failed; 2 failed, as photographs cannot be decoded; 130 stopped (the job
    folder is usable, and --resume goes on).

    \b
    Example:
      nimakit train --config-file models/MobileNet/config_small_data.json \\
        --samples-file labels.json --image-dir photos
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.jobs import Job
    from nimakit.training.preparation import Request, prepare

    given = [config_file, samples_file, image_dir]
    if resume and (any(given) or recursive or test_samples_file or prepare_only):
        raise UsageError(
            "--resume JOB takes everything else from the job folder. Leave the other options out, all but"
            " --allow-missing."
        )
    changes: dict[str, object] = {}
    if resume:
        job = Job.open(resume)
        if allow_missing:
            changes["allow_missing"] = True
        if docker_image:
            changes["docker_image"] = docker_image
    elif config_file and samples_file and image_dir:
        request = Request(
            config_file=config_file,
            samples_file=samples_file,
            image_dir=image_dir,
            recursive=recursive,
            test_samples_file=test_samples_file,
            jobs_dir=jobs_dir,
            allow_missing=allow_missing,
            docker_image=docker_image,
        )
        job = prepare(request)
    else:
        raise UsageError("A job needs --config-file, --samples-file and --image-dir; or --resume JOB.")
    if not prepare_only:
        from nimakit.training.job import train as train_job

        say(f"job folder {job.folder}")
        train_job(job, notify=say, changes=changes)
    click.echo(job.folder)
    return 0
