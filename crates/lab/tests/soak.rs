//! A few random runs with all invariants on; `cargo xtask lab-soak` plays many.

use towpath_lab::soak::{Keep, soak};

#[test]
fn random_applications_over_random_paths_get_every_byte_and_leave_nothing_behind() {
    for seed in 0..60 {
        if let Err(what) = soak(seed, Keep::Nothing) {
            panic!("{what}\nagain: cargo xtask lab-soak --replay {seed}");
        }
    }
}
