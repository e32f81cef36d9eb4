"""__NAME__: functions over groups of rows.

create function span(value bigint) returns bigint language wasm as '__NAME__.wasm';
select span(price) from item;
"""

from zerodb_guest import aggregate


@aggregate
class Span:
    """The distance between the least and the greatest value. `step` is not called for NULL."""

    def __init__(self):
        self.least = self.greatest = None

    def step(self, value: int):
        if self.least is None:
            self.least = self.greatest = value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)

    def finish(self) -> int:
        return None if self.least is None else self.greatest - self.least
