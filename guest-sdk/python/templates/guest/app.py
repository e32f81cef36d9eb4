"""__NAME__: keeps the words it is given and says how often each came.

zerodb run __NAME__.wasm --db words.zdb -- to be or not to be
"""

from zerodb_guest import connect


def run(arguments):
    with connect() as db:
        db.execute("create table if not exists word (word text primary key, times bigint not null)")
        for attempt in db.transaction(retries=5):  # runs again after a conflict
            with attempt:
                db.executemany(
                    "insert into word values ($1, 1) on conflict (word) do update set times = word.times + 1",
                    [(word,) for word in arguments],
                )
        rows = db.query("select word, times from word order by times desc, word")
        return "\n".join(f"{word} {times}" for word, times in rows)
