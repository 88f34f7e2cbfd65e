//! A package's `Cargo.toml`, as far as the checks ask: its name and what it depends on.

use toml::de::{DeTable, DeValue};

use crate::finding::Finding;
use crate::repository::SourceFile;

/// The packages that a package needs to be built.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) package: String,
    /// Normal and build dependencies, of every target; those of tests are free.
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's own name, whatever it is called here.
    pub(super) package: String,
    /// From 1.
    pub(super) line: usize,
}

/// Every package of the workspace; a manifest that cannot be read becomes a finding.
pub(super) fn manifests(files: &[SourceFile]) -> (Vec<Manifest>, Vec<Finding>) {
    let mut manifests = Vec::new();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        match read(file) {
            Ok(manifest) => manifests.push(manifest),
            Err(message) => findings.push(Finding::error(&file.path, 1, message)),
        }
    }
    (manifests, findings)
}

fn read(file: &SourceFile) -> Result<Manifest, String> {
    let document = DeTable::parse(&file.text).map_err(|error| {
        format!("is not TOML ({}): its dependencies are unknown: mend it", error.message())
    })?;
    let top = document.get_ref();
    let name = top.get("package").and_then(|package| string_field(package.get_ref(), "name"));
    let package = name.ok_or("has no package.name: nobody knows whose it is: add it")?;
    let mut dependencies = Vec::new();
    collect(top, &file.text, &mut dependencies);
    let targets = top.get("target").and_then(|targets| targets.get_ref().as_table());
    for target in targets.into_iter().flat_map(|targets| targets.values()) {
        if let Some(table) = target.get_ref().as_table() {
            collect(table, &file.text, &mut dependencies);
        }
    }
    Ok(Manifest { path: file.path.clone(), package: package.to_owned(), dependencies })
}

/// Adds the dependencies that a manifest's top or one of its targets lists.
fn collect(table: &DeTable<'_>, text: &str, dependencies: &mut Vec<Dependency>) {
    for kind in ["dependencies", "build-dependencies"] {
        let listed = table.get(kind).and_then(|listed| listed.get_ref().as_table());
        for (key, value) in listed.into_iter().flatten() {
            let renamed = string_field(value.get_ref(), "package");
            let package = renamed.unwrap_or(key.get_ref()).to_owned();
            let line = text[..key.span().start].matches('\n').count() + 1;
            dependencies.push(Dependency { package, line });
        }
    }
}

fn string_field<'a>(value: &'a DeValue<'_>, name: &str) -> Option<&'a str> {
    value.get(name).and_then(|field| field.get_ref().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{files, places};

    #[test]
    fn every_way_to_write_a_dependency_is_read_but_those_of_tests() {
        let text = "\
[package]
name = \"p\"
[dependencies]
a = \"1\"
b.workspace = true
c = { package = \"real-c\", version = \"1\" }
[dependencies.d]
version = \"1\"
[build-dependencies]
e = \"1\"
[target.'cfg(target_os = \"linux\")'.dependencies]
f = \"1\"
[dev-dependencies]
free = \"1\"
[target.'cfg(unix)'.dev-dependencies]
free = \"1\"
";
        let (manifests, findings) = manifests(&files(&[("p/Cargo.toml", text)]));
        assert_eq!(findings, []);
        assert_eq!(manifests[0].package, "p");
        let read: Vec<_> =
            manifests[0].dependencies.iter().map(|d| (d.package.as_str(), d.line)).collect();
        let expected = [("a", 4), ("b", 5), ("real-c", 6), ("d", 7), ("e", 10), ("f", 12)];
        assert_eq!(read, expected);
    }

    #[test]
    fn an_unreadable_manifest_is_a_finding_and_the_workspace_root_is_none() {
        let (manifests, findings) = manifests(&files(&[
            ("Cargo.toml", "[workspace]"),
            ("a/Cargo.toml", "[package"),
            ("b/Cargo.toml", "[package]\n"),
        ]));
        assert_eq!(manifests.len(), 0);
        assert_eq!(places(&findings), ["a/Cargo.toml:1", "b/Cargo.toml:1"]);
    }
}
