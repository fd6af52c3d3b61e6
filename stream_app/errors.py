"""Errors that a user can fix. Each message is one line: what is wrong, where, and the remedy.

>>> raise ConfigError("WEB_PORT=70000: allowed is 0 to 65535")
Traceback (most recent call last):
    ...
stream_app.errors.ConfigError: WEB_PORT=70000: allowed is 0 to 65535
"""


class StreamAppError(Exception):
    """Base of every error that a user sees as one line, without a traceback."""

    exit_code = 2


class WorkerFault(StreamAppError):  # noqa: N818 - the user made no mistake
    """The worker must stop. After a restart it continues from the last commit."""

    exit_code = 1


class ConfigError(StreamAppError):
    """A setting or a settings file is wrong."""


class TopicError(StreamAppError):
    """topics.yaml is wrong, or the broker's topics differ from it."""


class BrokerError(StreamAppError):
    """A broker cannot be started or reached."""


class SourceError(StreamAppError):
    """A file of ticks or bars cannot be understood."""


class OutputError(StreamAppError):
    """A file that a command is to write cannot be written."""


class ArtifactError(StreamAppError):
    """A model artifact is missing, altered or does not match its manifest."""


class StoreError(StreamAppError):
    """The object store does not answer, or not as asked; the same request may succeed later."""


class NotThereError(StoreError):
    """The object store answers, and does not have it."""


class VersionError(StreamAppError):
    """A symbol or a model version that is asked for is not there, or cannot serve."""


class TrainingError(StreamAppError):
    """A training job cannot produce a usable model: too few rows, or values that are not finite."""


class LookAheadError(StreamAppError):
    """An answer of a backtest depends on what comes after it."""


class ContractError(StreamAppError):
    """A schema cannot be read or compared, or breaks what the last release promised."""


class SchemaRegistryError(StreamAppError):
    """A schema registry does not answer, or refuses a schema."""
