"""Why something cannot be trained on, in words."""

from collections.abc import Sequence
from pathlib import Path

from xfer_utils.sources.catalogue import Source
from xfer_utils.study import languages as language_table
from xfer_utils.study.sections import Training
from xfer_utils.study.tasks import registry, task, training_parts


class Lacking:
    """What a source lacks; each answer is empty where nothing is lacking.

    `spec` is how a study names the source, `languages_csv` a made-up world's table of languages.
    """

    def __init__(self, source: Source, spec: str, languages_csv: str | None) -> None:
        self.source, self.spec = source, spec
        self.csv = Path(languages_csv) if languages_csv else None

    def task(self, name: str, training: Training, languages: Sequence[str] = ()) -> str:
        """Why a task cannot be trained on in these languages. A checkpoint's choice needs dev."""
        for code in languages:
            if code != "en" and not self.source.training_set(name, code):
                what = f"no {self._language(code)} training data for {task(name).title}"
                return f"{what} in {self.spec}"
        roles = {"train": "training"} | ({"dev": "dev"} if training.chooses else {})
        for part in training_parts(name):
            for role, title in roles.items():
                if not self.source.has(part, role):
                    if registry()[part].open_labels and not self.source.has(part, "train"):
                        return "licensed data"
                    return f"no {title} data for {part} in {self.spec}"
        return ""

    def text(self, languages: Sequence[str]) -> str:
        """Why there is no text in all of these languages."""
        known = self.source.text_languages()
        absent = [code for code in languages if code not in known]
        return f"no {self._language(absent[0])} text in {self.spec}" if absent else ""

    def _language(self, code: str) -> str:
        """A language's name; its code where it is not known."""
        return str(language_table.languages(self.csv)["name"].get(code, code))
