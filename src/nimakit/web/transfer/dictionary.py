"""The data dictionary: what each file of an export contains, and what each column means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nimakit.web.transfer.picture_table import PERCENTILES


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported table.

    Attributes:
        type: As in a Frictionless table schema.
        meaning: What it contains, and in which unit.
    """

    type: str
    meaning: str


_COLUMNS = {
    "image": Column("string", "File of the photograph, below the folder of the study"),
    "image_id": Column("string", "Name of the photograph: its file name without the suffix"),
    "user_id": Column("string", "Pseudonym of the rater"),
    "rating": Column("number", "The rating"),
    "time": Column("datetime", "When the answer was given: ISO 8601, UTC"),
    "repeat": Column("integer", "0 for a rater's first answer, 1 for a repeat that measures consistency"),
    "predicted": Column("number", "Score that the model predicted; blank if unknown"),
    "elapsed_ms": Column(
        "integer",
        "How long the rater looked, in milliseconds: since it appeared on the screen, while the page was in"
        " view; blank if unknown",
    ),
    "left": Column("string", "The photograph of the pair that was shown first, by image_id"),
    "right": Column("string", "The other photograph, by image_id"),
    "chosen": Column("string", "The better photograph, by image_id; -1 for a tie"),
    "weight": Column("number", "How much the pair counts"),
    "comparison": Column("string", "Name of the comparison: pairs of one comparison share it"),
    "excluded": Column("string", "Why the rater is excluded; blank if the answer counts"),
    "n": Column("integer", "Number of ratings, or of comparisons that showed the photograph"),
    "mean": Column("number", "Mean rating; blank without ratings"),
    "sd": Column("number", "Standard deviation of the ratings, with n - 1; blank below two ratings"),
    **{
        f"p{percent}": Column("number", f"{percent}th percentile of the ratings, linearly interpolated")
        for percent in PERCENTILES
    },
    "score": Column("number", "Bradley-Terry score in logits, with mean 0 over all photographs"),
    "standard_error": Column("number", "Standard error of the score"),
    "rank": Column("integer", "Rank by score; 1 is the best"),
    "rank_low": Column("integer", "Best rank in a 95 % interval"),
    "rank_high": Column("integer", "Worst rank in a 95 % interval"),
    "won": Column("number", "Pairs in which it was the better one, by their weights"),
    "lost": Column("number", "Pairs in which the other was the better one, by their weights"),
    "tied": Column("number", "Pairs in which neither was better, by their weights"),
    "raters.excluded": Column("integer", "1 if the rater is excluded, else 0"),
    "reason": Column("string", "Why the rater is excluded; blank if they are not"),
    "answers": Column("integer", "Number of first answers, without skips"),
    "gold_right": Column(
        "integer",
        "Right answers to gold photographs that count: not those that many raters who agree with the others"
        " missed",
    ),
    "gold_missed": Column("integer", "Wrong answers to gold photographs that count"),
    "attention_passed": Column("integer", "Attention checks that were passed"),
    "attention_missed": Column("integer", "Attention checks that were missed"),
    "same_answer": Column(
        "number", "Share of the rater's most frequent answer (where photographs are compared: place), 0 to 1"
    ),
    "median_seconds": Column("number", "Median time per answer, in seconds; blank if unknown"),
    "repeat_difference": Column(
        "number", "Mean difference between first and second ratings of a photograph; blank without repeats"
    ),
    "evidence": Column(
        "number",
        "Log likelihood ratio of careful to random answering, in nats, from the agreement with other raters"
        " and from checks; below 0 the answers look random",
    ),
    "version": Column("integer", "Version of the study's texts that the rater agreed to"),
    "agreed": Column("datetime", "When the rater agreed to take part: ISO 8601, UTC"),
    "practice_rounds": Column("integer", "Number of practice rounds that the rater began"),
    "ready": Column("datetime", "When the rater could begin with the photographs; blank before that"),
    "finished": Column("datetime", "When the rater finished; blank before that"),
    "participants.excluded": Column("integer", "1 if the rater is excluded, else 0"),
}


def column(what: str, name: str) -> Column:
    """What a column of an exported table contains.

    Args:
        what: The kind of table, as of `nimakit.web.transfer.files.write_file`.
        name: The column.
    """
    return _COLUMNS.get(f"{what}.{name}") or _COLUMNS[name]


def dictionary(files: Mapping[str, str], tables: Mapping[str, Sequence[str]]) -> str:
    """A data dictionary in Markdown.

    Args:
        files: Name of each file -> what it contains.
        tables: Kind of table -> names of its columns. A table is in each file whose name begins with it,
            with hyphens for spaces.
    """
    lines = ["| file | content |", "|---|---|"]
    lines += [f"| {name} | {content} |" for name, content in files.items()]
    for what, columns in tables.items():
        names = [name for name in files if name.rpartition(".")[0] == what.replace(" ", "-")]
        lines += ["", f"### {', '.join(names)}", "", "| column | type | content |", "|---|---|---|"]
        for key in columns:
            found = column(what, key)
            lines.append(f"| {key} | {found.type} | {found.meaning} |")
    return "\n".join([*lines, ""])
