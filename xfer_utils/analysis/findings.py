"""What a study's summary notebooks conclude, in numbers, each with a sentence made from them.

`findings.json` in the study's folder is a list of findings; the report opens with their sentences.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, model_validator

from xfer_utils.analysis.intervals import t_interval
from xfer_utils.analysis.stats import MARGIN, SEEDS
from xfer_utils.analysis.tables import bounds, number

FILE = "findings.json"
PHRASES = {
    "gain": "a gain that holds after correction for all comparisons",
    "loss": "a loss that holds after correction for all comparisons",
    "equivalent": f"less than {MARGIN:g} point either way by an equivalence test",
    "not shown": "which cannot be told from the noise between seeds",
    "one run": "one run, so another training may give another sign",
}
BARE = ("one run", "not shown")  # verdicts that need no interval


class Finding(BaseModel):
    """One estimate and what may be said of it; an interval is over seeds that have a spread."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    summary: str
    estimand: str
    estimate: FiniteFloat
    interval: tuple[FiniteFloat, FiniteFloat] | None
    verdict: Literal[
        "gain", "loss", "equivalent", "not shown", "one run",
        "agree", "do not agree", "holds", "cannot be told",
    ]  # fmt: skip
    sentence: str
    declared: str = ""  # hash of what the study declared, where this is its estimand
    p: FiniteFloat | None = None  # of a declared estimand, not corrected

    @model_validator(mode="after")
    def _consistent(self) -> "Finding":
        low, high = self.interval or (self.estimate, self.estimate)
        bare = self.verdict == "one run" if self.interval else self.verdict not in BARE
        if bare:
            raise ValueError("a finding has an interval over seeds, or the verdict `one run`")
        if not low <= self.estimate <= high:
            raise ValueError("the estimate lies outside its interval")
        size = abs(self.estimate)  # of a correlation two decimals
        if not any(text in self.sentence for text in (number(size), f"{size:.2f}")):
            raise ValueError("the sentence does not give the estimate")
        return self


FINDINGS = TypeAdapter(list[Finding])


def of_gain(summary: str, estimand: str, title: str, gain: Mapping) -> Finding:
    """The finding of one row of stats.gains; `title` says whose gain it is."""
    repeated = gain["interval"] == SEEDS
    reach = (gain["low"], gain["high"]) if repeated and gain["low"] <= gain["high"] else None
    verdict = "not shown" if repeated else "one run"
    if gain["p_adjusted"] < 0.05:
        verdict = "gain" if gain["gain"] > 0 else "loss"
    elif gain.get("equivalent"):
        verdict = "equivalent"
    phrase = PHRASES[verdict]
    if verdict == "not shown" and reach and not reach[0] <= 0 <= reach[1]:
        phrase = "clear of 0 by itself, but not after correction for all comparisons"
    points = number(gain["gain"], signed=True) + " points"
    over = f" {bounds(*reach)} over {gain['n_seeds']} seeds" if reach else ""
    return Finding(
        summary=summary, estimand=estimand, estimate=gain["gain"], interval=reach, verdict=verdict,
        sentence=f"{title}, {estimand}: {points}{over}, {phrase}.",
    )  # fmt: skip


def over_seeds(
    summary: str, estimand: str, gaps: Sequence[float], said: tuple[str, str], declared: str = ""
) -> Finding:
    """The finding of one difference for each seed; `said` words it above 0, and below."""
    estimate, low, high, p = t_interval(list(gaps))
    reach = (low, high) if low <= high else None
    verdict = "not shown" if len(gaps) > 1 else "one run"
    if p < 0.05:
        verdict = "gain" if estimate > 0 else "loss"
    phrase = PHRASES[verdict] if verdict in BARE else said[0 if estimate > 0 else 1]
    over = f" {bounds(*reach)} over {len(gaps)} seeds" if reach else ""
    return Finding(
        summary=summary, estimand=estimand, estimate=estimate, interval=reach, verdict=verdict,
        sentence=f"{estimand}: {number(estimate, signed=True)} points{over}, {phrase}.",
        declared=declared, p=p if declared and reach else None,
    )  # fmt: skip


def write(folder: Path, summary: str, findings: Sequence[Finding]) -> None:
    """Puts a summary's findings in place of its earlier ones; others' stay."""
    others = [finding for finding in read(folder) if finding.summary != summary]
    whole = sorted([*others, *findings], key=lambda finding: finding.summary)
    (folder / FILE).write_bytes(FINDINGS.dump_json(whole, indent=1))


def read(folder: Path) -> list[Finding]:
    """The study's findings, checked; none where no summary has written any."""
    path = folder / FILE
    return FINDINGS.validate_json(path.read_bytes()) if path.exists() else []
