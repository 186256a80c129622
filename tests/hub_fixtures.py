"""Small copies of the hub's data sets, in their exact schemas and under their exact configuration names.

The names are written out here and not taken from the registry, so that a slip in the registry fails a test.
A maker is asked for about `size` rows: a few are enough to be read, a study wants some dozens.
"""

from collections.abc import Callable
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, Value


def words(text: str) -> list[str]:
    """A list of names, written as one line."""
    return text.split()


TEXT, INT = Value("string"), Value("int32")
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])
ANSWERS = {"text": List(TEXT), "answer_start": List(INT)}
SQUAD = ("plain_text", "squad_v2")
CONVERT = "refs%2Fconvert%2Fparquet"
XTREME_TAGS = words(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
)
WORDS = words("river stone winter letter garden market silver window mother yellow thunder")
UD_TAGS = words("NOUN PUNCT ADP NUM SYM SCONJ ADJ PART DET CCONJ PROPN PRON X _ ADV INTJ VERB AUX")
NER_TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
TYDIQA = [
    "english",
    "arabic",
    "bengali",
    "finnish",
    "indonesian",
    "korean",
    "russian",
    "swahili",
    "telugu",
]
UDPOS = words(
    "Afrikaans Arabic Basque Bulgarian Dutch English Estonian Finnish French German Greek Hebrew Hindi "
    "Hungarian Indonesian Italian Japanese Kazakh Korean Chinese Marathi Persian Portuguese Russian Spanish "
    "Tagalog Tamil Telugu Thai Turkish Urdu Vietnamese Yoruba"
)
PANX = words(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl "
    "tr ur vi yo zh"
)
TATOEBA = words(
    "afr ara ben bul cmn deu ell est eus fin fra heb hin hun ind ita jav jpn kat kaz kor mal mar nld pes por "
    "rus spa swh tam tel tgl tha tur urd vie"
)
Rows = tuple[Features, list[dict]]


def _mnli(config: str, split: str, size: int) -> Rows:
    label = -1 if split.startswith("test") else None
    rows = [
        {
            "premise": f"{config} {split} premise {n // 3}",
            "hypothesis": f"hypothesis {n}",
            "label": n % 3,
            "idx": n,
        }
        for n in range(size)
    ]
    return Features(premise=TEXT, hypothesis=TEXT, label=NLI, idx=INT), [
        row | ({"label": label} if label else {}) for row in rows
    ]


def _xnli(config: str, split: str, size: int) -> Rows:
    features, rows = _mnli(config, split, size)
    del features["idx"]
    return features, [
        {key: row[key] for key in features} | {"label": n % 3} for n, row in enumerate(rows)
    ]


def _snli(config: str, split: str, size: int) -> Rows:
    features, rows = _xnli(config, split, size)
    return features, [*rows[:-1], rows[-1] | {"label": -1}]


def _anli(config: str, split: str, size: int) -> Rows:
    features, rows = _xnli(config, split, size)
    features = Features(uid=TEXT, **features, reason=TEXT)
    return features, [row | {"uid": f"{split}-{n}", "reason": ""} for n, row in enumerate(rows)]


def _qqp(config: str, split: str, size: int) -> Rows:
    features = Features(
        question1=TEXT,
        question2=TEXT,
        label=ClassLabel(names=["not_duplicate", "duplicate"]),
        idx=INT,
    )
    return features, [
        {"question1": f"{split} {n}?", "question2": "b?", "label": n % 2, "idx": n}
        for n in range(size)
    ]


