//! Skipping a test loudly, as docs/testing.md asks: a need that is not met here is a failure where
//! it is required, and a line on standard error and in the run's log where it is not.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Says that the test function of this name was not run, because `need` is not met here.
pub(crate) fn skip(need: &str, test: &str, reason: &str) {
    let line = format!("SKIPPED ({need}): {test}: {reason}").replace('\n', " ");
    let required = env::var("TOWPATH_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word.trim() == need),
        "TOWPATH_REQUIRE={required} forbids this: {line}"
    );
    eprintln!("{line}");
    if let Some(log) = env::var_os("TOWPATH_SKIP_LOG") {
        let mut log = OpenOptions::new().create(true).append(true).open(log).expect("the skip log");
        // One write: other tests append at the same time.
        log.write_all(format!("{line}\n").as_bytes()).expect("the skip log takes a line");
    }
}
