"""__NAME__: functions for expressions.

create function slug(title text) returns text language wasm as '__NAME__.wasm' immutable;
select slug('Hello, world');
"""

import re

from zerodb_guest import scalar


@scalar(volatility="immutable")
def slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")
