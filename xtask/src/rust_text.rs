//! Rust source taken apart just far enough to search it: code on one side, comments on the other.
//!
//! Not a parser. It knows comments (nested too), string, byte string, raw string and character
//! literals, and lifetimes; all that is neither code nor line break becomes a space, so that lines
//! keep their numbers.

/// A source file without the words that only look like code.
#[derive(Debug)]
pub(crate) struct RustText {
    /// The source with comments and the insides of literals blanked.
    pub(crate) code: String,
    pub(crate) comments: Vec<Comment>,
}

/// One `//` comment, or one line of a `/* */` comment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    /// From 1.
    pub(crate) line: usize,
    /// Without the comment's marks, trimmed.
    pub(crate) text: String,
}

impl RustText {
    pub(crate) fn of(source: &str) -> Self {
        let mut scanner =
            Scanner { rest: source, line: 1, code: String::new(), comments: Vec::new() };
        while scanner.step() {}
        Self { code: scanner.code, comments: scanner.comments }
    }

    /// The lines on which this word stands in code, not as a part of a longer one.
    pub(crate) fn lines_with_word<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        word_offsets(&self.code, word).map(|offset| self.line_of(offset))
    }

    /// The number of the line that holds this byte of the code.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }
}

/// Where a word stands in a text, not as a part of a longer one.
pub(crate) fn word_offsets<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(offset, _)| offset).filter(move |&offset| {
        let before = text[..offset].chars().next_back();
        let after = text[offset + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    comments: Vec<Comment>,
}

impl Scanner<'_> {
    /// Takes one comment, one literal or one character; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take_comment(length);
        } else if self.rest.starts_with("/*") {
            self.take_comment(block_comment_length(self.rest));
        } else if let Some(length) = self.literal_length(first) {
            self.blank(length);
        } else {
            let length = first.len_utf8();
            self.code.push(first);
            self.skip(length);
        }
        true
    }

    /// The length of the literal that begins here, if one does.
    fn literal_length(&self, first: char) -> Option<usize> {
        match first {
            '"' => Some(quoted_length(self.rest, '"')),
            '\'' => character_length(self.rest),
            // `r"`, `r#"`, and both with a `b` or `c` before. No word of Rust ends right before a
            // quote or `#"`, so the letters need not be the first of theirs.
            'r' | 'b' | 'c' => {
                let raw = self.rest.strip_prefix(['b', 'c']).unwrap_or(self.rest);
                let prefix = self.rest.len() - raw.len() + 1;
                raw_length(raw.strip_prefix('r')?).map(|length| prefix + length)
            }
            _ => None,
        }
    }

    fn take_comment(&mut self, length: usize) {
        for (number, text) in self.rest[..length].lines().enumerate() {
            let text = text.trim().trim_start_matches(['/', '!', '*']).trim_end_matches("*/");
            let text = text.trim().to_owned();
            self.comments.push(Comment { line: self.line + number, text });
        }
        self.blank(length);
    }

    /// Leaves out the next bytes of the source but for their line breaks.
    fn blank(&mut self, length: usize) {
        let breaks = |c| if c == '\n' { '\n' } else { ' ' };
        self.code.extend(self.rest[..length].chars().map(breaks));
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of the block comment at the start of a text, with those nested in it.
fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut offset = 0;
    while offset < text.len() {
        let here = &text[offset..];
        if here.starts_with("/*") {
            depth += 1;
            offset += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            offset += 2;
            if depth == 0 {
                break;
            }
        } else {
            offset += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    offset
}

/// The length of the literal at the start of a text, from its quote to the next unescaped one.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return offset + 1;
        }
    }
    text.len()
}

/// The length of the character literal at the start of a text; none when it is a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    let (offset, second) = characters.next()?;
    if first == '\\' {
        Some(quoted_length(text, '\''))
    } else if second == '\'' {
        Some(offset + 1)
    } else {
        None
    }
}

/// The length of what follows the `r` of a raw string; none when no raw string follows.
fn raw_length(text: &str) -> Option<usize> {
    let body = text.trim_start_matches('#');
    let hashes = text.len() - body.len();
    let inside = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |offset| offset + end.len());
    Some(hashes + 1 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_code(source: &str, expected: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = RustText::of(source);
        assert_eq!(words(&text.code), expected, "{source}");
        assert_eq!(text.code.matches('\n').count(), source.matches('\n').count(), "{source}");
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert_code("a // b\nc", "a c");
        assert_code("a /* b /* c */ d\n */ e", "a e");
        assert_code("a \"b // c\" d", "a d");
        assert_code(r#"a "b\" c" d"#, "a d");
        assert_code("a r\"b\\\" c", "a c");
        assert_code("a r#\"b \" c\"# d", "a d");
        assert_code("a br##\"b \"# c\"## d", "a d");
        assert_code("a b\"c\" d", "a b d");
        assert_code("a '\"' b '\\'' c '/' d", "a b c d");
        assert_code("a 'é' b", "a b");
    }

    #[test]
    fn lifetimes_raw_identifiers_and_words_with_an_r_are_code() {
        assert_code("fn f<'a>(x: &'a str) // b", "fn f<'a>(x: &'a str)");
        assert_code("r#type + for_r", "r#type + for_r");
        assert_code("br + bb + car", "br + bb + car");
    }

    #[test]
    fn unfinished_literals_and_comments_end_with_the_file() {
        for source in ["a \"b", "a r#\"b", "a /* b", "a '\\", "a '", "a // b"] {
            assert_eq!(RustText::of(source).code.len(), source.len(), "{source}");
        }
    }

    #[test]
    fn comments_know_their_lines() {
        let text = RustText::of("x\n/// One.\n/* Two\n * three */ \"// four\" // Five\n");
        let comments: Vec<_> = text.comments.iter().map(|c| (c.line, c.text.as_str())).collect();
        assert_eq!(comments, [(2, "One."), (3, "Two"), (4, "three"), (4, "Five")]);
    }

    #[test]
    fn a_word_is_found_whole_and_in_code_only() {
        let text =
            RustText::of("// rand\nlet random = rand;\nrand_core strand _rand \"rand\" (rand::x)");
        assert_eq!(text.lines_with_word("rand").collect::<Vec<_>>(), [2, 3]);
    }
}
