"""How long a file's bars last, which no file says: by the distances between them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SHORTEST_BAR_MS: Final = 10
"""Below this the four ticks have no room."""
_USUAL_SHARE: Final = 0.05
"""A distance that this share of the bars has is taken for their length."""
_MULTIPLES: Final = 0.95
"""Bars of one length are multiples of it apart; a few are not, where summer time begins."""
_NEIGHBOURS: Final = 25
"""As many distances around a bar tell whether its stretch has longer bars than the rest."""

Milliseconds = NDArray[np.int64]


class BadBarError(Exception):
    """The bars' length is unknown, too short for four ticks, or they overlap.

    Attributes:
        problem: what is wrong, and the remedy.
        at: the first bar that has the problem.
    """

    def __init__(self, problem: str, at: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.at = at


def bar_lengths(ts_open: Milliseconds, code: Milliseconds, file: Milliseconds) -> Milliseconds:
    """How long each bar lasts, in ms, of shape (bars,).

    Files, symbols of one file, and stretches of it may have bars of different lengths. A bar that
    is taken for shorter than it is would tell its close before it is known. So each file, symbol
    and stretch has the length that all have, unless its own distances contradict: where the
    shortest one is longer, and the others are multiples of it. Bars that are only left out, as of
    a symbol with few trades, have no such distance.

    >>> import numpy as np
    >>> ts = np.concatenate((np.arange(0, 1000, 20), np.arange(1000, 2000, 100)))
    >>> file = np.repeat([0, 1], [50, 10])
    >>> lengths = bar_lengths(ts, np.zeros_like(ts), file)
    >>> lengths[0], lengths[49], lengths[50], lengths[59]
    (np.int64(20), np.int64(20), np.int64(100), np.int64(100))

    Args:
        ts_open: shape (bars,), epoch ms; no symbol has two bars at one time.
        code: shape (bars,): which symbol each bar is of.
        file: shape (bars,): which file each bar is from.

    Raises:
        BadBarError: no symbol has two bars, or they are shorter than `SHORTEST_BAR_MS`; or bars
            of a symbol from two files overlap.
    """
    of_all = bar_length_ms(ts_open, code)
    lengths = np.empty(len(ts_open), dtype=np.int64)
    of_file = {
        number: _length_in(ts_open[here], code[here], of_all)
        for number in np.unique(file).tolist()
        for here in [file == number]
    }
    for mine in of_each(ts_open, code, file):
        opened = ts_open[mine]
        lengths[mine] = _stretches(opened, _shorter(opened, of_file[int(file[mine[0]])]))
    _refuse_overlap(ts_open, code, file, lengths)
    return lengths


def of_each(ts_open: Milliseconds, code: Milliseconds, file: Milliseconds) -> list[Milliseconds]:
    """Which bars each symbol has in each file, in order of time."""
    order = np.lexsort((ts_open, code, file))
    changes = (np.diff(code[order]) != 0) | (np.diff(file[order]) != 0)
    return np.split(order, np.flatnonzero(changes) + 1)


def until_the_next(
    ts_open: Milliseconds, code: Milliseconds, lengths: Milliseconds
) -> Milliseconds:
    """The lengths, less where the next bar of the symbol comes sooner."""
    by_symbol = np.lexsort((ts_open, code))
    same = np.diff(code[by_symbol]) == 0
    gaps = np.diff(ts_open[by_symbol])
    cut = lengths.copy()
    before = by_symbol[:-1][same]
    cut[before] = np.minimum(gaps[same], lengths[before])
    return cut


def bar_length_ms(ts_open: Milliseconds, code: Milliseconds) -> int:
    """How long most bars last: their usual distance.

    Files leave bars out (nights, weekends, minutes without a trade), so the most frequent
    distance is the length and not the mean; the shortest one where several are as frequent.
    Times that jitter have no usual distance: then it is the median.

    >>> import numpy as np
    >>> bar_length_ms(np.array([0, 60, 120, 300, 360, 900]), np.zeros(6, dtype=np.int64))
    60

    Args:
        ts_open: shape (bars,), epoch ms, in any order.
        code: shape (bars,): which symbol each bar is of.

    Raises:
        BadBarError: no symbol has two bars, or they are shorter than `SHORTEST_BAR_MS`.
    """
    gaps = _gaps(ts_open, code)
    if not len(gaps):
        raise BadBarError(
            "the only bar of its symbol; looked for two or more, whose distance is the bars' "
            "length; give a file with more bars"
        )
    length = _usual(gaps)
    if length < SHORTEST_BAR_MS:
        raise BadBarError(
            f"its bars are {length} ms apart; looked for {SHORTEST_BAR_MS} ms or more, which is "
            "room for a bar's four ticks; give the trades themselves"
        )
    return length


def _gaps(ts_open: Milliseconds, code: Milliseconds) -> Milliseconds:
    by_symbol = np.lexsort((ts_open, code))
    gaps: Milliseconds = np.diff(ts_open[by_symbol])[np.diff(code[by_symbol]) == 0]
    return gaps


def _usual(gaps: Milliseconds) -> int:
    distances, counts = np.unique(gaps, return_counts=True)
    usual = int(np.argmax(counts))
    is_usual = counts[usual] > 1 and counts[usual] >= _USUAL_SHARE * len(gaps)
    return int(distances[usual]) if is_usual else int(np.median(gaps))


def _length_in(ts_open: Milliseconds, code: Milliseconds, of_all: int) -> int:
    """The length of one file's bars, where other files may have had their say in `of_all`."""
    gaps = _gaps(ts_open, code)
    if not len(gaps):
        return of_all
    own = _usual(gaps)
    is_longer = own > of_all and np.mean(gaps % own == 0) >= _MULTIPLES
    return own if own < of_all or is_longer else of_all


