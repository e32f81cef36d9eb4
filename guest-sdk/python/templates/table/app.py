"""__NAME__: functions for FROM.

create function words(text text) returns table(word text, place bigint) language wasm as '__NAME__.wasm';
select * from words('to be or not to be');
"""

from zerodb_guest import table


@table(columns={"word": str, "place": int}, volatility="immutable")
def words(text: str):
    for place, word in enumerate(text.split(), 1):
        yield word, place
