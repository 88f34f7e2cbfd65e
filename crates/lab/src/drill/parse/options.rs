//! The options of a segment, and whether a header could hold them.

use super::super::ast::{Direction, Options, TcpOption};
use super::super::lex::{Kind, Token};
use super::{ParseError, Parser, Result};

/// What a TCP header has room for (RFC 9293 section 3.1: a data offset of at most 15 words).
const MAX_OPTIONS_BYTES: usize = 40;

impl Parser {
    pub(super) fn options(&mut self, direction: Direction) -> Result<Options> {
        let line = self.take().line;
        if self.peek().kind == Kind::Ellipsis {
            let ellipsis = self.take();
            if direction == Direction::Inbound {
                let message = "<...> is for outbound packets: which options are to be sent?";
                return Err(ParseError::new(ellipsis.line, message));
            }
            self.symbol(">", "after the options")?;
            return Ok(Options::Any);
        }
        let mut options = Vec::new();
        if !self.at_symbol(">") {
            loop {
                options.push(self.option()?);
                if !self.skip_symbol(",") {
                    break;
                }
            }
        }
        self.symbol(">", "or ',' after an option")?;
        let bytes: usize = options.iter().map(length).sum();
        if !bytes.is_multiple_of(4) || bytes > MAX_OPTIONS_BYTES {
            let message = format!(
                "these options are {bytes} bytes long: expected a multiple of 4, at most \
                 {MAX_OPTIONS_BYTES}"
            );
            return Err(ParseError::new(line, message));
        }
        Ok(Options::List(options))
    }

    fn option(&mut self) -> Result<TcpOption> {
        let line = self.peek().line;
        let name = self.word("a TCP option")?;
        Ok(match name.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::Eol,
            "mss" => TcpOption::Mss(self.number("mss")?),
            "wscale" => TcpOption::WindowScale(self.number("wscale")?),
            "sackOK" => TcpOption::SackPermitted,
            "sack" => TcpOption::Sack(self.sack_blocks()?),
            "TS" => TcpOption::Timestamps { val: self.named("val")?, ecr: self.named("ecr")? },
            "FO" => TcpOption::FastOpen(self.bytes("a fast open cookie")?),
            "FOEXP" => TcpOption::FastOpenExperimental(self.bytes("a fast open cookie")?),
            "md5" => TcpOption::Md5(self.bytes("an MD5 digest")?),
            "ECN" => self.accurate_ecn()?,
            _ => {
                let message = format!(
                    "'{name}' is no TCP option: expected mss, wscale, sackOK, sack, TS, nop, eol, \
                     FO, FOEXP, md5 or ECN"
                );
                return Err(ParseError::new(line, message));
            }
        })
    }

    fn named(&mut self, name: &str) -> Result<u32> {
        match self.number_after(name)? {
            Some(number) => Ok(number),
            None => Err(self.expected(format!("{name} and a number"))),
        }
    }

    /// `L:R L:R ...`: one to four, which is what a header without other options holds.
    fn sack_blocks(&mut self) -> Result<Vec<(u32, u32)>> {
        let line = self.peek().line;
        let mut blocks = Vec::new();
        loop {
            let left = self.number("the left edge of a SACK block")?;
            self.symbol(":", "between the edges of a SACK block")?;
            blocks.push((left, self.number("the right edge of a SACK block")?));
            if self.peek().kind != Kind::Integer {
                break;
            }
        }
        if blocks.len() > 4 {
            let message = format!("a SACK option has at most 4 blocks, not {}", blocks.len());
            return Err(ParseError::new(line, message));
        }
        Ok(blocks)
    }

    /// Hexadecimal digits, in pairs; possibly none.
    fn bytes(&mut self, what: &str) -> Result<Vec<u8>> {
        if !matches!(self.peek().kind, Kind::Word | Kind::Integer) {
            return Ok(Vec::new());
        }
        let Token { text, line, .. } = self.take();
        let pairs = text.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs
            .map(|pair| match *pair {
                [high, low] => {
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
                }
                _ => None,
            })
            .collect();
        bytes.ok_or_else(|| {
            let message = format!("'{text}' is not {what}: expected hexadecimal digits in pairs");
            ParseError::new(line, message)
        })
    }

    /// `e0b N ceb N e1b N` or the other way round; the last ones may be absent.
    fn accurate_ecn(&mut self) -> Result<TcpOption> {
        let e1b_first = self.at_word("e1b");
        let order = if e1b_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
        let mut counters = Vec::new();
        for name in order {
            let line = self.peek().line;
            let Some(counter) = self.number_after::<u32>(name)? else { break };
            if counter > 0xff_ffff {
                let message = format!("{counter} does not fit into the 24 bits of {name}");
                return Err(ParseError::new(line, message));
            }
            counters.push(counter);
        }
        Ok(TcpOption::AccEcn { e1b_first, counters })
    }
}

/// Bytes in the header.
fn length(option: &TcpOption) -> usize {
    match option {
        TcpOption::Nop | TcpOption::Eol => 1,
        TcpOption::Mss(_) => 4,
        TcpOption::WindowScale(_) => 3,
        TcpOption::SackPermitted => 2,
        TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
        TcpOption::Timestamps { .. } => 10,
        TcpOption::FastOpen(bytes) | TcpOption::Md5(bytes) => 2 + bytes.len(),
        TcpOption::FastOpenExperimental(cookie) => 4 + cookie.len(),
        TcpOption::AccEcn { counters, .. } => 2 + 3 * counters.len(),
    }
}
