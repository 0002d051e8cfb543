//! One wildcard pattern, compiled → whether it matches a text, in O(pattern × text) steps.
//!
//! The dialect is rsync's: `*` and `?` and sets stop at `/`, `**` does not. A pattern is a row of [`Token`]s;
//! matching moves a set of positions in that row along the text (Thompson, "Regular Expression Search
//! Algorithm", CACM 1968), so that no pattern can make it backtrack.

/// One element of a compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`: any byte but a slash.
    Any,
    /// `[…]`: any of these bytes; a slash is never among them.
    Set(Box<[u64; 4]>),
    /// `*`: any bytes but slashes.
    Star,
    /// `**`: any bytes.
    Stars,
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Byte(own) => *own == byte,
            Token::Any | Token::Star => byte != b'/',
            Token::Set(set) => set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1,
            Token::Stars => true,
        }
    }

    fn is_star(&self) -> bool {
        matches!(self, Token::Star | Token::Stars)
    }
}

/// Where in the text a match may begin. It always ends where the text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the first byte only.
    First,
    /// At the first byte and behind every slash.
    AnyComponent,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    /// `None` for a pattern that is broken (an open set, a lone backslash) and so matches nothing.
    tokens: Option<Vec<Token>>,
}

impl Glob {
    /// Compiles a pattern in which wildcards and backslashes are special.
    pub(super) fn new(pattern: &[u8]) -> Glob {
        Glob { tokens: tokenize(pattern) }
    }

    /// Compiles a pattern in which every byte stands for itself.
    pub(super) fn literal(pattern: &[u8]) -> Glob {
        Glob { tokens: Some(pattern.iter().copied().map(Token::Byte).collect()) }
    }

    /// Whether the pattern matches `text` from `start` to its end.
    pub(super) fn matches(&self, text: &[u8], start: Start) -> bool {
        let Some(tokens) = &self.tokens else { return false };
        // Positions reached so far, ascending and without duplicates, because each is reached in order.
        let (mut here, mut next) = (Vec::new(), Vec::new());
        reach(tokens, &mut here, 0);
        for &byte in text {
            if here.is_empty() && start == Start::First {
                return false;
            }
            next.clear();
            if start == Start::AnyComponent && byte == b'/' {
                reach(tokens, &mut next, 0);
            }
            for &position in &here {
                if let Some(token) = tokens.get(position).filter(|token| token.takes(byte)) {
                    reach(tokens, &mut next, if token.is_star() { position } else { position + 1 });
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        here.last() == Some(&tokens.len())
    }
}

/// Adds a position, and the one behind it where a star may match nothing.
fn reach(tokens: &[Token], positions: &mut Vec<usize>, position: usize) {
    let mut add = |position| {
        if positions.last().is_none_or(|&last| last < position) {
            positions.push(position);
        }
    };
    add(position);
    // Two stars never stand side by side, so one step is enough.
    if tokens.get(position).is_some_and(Token::is_star) {
        add(position + 1);
    }
}

fn tokenize(pattern: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let [first, behind @ ..] = rest {
        rest = behind;
        tokens.push(match first {
            b'?' => Token::Any,
            b'*' => {
                let more = rest.iter().take_while(|&&byte| byte == b'*').count();
                rest = &rest[more..];
                if more == 0 { Token::Star } else { Token::Stars }
            }
            b'\\' => {
                let (byte, behind) = rest.split_first()?;
                rest = behind;
                Token::Byte(*byte)
            }
            b'[' => Token::Set(Box::new(parse_set(&mut rest)?)),
            &byte => Token::Byte(byte),
        });
    }
    Some(tokens)
}

/// Reads a set up to and with its `]`; `None` if there is none, or a class is not known.
fn parse_set(rest: &mut &[u8]) -> Option<[u64; 4]> {
    let mut set = [0_u64; 4];
    let mut add = |byte: u8| set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    let mut take = || {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        Some((*byte, behind))
    };
    let (mut byte, mut behind) = take()?;
    let is_negated = matches!(byte, b'!' | b'^');
    if is_negated {
        (byte, behind) = take()?;
    }
    // The byte that a following '-' makes the low end of a range.
    let mut low = None;
    loop {
        low = match byte {
            b'\\' => {
                byte = take()?.0;
                add(byte);
                Some(byte)
            }
            b'-' if low.is_some() && behind.first().is_some_and(|&next| next != b']') => {
                byte = take()?.0;
                if byte == b'\\' {
                    byte = take()?.0;
                }
                (low.unwrap_or(byte)..=byte).for_each(&mut add);
                None
            }
            b'[' if behind.first() == Some(&b':') => {
                let name_end = behind.iter().position(|&byte| byte == b']')?;
                match behind[1..name_end].split_last() {
                    Some((b':', class)) => {
                        let is_member = posix_class(class)?;
                        (0..=u8::MAX).filter(|&byte| is_member(byte)).for_each(&mut add);
                        for _ in 0..=name_end {
                            take()?;
                        }
                        None
                    }
                    // Not a class after all: a bracket among others.
                    _ => {
                        add(byte);
                        Some(byte)
                    }
                }
            }
            _ => {
                add(byte);
                Some(byte)
            }
        };
        (byte, behind) = take()?;
        if byte == b']' {
            break;
        }
    }
    if is_negated {
        set = set.map(|word| !word);
    }
    set[usize::from(b'/' >> 6)] &= !(1 << (b'/' & 63));
    Some(set)
}

fn posix_class(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        b"punct" => |byte| byte.is_ascii_punctuation(),
        // C's isspace has the vertical tab, Rust's does not.
        b"space" => |byte| byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    })
}
