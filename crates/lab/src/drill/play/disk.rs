//! The files that a script's commands make, for its sendfile to send. They are all zeros, so only
//! their lengths are kept; no file of the real host is read, made or removed.

use std::collections::BTreeMap;

/// Runs `rm`, `touch`, `dd` or `truncate`. `None` for a use that is not known.
pub(super) fn command(name: &str, words: &[&str], files: &mut BTreeMap<String, u64>) -> Option<()> {
    match (name, words) {
        ("rm", words) => {
            for word in words {
                match *word {
                    "-f" => {}
                    option if option.starts_with('-') => return None,
                    path => drop(files.remove(path)),
                }
            }
        }
        ("touch", [path]) => {
            files.entry((*path).to_owned()).or_default();
        }
        ("truncate", ["-s", size, path]) => {
            files.insert((*path).to_owned(), bytes(size)?);
        }
        ("dd", words) => {
            let (path, len) = dd(words)?;
            files.insert(path, len);
        }
        _ => return None,
    }
    Some(())
}

/// The file that `dd bs=N count=N if=/dev/zero of=PATH` makes.
fn dd(words: &[&str]) -> Option<(String, u64)> {
    let (mut block, mut count, mut input, mut output) = (512, None, None, None);
    for word in words {
        match word.split_once('=')? {
            ("bs", size) => block = bytes(size)?,
            ("count", number) => count = Some(bytes(number)?),
            ("if", path) => input = Some(path),
            ("of", path) => output = Some(path),
            ("status", _) => {}
            _ => return None,
        }
    }
    let len = block.checked_mul(count?)?;
    (input? == "/dev/zero").then_some((output?.to_owned(), len))
}

/// A size as dd and truncate take it, `64K` or `1M` among them.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
