//! `schema`: the JSON Schema of a document. I/O: standard output.

use super::{
    Bad, Outcome,
    args::{Document, SchemaArgs},
    print,
};
use crate::{config::file::File, report::schema};

/// Prints the schema.
pub fn run(args: &SchemaArgs) -> Outcome {
    match args.document {
        Document::Report => print(&schema::text(&schema::report())),
        Document::Coverage => print(&schema::text(&schema::coverage())),
        Document::Config => {
            let schema = serde_json::to_string_pretty(&schemars::schema_for!(File)).map_err(|e| Bad::Unknown(e.into()))?;
            print(&format!("{schema}\n"))
        }
    }
}
