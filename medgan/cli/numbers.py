"""Options that are several whole numbers."""

from medgan.errors import ConfigError


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """The numbers that were given.

    Args:
        text: e.g. ``"1,2,4"``.
        name: of the option, for the message.

    Raises:
        ConfigError: not whole numbers with commas between them.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"{name} are numbers with commas between them", measured=text, remedy="e.g. 1,2,4"
        ) from None
