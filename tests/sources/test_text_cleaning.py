"""Text for pre-training loses what is evaluated: whole lines, variants, and lines that contain it."""

from test_sources_leaks import nli, put, question

from xfer_utils.sources import leaks


def test_text_loses_sentences_that_are_stored_as_words(tmp_path):
    """Running text sets no space before its full stop; XCOPA's choices and short Chinese sentences count too."""
    put(tmp_path, "udpos/en.validation", {"tokens": ["The", "dog", "runs", "."], "upos": ["X"] * 4})
    source = put(tmp_path, "xnli/zh.validation", nli("老狗今天在公园里跑了很久。", "没有。"))
    banned = leaks.forbidden(source, ["udpos", "xnli"])
    lines = [
        "The dog runs.",
        "昨天下雨。老狗今天在公园里跑了很久。我们回家。",
        "The dog runs home.",
        "没有。我们回家。",
    ]
    assert leaks.clean_text(lines, banned) == (lines[2:], 2)


def test_text_loses_evaluated_sentences_and_their_translations(tmp_path):
    pair = {
        "source_sentence": "Mbwa anakimbia sana leo.",
        "target_sentence": "The dog runs a lot today.",
    }
    put(tmp_path, "tatoeba/sw.test", pair)
    put(tmp_path, "xnli/en.validation", nli("Premise number one is here.", "No."))
    put(tmp_path, "udpos/zh.validation", {"tokens": ["狗", "跑"], "upos": ["X", "X"]})
    source = put(
        tmp_path,
        "xquad/de.validation",
        question("x", "Erster Satz ist recht lang. Zweiter Satz ist auch lang."),
    )
    banned = leaks.forbidden(source, ["tatoeba", "xnli", "udpos", "xquad"])
    lines = [
        "mbwa  anakimbia sana leo.",
        "The DOG runs a lot today.",
        "He said. Premise number one is here. Then he left.",
        "狗跑",
        "Zweiter Satz ist auch lang.",
        "No. That is another sentence.",
        "Nothing of the kind.",
    ]
    kept, dropped = leaks.clean_text(lines, banned)
    assert (kept, dropped) == (lines[-2:], 5)


def test_text_loses_variants_in_punctuation_and_lines_that_contain_a_sentence():
    banned = leaks.Forbidden(
        ["Yes, he left.", "The old dog runs a lot today", "老狗今天在公园里跑了很久"]
    )
    for line in (
        "Yes - he left!",
        '"The old dog runs a lot today," she said.',
        "They say the old DOG runs a lot, today as ever",
        "他说老狗今天在公园里跑了很久。",
    ):
        assert banned.are_in(line), line
    for line in (
        "He said: yes, he left.",
        "The old dog runs a lot.",
        "Another old dog",
        "老狗跑了",
    ):
        assert not banned.are_in(line), line
    assert not leaks.Forbidden(["Australia"]).are_in("She went to Australia"), (
        "a name is no evidence"
    )
