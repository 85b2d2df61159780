//! What the fuzz target found worth keeping, run as an ordinary test.

#![allow(clippy::unwrap_used)]

include!("../fuzz/property.rs");

#[test]
fn everything_in_the_corpus_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/masking");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 12, "the corpus is not there");
    for file in files {
        println!("{}", file.display());
        masking(&std::fs::read(&file).unwrap());
    }
}
