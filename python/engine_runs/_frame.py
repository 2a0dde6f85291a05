"""A table that needs no library: a list of rows with named columns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Iterable, Iterator, overload

if TYPE_CHECKING:
    import pandas


class Frame(Sequence["dict[str, Any]"]):
    """Rows as dictionaries, in order. `to_pandas()` makes a data frame of them; a notebook shows them as a table."""

    def __init__(self, rows: Iterable[dict[str, Any]], columns: Iterable[str] | None = None):
        self._rows = [dict(row) for row in rows]
        names = columns if columns is not None else (name for row in self._rows for name in row)
        self.columns: list[str] = list(dict.fromkeys(names))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Frame: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Frame:
        if isinstance(index, slice):
            return Frame(self._rows[index], self.columns)
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column, `None` where a row has none."""
        if name not in self.columns:
            raise KeyError(f"there is no column {name!r}; there are: {', '.join(self.columns)}")
        return [row.get(name) for row in self._rows]

    def where(self, **values: Any) -> Frame:
        """The rows whose columns hold these values: `run.results.where(metric="ari")`."""
        for name in values:
            self.column(name)
        rows = [row for row in self._rows if all(row.get(k) == v for k, v in values.items())]
        return Frame(rows, self.columns)

    def to_pandas(self) -> pandas.DataFrame:
        """The same as a `pandas.DataFrame`."""
        try:
            import pandas
        except ImportError as missing:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from missing
        return pandas.DataFrame(self._rows, columns=self.columns)

    def __repr__(self) -> str:
        cells = [self.columns] + [[_shown(row.get(name)) for name in self.columns] for row in self._rows]
        widths = [max(len(line[at]) for line in cells) for at in range(len(self.columns))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_shown(row.get(name)))}</td>" for name in self.columns) + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