def _squad(config: str, split: str, size: int, title: bool = True) -> Rows:
    rows = []
    for n in range(size):
        context = f"{config} {split} paragraph {n // 2} names Ada and Bob."
        answers = {"text": ["Ada", "Ada"], "answer_start": [context.index("Ada")] * 2}
        # XQuAD and MLQA have two questions of SQuAD's development set and none of its training set.
        number = (
            {"train": f"t{n}", "validation": f"q{n + size - 2}"}[split]
            if config in SQUAD
            else f"q{n}"
        )
        row = {
            "id": number,
            "title": f"Title {n // 2}",
            "context": context,
            "question": f"{config} who {n}?",
        }
        rows.append(row | {"answers": answers})
    features = Features(id=TEXT, title=TEXT, context=TEXT, question=TEXT, answers=ANSWERS)
    if not title:
        del features["title"]
    return features, [{key: row[key] for key in features} for row in rows]


def _squad_v2(config: str, split: str, size: int) -> Rows:
    features, rows = _squad(config, split, size)
    return features, [*rows[:-1], rows[-1] | {"answers": {"text": [], "answer_start": []}}]


def _xquad(config: str, split: str, size: int) -> Rows:
    return _squad(config, split, size, title=False)


def _tydiqa(config: str, split: str, size: int) -> Rows:
    features, rows = _squad(config, split, size)
    return features, [
        row | {"id": f"{name}-{split}{row['id']}-0"} for row in rows for name in TYDIQA
    ]


def _hellaswag(config: str, split: str, size: int) -> Rows:
    names = ("activity_label", "ctx_a", "ctx_b", "ctx", "source_id", "split", "split_type", "label")
    features = Features(ind=INT, endings=List(TEXT), **dict.fromkeys(names, TEXT))
    row = dict.fromkeys(names, "text") | {"endings": [f"ending {n}" for n in range(4)]}
    return features, [
        row | {"ind": n, "ctx": f"{split} {n}", "label": "" if split == "test" else str(n % 4)}
        for n in range(size)
    ]


def _cosmos_qa(config: str, split: str, size: int) -> Rows:
    answers = {f"answer{n}": f"answer {n}" for n in range(4)}
    features = Features(
        id=TEXT, context=TEXT, question=TEXT, **dict.fromkeys(answers, TEXT), label=INT
    )
    row = {"context": f"{split} context", "question": "why?"} | answers
    return features, [
        row | {"id": f"c{n}", "label": -1 if split == "test" else n % 4} for n in range(size)
    ]


def _commonsense_qa(config: str, split: str, size: int) -> Rows:
    features = Features(
        id=TEXT,
        question=TEXT,
        question_concept=TEXT,
        choices={"label": List(TEXT), "text": List(TEXT)},
        answerKey=TEXT,
    )
    # The letters of the second row stand in another order.
    rows = []
    for n, letters in enumerate(["ABCDE", "EDCBA"]):
        choices = {"label": list(letters), "text": [f"choice {letter}" for letter in letters]}
        rows.append(
            {"id": f"s{n}", "question": f"{split} {n}", "question_concept": "x", "choices": choices}
        )
    return features, [row | {"answerKey": "" if split == "test" else "B"} for row in rows]


def _social_i_qa(config: str, split: str, size: int) -> Rows:
    names = ("context", "question", "answerA", "answerB", "answerC", "label")
    row = {name: f"{split} {name}" for name in names}
    return Features(dict.fromkeys(names, TEXT)), [row | {"label": str(n)} for n in (1, 2, 3)]


def _copa(config: str, split: str, size: int) -> Rows:
    names = ("premise", "choice1", "choice2", "question")
    features = Features(
        **dict.fromkeys(names, TEXT), idx=INT, label=ClassLabel(names=["choice1", "choice2"])
    )
    row = {"premise": f"{config} {split}", "choice1": "one", "choice2": "two"}
    return features, [
        row | {"question": q, "idx": n, "label": n} for n, q in enumerate(("cause", "effect"))
    ]


def _xcopa(config: str, split: str, size: int) -> Rows:
    features, rows = _copa(config, split, size)
    features = Features(features | {"label": INT, "changed": Value("bool")})
    return features, [row | {"changed": False} for row in rows]


