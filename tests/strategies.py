"""Hypothesis strategies that several test modules share."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from stream_app.messages.symbols import MAX_SYMBOL_CHARS, is_symbol

symbols = (
    st.text(
        st.one_of(
            st.sampled_from("ABZabz059.^=&~%/\\-_"),
            st.characters(exclude_categories=("C", "Z")),
        ),
        min_size=1,
        max_size=MAX_SYMBOL_CHARS,
    )
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(is_symbol)
)
"""Everything that can be a symbol, and the characters that file names and shells mind often."""
