//! Imports between our crates point one way: the table below, the same as in
//! docs/architecture.md. Tests may look anywhere, so dev-dependencies are free.

use crate::finding::Finding;
use crate::repository::SourceFile;
use crate::tidy::manifest::{Manifest, manifests};

/// What each package of the workspace may depend on, of our own.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("towpath-wire", &[]),
    ("towpath-netem", &[]),
    ("towpath-engine", &["towpath-wire"]),
    ("towpath-device", &["towpath-netem"]),
    ("towpath", &["towpath-engine", "towpath-wire", "towpath-device"]),
    ("towpath-lab", &["towpath-engine", "towpath-wire", "towpath-netem"]),
    ("towpath-cli", &["towpath", "towpath-lab", "towpath-device"]),
    ("towpath-integration", &["towpath", "towpath-device", "towpath-netem", "towpath-wire"]),
    ("xtask", &[]),
];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let (manifests, mut findings) = manifests(files);
    findings.extend(manifests.iter().flat_map(check_manifest));
    findings
}

fn check_manifest(manifest: &Manifest) -> Vec<Finding> {
    let Some(allowed) = allowed_for(&manifest.package) else {
        let message = format!(
            "the package {} has no place in the table of directions: whom may it import? add it \
             to xtask/src/tidy/direction.rs and docs/architecture.md",
            manifest.package
        );
        return vec![Finding::error(&manifest.path, 1, message)];
    };
    let ours = manifest.dependencies.iter().filter(|dependency| is_ours(&dependency.package));
    let wrong = ours.filter(|dependency| !allowed.contains(&dependency.package.as_str()));
    let finding = |dependency: &super::manifest::Dependency| {
        let message = format!(
            "{} depends on {}, against the direction of imports ({}): move what is needed, or \
             make it a dev-dependency when only tests use it",
            manifest.package,
            dependency.package,
            if allowed.is_empty() {
                "it may import none of ours".to_owned()
            } else {
                format!("it may import {}", allowed.join(", "))
            },
        );
        Finding::error(&manifest.path, dependency.line, message)
    };
    wrong.map(finding).collect()
}

fn allowed_for(package: &str) -> Option<&'static [&'static str]> {
    MAY_DEPEND_ON.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed)
}

fn is_ours(package: &str) -> bool {
    allowed_for(package).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    fn check_one(package: &str, lists: &str) -> Vec<Finding> {
        check(&files(&[("c/Cargo.toml", &format!("[package]\nname = \"{package}\"\n{lists}"))]))
    }

    #[test]
    fn the_allowed_direction_passes() {
        let lists = "[dependencies]\ntowpath-wire.workspace = true\ntracing = \"0.1\"\n\
                     [dev-dependencies]\ntowpath-lab.workspace = true\n";
        assert_eq!(check_one("towpath-engine", lists), []);
    }

    #[test]
    fn the_other_direction_is_found_on_its_line() {
        for (package, dependency) in [
            ("towpath-wire", "towpath-engine.workspace = true"),
            ("towpath-engine", "towpath.workspace = true"),
            ("towpath-engine", "e = { package = \"towpath-netem\", path = \"x\" }"),
            ("towpath-device", "towpath-wire.workspace = true"),
            ("towpath", "towpath-netem.workspace = true"),
            ("xtask", "towpath-wire.workspace = true"),
        ] {
            let found = check_one(package, &format!("[dependencies]\n{dependency}\n"));
            assert_eq!(places(&found), ["c/Cargo.toml:4"], "{package}: {dependency}");
        }
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        assert_eq!(places(&check_one("towpath-misc", "")), ["c/Cargo.toml:1"]);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // A package may only import packages that stand before it.
        for (index, (package, allowed)) in MAY_DEPEND_ON.iter().enumerate() {
            for dependency in *allowed {
                let earlier = &MAY_DEPEND_ON[..index];
                assert!(
                    earlier.iter().any(|(name, _)| name == dependency),
                    "{package} imports {dependency}"
                );
            }
        }
    }
}
