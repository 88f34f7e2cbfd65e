//! Files made for the tests of what reads the checkout.

use crate::finding::Finding;
use crate::repository::SourceFile;

/// A checkout of these files.
pub(crate) fn files(samples: &[(&str, &str)]) -> Vec<SourceFile> {
    let file =
        |&(path, text): &(&str, &str)| SourceFile { path: path.to_owned(), text: text.to_owned() };
    samples.iter().map(file).collect()
}

/// Where the findings are, as `path:line`.
pub(crate) fn places(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}
