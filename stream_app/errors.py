"""Errors that a user can mend. Each message is one line: what, where, and the remedy."""


class StreamAppError(Exception):
    """Base of every error shown to a user as one line and without a traceback."""

    exit_code = 2


class WorkerFault(StreamAppError):  # noqa: N818 - it is no mistake of the user's
    """The worker must not go on; started again, it goes on from what was committed."""

    exit_code = 1


class ConfigError(StreamAppError):
    """A setting or a settings file is refused at start-up."""


class TopicError(StreamAppError):
    """topics.yaml is wrong, or the broker's topics differ from it."""


class BrokerError(StreamAppError):
    """A broker cannot be started or reached."""


class SourceError(StreamAppError):
    """A file of ticks or bars cannot be understood."""


class ArtifactError(StreamAppError):
    """A model artifact is missing, altered or not what its manifest says."""


class TrainingError(StreamAppError):
    """A training job cannot give a usable model (too few rows, values that are not finite)."""
