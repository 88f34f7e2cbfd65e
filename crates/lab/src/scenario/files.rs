//! The scenarios that ship, built in from `crates/lab/scenarios`.

use super::Scenario;

/// Name and text of each, in the order in which a list shows them.
pub const SHIPPED: &[(&str, &str)] = &[
    ("lan", include_str!("../../scenarios/lan.toml")),
    ("wan", include_str!("../../scenarios/wan.toml")),
    ("satellite", include_str!("../../scenarios/satellite.toml")),
    ("loss-1", include_str!("../../scenarios/loss-1.toml")),
    ("loss-2", include_str!("../../scenarios/loss-2.toml")),
    ("loss-5", include_str!("../../scenarios/loss-5.toml")),
    ("wifi", include_str!("../../scenarios/wifi.toml")),
    ("reorder", include_str!("../../scenarios/reorder.toml")),
    ("ack-loss", include_str!("../../scenarios/ack-loss.toml")),
    ("shallow", include_str!("../../scenarios/shallow.toml")),
    ("deep", include_str!("../../scenarios/deep.toml")),
    ("policer", include_str!("../../scenarios/policer.toml")),
    ("outage-3s", include_str!("../../scenarios/outage-3s.toml")),
    ("outage-60s", include_str!("../../scenarios/outage-60s.toml")),
    ("two-same", include_str!("../../scenarios/two-same.toml")),
    ("two-different", include_str!("../../scenarios/two-different.toml")),
    ("incast", include_str!("../../scenarios/incast.toml")),
    ("mixed", include_str!("../../scenarios/mixed.toml")),
];

/// The shipped scenario of that name.
pub fn shipped(name: &str) -> Option<Scenario> {
    let (name, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
    Some(Scenario::parse(&format!("{name}.toml"), text).expect("the tests read every one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_reads_and_none_has_the_name_of_another() {
        for (name, text) in SHIPPED {
            let scenario = Scenario::parse(&format!("{name}.toml"), text).unwrap();
            assert_eq!(scenario.name, *name);
            assert_eq!(SHIPPED.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
            assert!(scenario.ceiling.is_some(), "{name}");
        }
    }

    #[test]
    fn every_file_of_the_folder_ships() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let there = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(there, SHIPPED.len());
    }
}
