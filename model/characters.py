"""A tokenizer of single characters, for languages that write no spaces: built from texts, every offset a code point. It learns no weights.

Chinese characters, kana, digits, punctuation and emoji are a token each. A run of other letters is one token whole, known only where the
texts have it: text in a language that the texts are not written in comes out as [UNK] and is told apart (model/tasks/text.py),
where pieces of words would have made any Latin text look readable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}]|\p{Nd}|[^\p{L}\p{M}\p{N}\s]"
_JOINERS = r"[\u200B-\u200D\u2060\uFE00-\uFE0F\uFEFF]"  # say how the signs beside them look, and are nothing to read


def character_tokenizer(texts: Iterable[str], positions: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer that knows what occurs in the texts, the most frequent first, ties by code point.

    `positions`: the longest sequence with [CLS] and [SEP]. Case is folded and full-width forms are made plain (NFKC); offsets are
    those of the text as it was given.
    """
    cutter = Tokenizer(models.WordLevel({}, unk_token="[UNK]"))
    cutter.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(_JOINERS), "")]
    )
    cutter.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_ALONE), "isolated")]
    )
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in cutter.pre_tokenizer.pre_tokenize_str(cutter.normalizer.normalize_str(text)))
    words = sorted(counts.keys() - set(SPECIALS), key=lambda word: (-counts[word], word))
    vocabulary = {word: number for number, word in enumerate((*SPECIALS, *words))}
    cutter.model = models.WordLevel(vocabulary, unk_token="[UNK]")
    cutter.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    pad, unknown, first, last, mask = SPECIALS
    return PreTrainedTokenizerFast(
        tokenizer_object=cutter, model_max_length=positions,
        pad_token=pad, unk_token=unknown, cls_token=first, sep_token=last, mask_token=mask,
    )  # fmt: skip
