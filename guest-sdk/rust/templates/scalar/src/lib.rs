//! __NAME__: functions for expressions.
//!
//! create function slug(title text) returns text language wasm as '__NAME__.wasm' immutable;
//! select slug('Hello, world');

wit_bindgen::generate!({ path: "build/wit", world: "scalar-udf" });

use exports::zerosys::db::scalar_functions::Guest;
use zerosys::db::types::{Column, ColumnData, ColumnValues, RecordBatch};
use zerosys::db::udf::{FunctionError, Signature, Volatility};

struct Functions;

fn column(name: &str, data_type: &str, nullable: bool) -> Column {
    Column { name: name.into(), data_type: data_type.into(), nullable }
}

fn failure(message: &str) -> FunctionError {
    FunctionError { message: message.into(), sqlstate: None, row: None }
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

impl Guest for Functions {
    fn describe() -> Vec<Signature> {
        vec![Signature {
            name: "slug".into(),
            arguments: vec![column("title", "text", false)],
            results: vec![column("result", "text", true)],
            volatility: Volatility::Immutable,
            strict: true,
        }]
    }

    fn call(name: String, arguments: RecordBatch) -> Result<ColumnValues, FunctionError> {
        match (name.as_str(), arguments.columns.first().map(|column| &column.data)) {
            ("slug", Some(ColumnData::Texts(titles))) => {
                let made = titles.iter().map(|title| slug(title)).collect();
                Ok(ColumnValues { validity: None, data: ColumnData::Texts(made) })
            }
            _ => Err(failure("there is no such function")),
        }
    }
}

export!(Functions);
