//! Where the scenarios of these tests find their launcher and put their logs.

use towpath_integration::scenario::Scenario;

/// The scenario of the test function `name`.
pub(crate) fn scenario(name: &'static str) -> Scenario {
    Scenario::new(name, env!("CARGO_BIN_EXE_enter"), env!("CARGO_TARGET_TMPDIR"))
}
