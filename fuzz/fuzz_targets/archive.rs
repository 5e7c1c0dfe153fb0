//! Any bytes as an archive, and any bytes as the tar inside of one: read or refused with a reason, never a panic.
#![no_main]

use std::{io::Write, time::Duration};

use libfuzzer_sys::fuzz_target;
use snapgap::{config::ArchiveLimits, object::Redactor, velero::archive::read};

const LIMITS: ArchiveLimits = ArchiveLimits { entries: 10_000, object_bytes: 1 << 20, total_bytes: 64 << 20, time: Duration::from_secs(10) };

fuzz_target!(|bytes: &[u8]| {
    let redactor = Redactor::new([7; 32]);
    let _ = read(bytes, "fuzz", &LIMITS, &redactor);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    if gzip.write_all(bytes).is_ok()
        && let Ok(packed) = gzip.finish()
    {
        let _ = read(&packed[..], "fuzz", &LIMITS, &redactor);
    }
});
