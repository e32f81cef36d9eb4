//! __NAME__: keeps the words it is given and says how often each came.
//!
//! zerodb run __NAME__.wasm --db words.zdb -- to be or not to be

wit_bindgen::generate!({ path: "build/wit", world: "guest" });

use zerosys::db::query::Connection;
use zerosys::db::transaction::{AccessMode, IsolationLevel, Transaction};
use zerosys::db::types::{Error, Value};

const TABLE: &str = "create table if not exists word (word text primary key, times bigint not null)";
const COUNT: &str = "insert into word values ($1, 1) on conflict (word) do update set times = word.times + 1";
const REPORT: &str = "select word, times from word order by times desc, word";

struct Words;

fn keep(db: &Connection, words: &[String]) -> Result<(), Error> {
    // Dropping an open transaction rolls it back.
    let open = Transaction::begin(db, IsolationLevel::DefaultLevel, AccessMode::ReadWrite)?;
    let count = db.prepare(COUNT)?;
    for word in words {
        count.execute(&[Value::Text(word.clone())])?;
    }
    Transaction::commit(open)
}

fn report(db: &Connection) -> Result<String, Error> {
    let rows = db.query(REPORT, &[])?;
    let mut lines = Vec::new();
    loop {
        let batch = rows.next_rows(1024)?;
        if batch.is_empty() {
            return Ok(lines.join("\n"));
        }
        for row in batch {
            if let [Value::Text(word), Value::Int64(times)] = &row[..] {
                lines.push(format!("{word} {times}"));
            }
        }
    }
}

fn program(words: &[String]) -> Result<String, Error> {
    let db = Connection::open("")?;
    db.execute(TABLE, &[])?;
    let mut attempts = 0;
    while let Err(error) = keep(&db, words) {
        attempts += 1;
        if !error.retryable || attempts > 5 {
            return Err(error);
        }
    }
    report(&db)
}

impl Guest for Words {
    fn run(arguments: Vec<String>) -> Result<String, String> {
        program(&arguments).map_err(|error| format!("{}: {}", error.sqlstate, error.message))
    }
}

export!(Words);