def _sib200(config: str, split: str, size: int) -> Rows:
    topics = words("travel sports politics health geography entertainment science/technology")
    features = Features(index_id=Value("int64"), category=TEXT, text=TEXT)
    first = 1000 * ("train", "validation", "test").index(split)
    return features, [
        {"index_id": first + n, "category": topics[n % 7], "text": f"{config} {split} topic {n}"}
        for n in range(size)
    ]


def _americas_nli(config: str, split: str, size: int) -> Rows:
    features = Features(premise=TEXT, hypothesis=TEXT, label=NLI)
    return features, [
        {"premise": f"{config} {split} {n // 3}", "hypothesis": f"thus {n}", "label": n % 3}
        for n in range(size)
    ]


def _masakhaner(config: str, split: str, size: int) -> Rows:
    features, rows = _tagged("ner_tags", [*NER_TAGS, "B-DATE", "I-DATE"])(config, split, size)
    return Features({"id": TEXT, **features}), [{"id": str(n), **row} for n, row in enumerate(rows)]


def _pawsx(config: str, split: str, size: int) -> Rows:
    features = Features(id=INT, sentence1=TEXT, sentence2=TEXT, label=ClassLabel(names=["0", "1"]))
    return features, [
        {
            "id": n + 1,
            "sentence1": f"{config} {split} {n}",
            "sentence2": f"{split} {n}",
            "label": n % 2,
        }
        for n in range(size)
    ]