def _shorter(ts_open: Milliseconds, of_file: int) -> int:
    """The length of one symbol's bars in a file where most have shorter or longer ones."""
    gaps = np.diff(ts_open)
    return min(_usual(gaps), of_file) if len(gaps) > 1 else of_file


def _stretches(ts_open: Milliseconds, length: int) -> Milliseconds:
    """How long each bar of a symbol lasts: longer than `length` where its neighbours say so."""
    lengths = np.full(len(ts_open), length, dtype=np.int64)
    gaps = np.diff(ts_open)
    if len(gaps) < _NEIGHBOURS or gaps.max() <= length:
        return lengths
    around = sliding_window_view(gaps, _NEIGHBOURS)
    shortest = around.min(axis=1)
    longer = np.flatnonzero(shortest > length)
    multiples = np.mean(around[longer] % shortest[longer, None] == 0, axis=1)
    for at in longer[multiples >= _MULTIPLES]:
        touched = slice(at, at + _NEIGHBOURS + 1)
        lengths[touched] = np.maximum(lengths[touched], shortest[at])
    return lengths


def _refuse_overlap(
    ts_open: Milliseconds, code: Milliseconds, file: Milliseconds, lengths: Milliseconds
) -> None:
    """Two files with the same trades in bars on other times: each would count twice.

    A day of 23 hours and a month of 28 days are let pass.

    Raises:
        BadBarError: they overlap.
    """
    by_symbol = np.lexsort((ts_open, code))
    first, second = by_symbol[:-1], by_symbol[1:]
    overlaps = (code[first] == code[second]) & (file[first] != file[second])
    overlaps &= ts_open[second] - ts_open[first] < (9 * lengths[first]) // 10
    if overlaps.any():
        at = int(np.argmax(overlaps))
        raise BadBarError(
            f"begins inside of a {lengths[first[at]] / 1000:g} s bar that another file has of its "
            "symbol; looked for files that follow one another; leave out what two of them have",
            int(second[at]),
        )
