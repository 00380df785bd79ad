"""A text source: sentences of a small grammar."""

from itertools import product


def sentences(root: str | None, who: str = "cat dog bird fish") -> list[str]:
    """Make every sentence, in order.

    Args:
        root: The data root, which is not needed here.
        who: Animals, with spaces between them.

    Returns:
        Texts; each is a row of its own.
    """
    verbs, places = ("sees", "follows", "likes"), ("at home", "in town", "by night")
    animals = who.split()
    return [
        f"the {a} {verb} the {b} {place}"
        for a, verb, b, place in product(animals, verbs, animals, places)
    ]