def _tagged(
    column: str, tags: list[str], extra: tuple[str, ...] = ()
) -> Callable[[str, str, int], Rows]:
    def rows(config: str, split: str, size: int) -> Rows:
        features = Features(
            tokens=List(TEXT),
            **{column: List(ClassLabel(names=tags))},
            **{e: List(TEXT) for e in extra},
        )
        spoken = [[f"{config}-{split}-{n}-{tag}" for tag in tags] for n in range(size // 2)]
        more = [dict.fromkeys(extra, words) for words in spoken]
        return features, [
            {"tokens": words, column: list(range(len(tags)))} | rest
            for words, rest in zip(spoken, more, strict=True)
        ]

    return rows


def _pairs(config: str, split: str, size: int) -> Rows:
    names = ("source_sentence", "target_sentence", "source_lang", "target_lang")
    row = {"source_lang": "/cache/3f", "target_lang": "/cache/4a"}
    return Features(dict.fromkeys(names, TEXT)), [
        row | {"source_sentence": f"{config} {n}\n", "target_sentence": f"English {n}\n"}
        for n in range(size - 1)
    ]


def _bucc(config: str, split: str, size: int) -> Rows:
    features, rows = _pairs(config, split, size)
    return features, [
        row | {"source_lang": f"xx-{n}", "target_lang": f"en-{n}"} for n, row in enumerate(rows)
    ]


def _mteb(config: str, split: str, size: int) -> Rows:
    return Features(sentence1=TEXT, sentence2=TEXT, lang=TEXT), [
        {"sentence1": f"{config} {n}", "sentence2": f"English {n}", "lang": config}
        for n in range(size - 1)
    ]


def _mewslix(config: str, split: str, size: int) -> Rows:
    if config == "wikipedia_pairs":
        return Features(mention=TEXT, entity=TEXT), [
            {"mention": f"a {{m}} {n}", "entity": f"e {n}"} for n in range(3)
        ]
    if config == "candidate_entities":
        rows = [
            {"entity_id": f"Q{n}", "title": f"T{n}", "description": f"entity {n}"} for n in range(5)
        ]
        return Features(entity_id=TEXT, title=TEXT, description=TEXT), rows
    rows = [
        {"example_id": f"x{n}", "mention": f"{config} {{m}} {n}", "entity_id": f"Q{n}"}
        for n in range(2)
    ]
    return Features(example_id=TEXT, mention=TEXT, entity_id=TEXT), rows


def _wikipedia(config: str, split: str, size: int) -> Rows:
    pages = [
        f"{config} page {n}.\n\n{' '.join(WORDS[n % 7 : n % 7 + 5])}\n" for n in range(size // 2)
    ]
    row = {"url": "u", "title": "t"}
    return Features(id=TEXT, url=TEXT, title=TEXT, text=TEXT), [
        row | {"id": str(n), "text": pages[n]} for n in range(size // 2)
    ]


XNLI = words("ar bg de el en es fr hi ru sw th tr ur vi zh")
XQUAD = words("ar de el en es hi ru th tr vi zh")
MLQA = words("ar de en es hi vi zh")
# Of 205 configurations: English, two scripts, one with a code of the project's own, one without.
SIB200 = words("eng_Latn ace_Arab ace_Latn fra_Latn quy_Latn swh_Latn zho_Hans zho_Hant tzm_Tfng")
AMERICAS = words("aym bzd cni gn hch nah oto quy shp tar")
MASAKHA = words("bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul")
WIKIPEDIA = sorted({*PANX, *XNLI, *words("az gu ht lt pa pl qu ro uk wo")})
TRAIN_DEV, TRAIN_DEV_TEST = ("train", "validation"), ("train", "validation", "test")
# repository, revision, configurations, maker of rows, splits
REPOSITORIES = [
    (
        "nyu-mll/glue",
        "main",
        ["mnli"],
        _mnli,
        ("train", "validation_matched", "validation_mismatched", "test_matched"),
    ),
    ("nyu-mll/glue", "main", ["qqp"], _qqp, TRAIN_DEV),
    ("stanfordnlp/snli", "main", ["plain_text"], _snli, TRAIN_DEV_TEST),
    (
        "facebook/anli",
        "main",
        ["plain_text"],
        _anli,
        [f"{s}_r{n}" for s in ("train", "dev", "test") for n in (1, 2, 3)],
    ),
    ("rajpurkar/squad", "main", ["plain_text"], _squad, TRAIN_DEV),
    ("rajpurkar/squad_v2", "main", ["squad_v2"], _squad_v2, TRAIN_DEV),
    ("Rowan/hellaswag", "main", ["default"], _hellaswag, TRAIN_DEV_TEST),
    ("allenai/cosmos_qa", CONVERT, ["default"], _cosmos_qa, TRAIN_DEV_TEST),
    ("tau/commonsense_qa", "main", ["default"], _commonsense_qa, TRAIN_DEV_TEST),
    ("allenai/social_i_qa", CONVERT, ["default"], _social_i_qa, TRAIN_DEV),
    ("aps/super_glue", CONVERT, ["copa"], _copa, TRAIN_DEV),
    ("aps/super_glue", CONVERT, ["rte"], _copa, TRAIN_DEV),
    ("facebook/xnli", "main", XNLI, _xnli, TRAIN_DEV_TEST),
    (
        "google-research-datasets/paws-x",
        "main",
        ["de", "en", "es", "fr", "ja", "ko", "zh"],
        _pawsx,
        TRAIN_DEV_TEST,
    ),
    (
        "google/xtreme",
        "main",
        [f"PAN-X.{code}" for code in PANX],
        _tagged("ner_tags", NER_TAGS, ("langs",)),
        TRAIN_DEV_TEST,
    ),
    (
        "google/xtreme",
        "main",
        [f"udpos.{name}" for name in UDPOS],
        _tagged("pos_tags", XTREME_TAGS),
        TRAIN_DEV_TEST,
    ),
    (
        "google/xtreme",
        "main",
        [f"MLQA.{a}.{b}" for a in MLQA for b in MLQA if a == b or "de" in (a, b)],
        _squad,
        ("validation", "test"),
    ),
    ("google/xtreme", "main", ["tydiqa"], _tydiqa, TRAIN_DEV),
    (
        "google/xtreme",
        "main",
        [f"bucc18.{code}" for code in ("de", "fr", "ru", "zh")],
        _bucc,
        ("validation", "test"),
    ),
    ("google/xtreme", "main", [f"tatoeba.{code}" for code in TATOEBA], _pairs, ("validation",)),
    ("google/xquad", "main", [f"xquad.{code}" for code in [*XQUAD, "ro"]], _xquad, ("validation",)),
    ("google-research-datasets/xquad_r", "main", XQUAD, _xquad, ("validation",)),
    (
        "unimelb-nlp/wikiann",
        "main",
        ["az", "gu", "lt", "pa", "pl", "qu", "ro", "uk"],
        _tagged("ner_tags", NER_TAGS, ("langs", "spans")),
        TRAIN_DEV_TEST,
    ),
    (
        "izhx/xtreme-r-udpos",
        "main",
        ["lt", "pl", "ro", "uk", "wo"],
        _tagged("upos", UD_TAGS),
        ("test",),
    ),
    (
        "mteb/tatoeba-bitext-mining",
        CONVERT,
        [f"{c}-eng" for c in ("aze", "lit", "pol", "ron", "ukr")],
        _mteb,
        ("test",),
    ),
    (
        "cambridgeltl/xcopa",
        "main",
        ["et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"],
        _xcopa,
        ("validation", "test"),
    ),
    (
        "facebook/mlqa",
        CONVERT,
        [f"mlqa-translate-train.{c}" for c in MLQA if c != "en"],
        _xquad,
        TRAIN_DEV,
    ),
    (
        "izhx/mewsli-x",
        "main",
        ["ar", "de", "en", "es", "fa", "ja", "pl", "ro", "ta", "tr", "uk"],
        _mewslix,
        ("validation", "test"),
    ),
    ("izhx/mewsli-x", CONVERT, ["wikipedia_pairs"], _mewslix, TRAIN_DEV),
    ("izhx/mewsli-x", CONVERT, ["candidate_entities"], _mewslix, ("test",)),
    ("Davlan/sib200", "main", SIB200, _sib200, ("train", "validation", "test")),
    ("nala-cub/americas_nli", "main", AMERICAS, _americas_nli, ("validation", "test")),
    ("masakhane/masakhaner2", CONVERT, MASAKHA, _masakhaner, ("train", "validation", "test")),
    (
        "wikimedia/wikipedia",
        "main",
        [f"20231101.{code}" for code in WIKIPEDIA],
        _wikipedia,
        ("train",),
    ),
]
SCRIPTS = ("allenai/cosmos_qa", "allenai/social_i_qa", "facebook/mlqa", "aps/super_glue")


def build(root: Path, size: int = 4) -> Path:
    """Writes all repositories under `root`, for MiniHub to serve; tables of about so many rows."""
    cards: dict[Path, list[str]] = {}
    for repository, revision, configs, maker, splits in REPOSITORIES:
        base = root / "datasets" / repository / revision
        for config in configs:
            for split in splits:
                name = (
                    f"{config}/{split}/0000"
                    if revision == CONVERT
                    else f"{config}/{split}-00000-of-00001"
                )
                path = base / f"{name}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                features, rows = maker(config, split, size)
                columns = {key: [row[key] for row in rows] for key in features}
                Dataset.from_dict(columns, features=features).to_parquet(path)
            if revision == "main":
                cards.setdefault(base, []).append(_card(config, splits))
    for base, configs in cards.items():
        (base / "README.md").write_text(
            "---\nconfigs:\n" + "".join(configs) + "---\n", encoding="utf-8"
        )
    for repository in SCRIPTS:
        path = root / "datasets" / repository / "main" / f"{repository.split('/')[1]}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('a loading script must not run')\n", encoding="utf-8")
    return root


def _card(config: str, splits: tuple[str, ...]) -> str:
    files = "".join(f"  - split: {split}\n    path: {config}/{split}-*\n" for split in splits)
    return f"- config_name: {config}\n  data_files:\n{files}"
