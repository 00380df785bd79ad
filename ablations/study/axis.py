"""An axis of a study: one setting that varies, and what its points are called."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from d2v_core.config import Section
from d2v_core.config.bounds import MAX_FACTOR, MAX_ITEMS
from d2v_core.errors import shown

MAX_LABEL = 50
"""Characters of an axis' short name."""
MAX_PATH = 200
"""Characters of a dotted path."""

Value = str | int | float | bool | None
"""What a setting is, mostly."""

ALL = "all"
"""Stands for the whole depth in names of points: ``K=all``."""


SHARE_TEXT = re.compile(r"[0-9]{0,40}(\.[0-9]{1,40})?(/[0-9]{1,40})?")
"""No exponents: Fraction("1e999999999") would take all memory."""


def _fraction(value: Any) -> Any:
    """``"1/12"`` or a number, as a share in (0, 1]."""
    message = f"must be a fraction like 1/12, got {shown(value)}"
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(message)
    if isinstance(value, str) and not SHARE_TEXT.fullmatch(value):
        raise ValueError(message)
    try:
        share = Fraction(value)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(message) from None
    if not 0 < share <= 1:
        raise ValueError(f"must be above 0 and at most 1, got {shown(value)}")
    return share


Share = Annotated[
    Fraction,
    BeforeValidator(_fraction),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9.]+(/[0-9]+)?$"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            ]
        }
    ),
]
Multiple = Annotated[float, Field(ge=0.0, le=MAX_FACTOR, allow_inf_nan=False)]
Values = Annotated[
    tuple[Value, ...], Field(strict=False, min_length=1, max_length=MAX_ITEMS)
]


class FractionsOfDepth(Section):
    """Axis values that scale with the encoder's depth: ``max(1, round(f * depth))``."""

    fraction_of_depth: tuple[Share, ...] = Field(
        min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """Shares of the depth; those that give the same whole number are one arm."""
    of_smaller: tuple[Share, ...] = Field((), max_length=MAX_ITEMS, strict=False)
    """Shares for encoders with fewer layers than there are shares above, so that few
    comparisons decide where seeds are cheap; empty: the same."""

    def layers(self, depth: int) -> list[int]:
        """The whole numbers of layers they stand for, at least one, in order."""
        is_small = self.of_smaller and depth < len(self.fraction_of_depth)
        shares = self.of_smaller if is_small else self.fraction_of_depth
        return sorted({max(1, round(share * depth)) for share in shares})


class MultiplesOfRecipe(Section):
    """Axis values relative to the recipe's own, so that a study fits every recipe."""

    multiples_of_recipe: tuple[Multiple, ...] = Field(
        min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """1 is the recipe's own value (arm ``label=1x``), 10 ten times as much."""


class Axis(Section):
    """One setting that varies; each value is an arm ``label=value``."""

    setting: str = Field(max_length=MAX_PATH)
    """Dotted path of the setting."""
    label: str = Field(pattern=r"^[\w./ -]+$", max_length=MAX_LABEL)
    """Short name in tables and in MLflow, ``K``."""
    values: Values | FractionsOfDepth | MultiplesOfRecipe
    """The values, or fractions of the depth, or multiples of the recipe's value."""

    @property
    def scales_with_depth(self) -> bool:
        """Whether the encoder's depth decides which points there are."""
        return isinstance(self.values, FractionsOfDepth)

    def names(self) -> list[str]:
        """Names of points; of those that scale with depth, the ends of the axis."""
        if isinstance(self.values, FractionsOfDepth):
            return [f"{self.label}=1", f"{self.label}={ALL}"]
        if isinstance(self.values, MultiplesOfRecipe):
            multiples = self.values.multiples_of_recipe
            return [f"{self.label}={times_text(multiple)}" for multiple in multiples]
        return [f"{self.label}={value_text(value)}" for value in self.values]

    def name_pattern(self) -> str:
        """What names of points look like, as a regular expression."""
        if isinstance(self.values, FractionsOfDepth):
            return rf"{re.escape(self.label)}=(?:[1-9]\d*|{ALL})"
        return "|".join(re.escape(name) for name in self.names())

    def keys(self) -> list[Value]:
        """The values published numbers are named by; empty: any number of layers."""
        if isinstance(self.values, FractionsOfDepth):
            return []
        if isinstance(self.values, MultiplesOfRecipe):
            return [times_text(m) for m in self.values.multiples_of_recipe]
        return list(self.values)


@dataclass(frozen=True)
class Point:
    """One value of an axis.

    Attributes:
        name: ``K=4``, its part of the arm's label.
        alias: Another name of the same point, ``K=all``; else ``name``.
        value: Value of the setting.
        shown: In tables, figures and MLflow: the value, or ``10x``.
    """

    name: str
    alias: str
    value: Any
    shown: Value


def axis_points(axis: Axis, depth: int, of_recipe: Any) -> list[Point]:
    """The points of an axis for one encoder.

    Args:
        axis: The axis.
        depth: Number of blocks of the encoder.
        of_recipe: The setting's value without the axis.

    Raises:
        ValueError: Multiples of something that is no number.
    """
    if isinstance(axis.values, FractionsOfDepth):
        return [point(axis, layers, depth) for layers in axis.values.layers(depth)]
    if isinstance(axis.values, MultiplesOfRecipe):
        return [_multiple(axis, m, of_recipe) for m in axis.values.multiples_of_recipe]
    return [point(axis, value, depth) for value in axis.values]


def point(axis: Axis, value: Any, depth: int) -> Point:
    """The point at a value."""
    name = f"{axis.label}={value_text(value)}"
    is_all = axis.scales_with_depth and value == depth
    return Point(name, f"{axis.label}={ALL}" if is_all else name, value, value)


def _multiple(axis: Axis, multiple: float, of_recipe: Any) -> Point:
    if not isinstance(of_recipe, int | float) or isinstance(of_recipe, bool):
        raise ValueError(
            f"multiples_of_recipe needs a number, {axis.setting} is "
            f"{value_text(of_recipe)} in the recipe"
        )
    product = Fraction(str(of_recipe)) * Fraction(str(multiple))  # 3 * 0.1 is 0.3
    whole = isinstance(of_recipe, int) and product.denominator == 1
    text = times_text(multiple)
    name = f"{axis.label}={text}"
    return Point(name, name, int(product) if whole else float(product), text)


def times_text(multiple: float) -> str:
    """``10x``."""
    return f"{multiple:g}x"


def value_text(value: Any) -> str:
    """A value as YAML has it: ``null`` and ``true``, not ``None`` and ``True``."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)
