"""`nimakit train`: train a model on histograms of ratings."""

from pathlib import Path

import click

from nimakit.commands.parameters import FILE, PLACE, image_source, recursive
from nimakit.errors import UsageError
from nimakit.progress import say


@click.command()
@click.option("--config-file", type=FILE, help="Training config: .json.")
@click.option("--samples-file", type=FILE, help="Label file to learn from: .json.")
@image_source("image_dir", help="Folder of the images that the label files name.")
@recursive
@click.option(
    "--features",
    type=PLACE,
    metavar="PLACE",
    help="With a config of a head: features from nimakit features, a .parquet file or a folder of parts, here"
    " or in a store, instead of --image-source.",
)
@click.option("--test-samples-file", type=FILE, help="Label file to test with, never used in training.")
@click.option(
    "--jobs-dir",
    type=FILE,
    default=Path("train_jobs"),
    show_default=True,
    help="Where the job folder is created, named after the current time.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out images that are missing or cannot be decoded, instead of refusing the job; also works"
    " with --resume.",
)
@click.option(
    "--prepare-only", is_flag=True, help="Check everything, create the job folder, print its path, and exit."
)
@click.option(
    "--resume",
    type=FILE,
    metavar="JOB",
    help="Continue a job that was prepared, stopped or killed, from its last epoch.",
)
@click.option(
    "--student",
    metavar="BACKBONE",
    help="With a config of a head: also train a small network, such as MobileNet, on the head's scores of the"
    " photographs in --student-images. It is in the folder student of the job, and needs the training extra.",
)
@click.option(
    "--student-images",
    type=FILE,
    metavar="FOLDER",
    help="Photographs without ratings, from which the student learns: thousands, of the kind it will score.",
)
@click.option(
    "--detach",
    is_flag=True,
    help="For the ./train-local launcher: do not follow the job. No effect inside the container.",
)
@click.option(
    "--docker-image",
    metavar="IMAGE",
    help="For the ./train-local launcher: the image to run; inside the container only noted in run.json.",
)
@click.option(
    "--trust-image",
    metavar="IMAGE",
    help="For the ./train-local launcher: run this image if the config or the job names it, although it is"
    " not ours. No effect inside the container.",
)
def train(
    *,
    config_file: Path | None,
    samples_file: Path | None,
    image_dir: Path | None,
    recursive: bool,
    features: str | None,
    test_samples_file: Path | None,
    jobs_dir: Path,
    allow_missing: bool,
    prepare_only: bool,
    resume: Path | None,
    student: str | None,
    student_images: Path | None,
    detach: bool,  # noqa: ARG001 - the launcher's
    docker_image: str | None,
    trust_image: str | None,  # noqa: ARG001 - the launcher's
) -> int:
    """Train a model on histograms of ratings, and print the path of the job folder.

    The config says what is trained: a whole network, or with "head_only" a head on the features of frozen
    encoders, which needs no TensorFlow.

    Exit code: 0 done; 1 refused or failed; 2 failed because photographs cannot be decoded; 130 stopped (the
    job folder is usable, and --resume continues it).

    \b
    Example:
      nimakit train --config-file models/MobileNet/config_small_data.json \\
        --samples-file labels.json --image-source photos
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.jobs import Job
    from nimakit.training.preparation import Request, prepare

    given = [config_file, samples_file, image_dir, features, student, student_images]
    if resume and (any(given) or recursive or test_samples_file or prepare_only):
        raise UsageError(
            "--resume JOB takes everything else from the job folder: leave out all other options except"
            " --allow-missing."
        )
    if bool(student) != bool(student_images):
        raise UsageError("A student needs both --student and --student-images.")
    changes: dict[str, object] = {}
    if resume:
        job = Job.open(resume)
        options = {"allow_missing": allow_missing, "docker_image": docker_image}
        changes = {name: value for name, value in options.items() if value}
    elif config_file and samples_file and bool(image_dir) != bool(features):
        job = prepare(
            Request(
                config_file=config_file,
                samples_file=samples_file,
                image_dir=image_dir,
                recursive=recursive,
                test_samples_file=test_samples_file,
                jobs_dir=jobs_dir,
                allow_missing=allow_missing,
                docker_image=docker_image,
                student=student,
                student_images=student_images,
                features=features,
            )
        )
    else:
        raise UsageError(
            "A job needs --config-file, --samples-file and --image-source, or --features in place of the"
            " last; or --resume JOB."
        )
    if not prepare_only:
        from nimakit.training.job import train as train_job

        say(f"job folder {job.folder}")
        train_job(job, notify=say, changes=changes)
    click.echo(job.folder)
    return 0
