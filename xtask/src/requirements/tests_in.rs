//! The test functions of a Rust file, by the names that libtest prints, and which of them a line
//! of the file belongs to.
//!
//! Text again, not a parser: functions, modules and attributes are found in the code that
//! `RustText` leaves, which is enough for the shapes that rustfmt writes.

use std::ops::Range;

use crate::repository::{SourceFile, with_extension};
use crate::rust_text::{RustText, word_offsets};

/// A test, by the file that it stands in and the name that libtest prints for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestName {
    pub(crate) path: String,
    /// With the modules before it: `recv::window::tests::the_right_edge_stays`.
    pub(crate) name: String,
}

impl TestName {
    /// The name of the function alone.
    pub(crate) fn function(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or(&self.name)
    }
}

/// Every test function of a checkout.
pub(crate) fn tests_of(files: &[SourceFile]) -> Vec<TestName> {
    let tests = |file: &SourceFile| TestsIn::of(&file.path, &RustText::of(&file.text)).names();
    with_extension(files, "rs").flat_map(tests).collect()
}

/// The functions of one file.
#[derive(Debug)]
pub(super) struct TestsIn {
    path: String,
    code: String,
    items: Vec<Item>,
    modules: Vec<(String, Range<usize>)>,
}

/// A function, a constant or a static.
#[derive(Debug)]
struct Item {
    name: String,
    is_test: bool,
    /// Where its keyword stands.
    start: usize,
    /// From the brace that opens its body to the one that closes it; empty without a body.
    body: Range<usize>,
}

impl TestsIn {
    pub(super) fn of(path: &str, text: &RustText) -> Self {
        let code = text.code.clone();
        let modules = word_offsets(&code, "mod")
            .filter_map(|start| {
                let name = word_after(&code, start + "mod".len())?;
                let body = body_from(&code, start)?;
                Some((name.to_owned(), body))
            })
            .collect();
        let mut items: Vec<Item> = ["fn", "const", "static"]
            .into_iter()
            .flat_map(|keyword| word_offsets(&code, keyword).map(move |at| (keyword, at)))
            .filter_map(|(keyword, start)| Item::at(&code, keyword, start))
            .collect();
        items.sort_by_key(|item| item.start);
        Self { path: path.to_owned(), code, items, modules }
    }

    /// Every test of the file.
    pub(super) fn names(&self) -> Vec<TestName> {
        self.items.iter().filter(|item| item.is_test).map(|item| self.name_of(item)).collect()
    }

    /// The tests that a comment on this line speaks for: the one around it, else the one that
    /// follows; where that is a table or a helper, every test that names it.
    pub(super) fn shown_by(&self, line: usize) -> Vec<TestName> {
        let before: usize = self.code.split_inclusive('\n').take(line).map(str::len).sum();
        // The outermost function around it, else the next item.
        let around = self.items.iter().find(|item| item.body.contains(&before));
        let Some(item) = around.or_else(|| self.items.iter().find(|item| item.start >= before))
        else {
            return Vec::new();
        };
        if item.is_test {
            return vec![self.name_of(item)];
        }
        let uses = |test: &&Item| {
            test.is_test && word_offsets(&self.code[test.body.clone()], &item.name).next().is_some()
        };
        self.items.iter().filter(uses).map(|test| self.name_of(test)).collect()
    }

    fn name_of(&self, item: &Item) -> TestName {
        let mut parts = file_modules(&self.path);
        let around = self.modules.iter().filter(|(_, body)| body.contains(&item.start));
        parts.extend(around.map(|(name, _)| name.as_str()));
        parts.push(&item.name);
        TestName { path: self.path.clone(), name: parts.join("::") }
    }
}

impl Item {
    /// The item whose keyword stands here; none for `const fn`, `*const`, and types like `fn(u8)`.
    fn at(code: &str, keyword: &str, start: usize) -> Option<Self> {
        let name = word_after(code, start + keyword.len())?;
        if name == "fn" {
            return None;
        }
        let is_function = keyword == "fn";
        Some(Self {
            name: name.to_owned(),
            is_test: is_function && has_test_attribute(&code[..start]),
            start,
            body: if is_function {
                body_from(code, start).unwrap_or(start..start)
            } else {
                start..start
            },
        })
    }
}

/// The word that follows after nothing but spaces.
fn word_after(code: &str, offset: usize) -> Option<&str> {
    let rest = code[offset..].trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// The next block in braces, unless a semicolon outside of brackets comes before it.
fn body_from(code: &str, start: usize) -> Option<Range<usize>> {
    let mut brackets = 0_usize;
    let mut open = None;
    for (offset, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 => return None,
            '{' if brackets == 0 => {
                open = Some(start + offset);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let mut depth = 0_usize;
    for (offset, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open..open + offset);
        }
    }
    Some(open..code.len())
}

/// Whether the attributes that this code ends with have `#[test]` or `#[tokio::test(...)]`.
fn has_test_attribute(code: &str) -> bool {
    let mut rest = code.trim_end();
    loop {
        let modifier = ["pub", "async", "unsafe", "pub(crate)", "pub(super)"]
            .into_iter()
            .find_map(|word| rest.strip_suffix(word));
        if let Some(before) = modifier {
            rest = before.trim_end();
            continue;
        }
        if !rest.ends_with(']') {
            return false;
        }
        let Some(start) = attribute_start(rest) else { return false };
        let inside = rest[start..].trim_start_matches(['#', '[']).trim_end_matches(']');
        let named = inside.split('(').next().unwrap_or_default().trim();
        if named == "test" || named.ends_with("::test") {
            return true;
        }
        rest = rest[..start].trim_end();
    }
}

/// Where the attribute starts that this code ends with.
fn attribute_start(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, c) in code.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return offset.checked_sub(1).filter(|&start| code[start..].starts_with('#'));
        }
    }
    None
}

