//! Feeds whatever comes to what must hold of masking; see `property.rs`.
#![no_main]

include!("../property.rs");

libfuzzer_sys::fuzz_target!(|data: &[u8]| masking(data));
