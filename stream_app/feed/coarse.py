"""Whether a file's rows are close enough together for the bars that the models learn from."""

from __future__ import annotations

import math
from typing import Final

from stream_app.feed.understood import Understood

_USUAL_BARS: Final = 8_640
"""As many as the default window holds."""
_LONGEST_BAR_S: Final = 86_400


def coarse_bars(found: Understood, bar_seconds: int) -> str | None:
    """What is wrong with bars longer than `BAR_SECONDS`, and the settings that are right for them.

    Most bars of the window would be empty, and no bar has another one at its horizon.

    Returns:
        One line, or None where the bars fit or there are none.
    """
    if found.kind != "bars" or found.spacing_s is None or found.spacing_s <= bar_seconds:
        return None
    told = f"its bars last {found.spacing_s:g} s, BAR_SECONDS is {bar_seconds}"
    name = found.paths[0]
    if found.spacing_s > _LONGEST_BAR_S or found.spacing_s != int(found.spacing_s):
        return f"{name}: {told}; looked for bars of whole seconds, at most a day; give shorter ones"
    days = math.ceil(_USUAL_BARS * found.spacing_s / 86_400)
    return (
        f"{name}: {told}: set BAR_SECONDS={found.spacing_s:g} and TRAINING_WINDOW_DAYS={days} "
        f"({_USUAL_BARS:,} bars), and HORIZON_BY=bars where nights or weekends have none"
    )


def sparse_ticks(found: Understood, bar_seconds: int) -> str | None:
    """A warning where most bars will be empty because ticks are further apart than a bar is long.

    Returns:
        One line, or None where that is not so.
    """
    if found.kind == "bars" or found.spacing_s is None or found.spacing_s <= bar_seconds:
        return None
    return (
        f"{found.paths[0]}: its {found.kind} are about {found.spacing_s:g} s apart, BAR_SECONDS is "
        f"{bar_seconds}: most bars will be empty; if each row is a bar's close, set BAR_SECONDS to "
        "the distance of the rows"
    )