/// The modules that a file is, from the root of its crate: `src/recv/window.rs` is
/// `recv::window`, a file directly in `tests` is a root itself.
fn file_modules(path: &str) -> Vec<&str> {
    let Some(path) = path.strip_suffix(".rs") else { return Vec::new() };
    let parts: Vec<&str> = path.split('/').collect();
    let Some(root) = parts.iter().position(|part| ["src", "tests"].contains(part)) else {
        return Vec::new();
    };
    let inside = &parts[root + 1..];
    // `tests/wire/ip.rs` is a module of the program `tests/wire/main.rs`, and a file in `src/bin`
    // or directly in `tests` is a program.
    let inside = match (parts[root], inside) {
        ("tests", [_, modules @ ..]) => modules,
        ("src", ["bin", _, modules @ ..]) => modules,
        (_, modules) => modules,
    };
    let is_name = |part: &&&str| !["lib", "main", "mod"].contains(*part);
    inside.iter().filter(is_name).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tests: &[TestName]) -> Vec<&str> {
        tests.iter().map(|test| test.name.as_str()).collect()
    }

    fn tests_in(path: &str, source: &str) -> TestsIn {
        TestsIn::of(path, &RustText::of(source))
    }

    #[test]
    fn tests_are_named_as_libtest_names_them() {
        let source = "fn helper() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() {}\n    \
                      mod inner {\n        #[tokio::test(flavor = \"x\", a = [1])]\n        \
                      #[should_panic]\n        async fn two() {}\n    }\n    fn no() {}\n}\n\
                      #[test]\nfn three() {}\n";
        for (path, expected) in [
            ("a/src/lib.rs", ["tests::one", "tests::inner::two", "three"]),
            ("a/src/b.rs", ["b::tests::one", "b::tests::inner::two", "b::three"]),
            ("a/src/b/mod.rs", ["b::tests::one", "b::tests::inner::two", "b::three"]),
            ("a/src/b/c.rs", ["b::c::tests::one", "b::c::tests::inner::two", "b::c::three"]),
            ("a/tests/b.rs", ["tests::one", "tests::inner::two", "three"]),
            ("a/tests/b/main.rs", ["tests::one", "tests::inner::two", "three"]),
            ("a/tests/b/c.rs", ["c::tests::one", "c::tests::inner::two", "c::three"]),
            ("a/src/bin/b.rs", ["tests::one", "tests::inner::two", "three"]),
        ] {
            assert_eq!(names(&tests_in(path, source).names()), expected, "{path}");
        }
    }

    #[test]
    fn properties_are_tests() {
        let source = "proptest! {\n    #[test]\n    fn holds(x in 0..4_u8) {\n    }\n}\n";
        assert_eq!(names(&tests_in("a/tests/b.rs", source).names()), ["holds"]);
    }

    #[test]
    fn a_line_belongs_to_the_test_around_it_or_after_it() {
        let source = "#[test]\nfn one() {\n    // here\n    const N: u8 = 1;\n}\n\n// here\n\
                      #[test]\nfn two() {}\n// here\n";
        let tests = tests_in("a/tests/b.rs", source);
        assert_eq!(names(&tests.shown_by(3)), ["one"]);
        assert_eq!(names(&tests.shown_by(7)), ["two"]);
        assert_eq!(names(&tests.shown_by(10)), [""; 0]);
    }

    #[test]
    fn a_line_above_a_table_or_a_helper_belongs_to_the_tests_that_name_it() {
        let source = "// here\nconst ROWS: [u8; 1] = [1];\n// here\nfn judge(a: [u8; 4]) {}\n\
                      #[test]\nfn one() { judge(ROWS) }\n#[test]\nfn two() { judge(ROWS_2) }\n";
        let tests = tests_in("a/tests/b.rs", source);
        assert_eq!(names(&tests.shown_by(1)), ["one"]);
        assert_eq!(names(&tests.shown_by(3)), ["one", "two"]);
    }

    #[test]
    fn pointers_function_types_and_constant_functions_are_not_items_of_their_own() {
        let source = "// here\ntype F = fn(u8);\nconst fn helper(x: *const u8) {}\n\
                      #[test]\nfn one() { helper(x) }\n";
        assert_eq!(names(&tests_in("a/tests/b.rs", source).shown_by(1)), ["one"]);
    }
}
