//! The requirement list and those who cite it: what `tidy` checks and `rfc` draws the map from.
//!
//! `list` reads docs/requirements.toml, `citation` the lines `Shows:` and `Implements:` of Rust
//! files and scripts, `tests_in` says which test function such a line belongs to. docs/testing.md
//! is the contract with those who write them.

mod citation;
mod list;
mod tests_in;

pub(crate) use citation::{Cited, Citing};
pub(crate) use list::{Document, List, Row};
pub(crate) use tests_in::{TestName, tests_of};

/// Where the list is.
pub(crate) const LIST: &str = "docs/requirements.toml";
