"""Data full of scripts, control characters and emptiness: through all formats into a report that runs nothing."""

import json
import lzma

import pytest
from browser import BROWSER, Browser
from conftest import records_of, xfer

SITE = "http://127.0.0.1:9"
ATTACK = (
    "<script>window.owned=1</script><img src='{site}/a.png' onerror='window.owned=1'>"
    "<iframe src='{site}/b'></iframe><link rel='stylesheet' href='{site}/c.css'>"
    "<a href='javascript:window.owned=1'>x</a><form action='{site}'><input autofocus onfocus='owned=1'>"
    "</form><style>body {{ background: url({site}/d.png) }}</style><meta http-equiv=refresh content=0>"
)

STUDY = """\
name: hostile
title: <script>window.owned=1</script>
question: <img src=x onerror=window.owned=1>
estimand: '{{ 7 * 7 }} {%% raw %%}'
source: folder:%s
models:
  small:
    pretrain: {layers: 2, width: 32, heads: 2, feedforward: 64, vocabulary: 600, steps: 20}
intermediate: [none, hellaswag]
targets: [xnli, udpos, xquad, tatoeba, bucc2018]
seeds: {none: [0], other: [0]}
intermediate_training: {default: {epochs: 1, max_length: 64, learning_rate: 1.0e-3}}
target_training: {default: {epochs: 1, max_length: 64, learning_rate: 1.0e-3}}
"""


def hostile() -> list[str]:
    """Texts that nobody writes who means well."""
    return [
        ATTACK.format(site=SITE),
        "</script></style></textarea><script>window.owned=1</script>",
        "<svg/onload=window.owned=1>", "&lt;script&gt;window.owned=1&lt;/script&gt;",
        "[x](javascript:window.owned=1) ![y](" + SITE + "/markdown.png)",
        r"$$\href{javascript:window.owned=1}{x}$$", "{{ 7 * 7 }} {% include '/etc/passwd' %}",
        "\x00\x01\x02\x1b[31m\x7f\x85", "\u202e\u2066right\u200fto left\u2069", "\u2028\u2029\ufeff\u200b",
        "half \ud83d a \udc00 character", "é" * 3 + "\u0301" * 50, "😀👩‍👩‍👧‍👦🏳️‍🌈", "", " ", "\t\r", "xx " * 333_333,
        "=1+1", "'; DROP TABLE scores; --", "../../../../etc/passwd", "NaN", "null", "-100", "\\ud800",
    ]  # fmt: skip


def write(folder, name: str, rows: list[dict]) -> None:
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def fill(folder, texts: list[str]) -> None:
    """Every format's files; no row of a training set is one that is evaluated."""

    def some(part: str, count: int = 30) -> list[str]:
        """Texts with a word of their own behind most of them; some stay as they are."""
        return [
            texts[n % len(texts)] + (f" {part} {n}" if n >= len(texts) else "")
            for n in range(count)
        ]

    def nli(part):
        return [
            {"premise": t, "hypothesis": t[:50], "label": n % 3} for n, t in enumerate(some(part))
        ]

    def tagged(part):
        return [
            {
                "tokens": [t[:20_000].replace(" ", ""), "", part, "<b>"],
                "upos": ["NOUN", "X", "VERB", "PUNCT"],
            }
            for t in some(part)
        ]

    def asked(part):
        rows = []
        for n, t in enumerate(some(part)):
            context = f"{t[:2000]} Ada {part} came."
            place = {"text": [f"Ada {part}"], "answer_start": [len(t[:2000]) + 1]}
            rows.append(
                {"id": f"{part}{n}", "title": t[:30], "context": context, "question": t or "?"}
            )
            rows[-1]["answers"] = place
        return rows

    def chosen(part):
        return [
            {"ctx": t, "endings": [t[:40], "", part, "<i>"], "label": n % 4}
            for n, t in enumerate(some(part))
        ]

    write(folder, "mnli/en.train", nli("train"))
    write(folder, "hellaswag/en.train", chosen("train"))
    write(folder, "hellaswag/en.validation", chosen("dev"))
    write(folder, "udpos/en.train", tagged("train"))
    write(folder, "squad/en.train", asked("train"))
    for code in ("en", "de"):
        write(folder, f"xnli/{code}.validation", nli(f"dev{code}"))
        write(folder, f"udpos/{code}.validation", tagged(f"dev{code}"))
        write(folder, f"xquad/{code}.validation", asked(f"dev{code}"))
    pairs = zip(some("de"), some("en"), strict=True)
    write(
        folder, "tatoeba/de.test", [{"source_sentence": a, "target_sentence": b} for a, b in pairs]
    )
    for side in ("de", "en"):
        pool = [{"id": f"{side}-{n}", "sentence": t} for n, t in enumerate(some(f"pool{side}"))]
        write(folder, f"bucc2018/de-en.{side}.validation", pool)
    gold = [{"source_id": f"de-{n}", "target_id": f"en-{n}"} for n in range(9)]
    write(folder, "bucc2018/de-en.gold.validation", gold)
    (folder / "text").mkdir()
    for code in ("en", "de"):
        lines = "\n".join(t.encode("utf-8", "replace").decode() for t in some(f"text{code}", 300))
        with lzma.open(folder / "text" / f"{code}.txt.xz", "wt", encoding="utf-8") as out:
            out.write(lines)


@pytest.mark.slow
def test_hostile_data_through_all_formats_into_a_report(tmp_path):
    fill(tmp_path / "data", hostile())
    study, outputs = tmp_path / "hostile.yaml", tmp_path / "outputs"
    study.write_text(STUDY % (tmp_path / "data"), encoding="utf-8")
    ended = xfer("run", study, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    records = records_of(outputs).values()
    scored = {score["task"] for record in records for score in record["scores"]}
    assert scored >= {"xnli", "udpos", "xquad", "tatoeba", "bucc2018", "hellaswag"}
    ended = xfer("report", study, outputs=outputs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    pages = sorted((outputs / "hostile" / "report").rglob("*.html"))
    assert len(pages) > len(records)
    if BROWSER:
        with Browser(tmp_path / "profile") as browser:
            for page in pages:
                browser.open(page)
                assert browser.ask("document.body.innerText.length") > 100
                assert browser.ask("window.owned === undefined") is True, page
                assert {url.split(":")[0] for url in browser.fetched} <= {"file", "data"}, page
