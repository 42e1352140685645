//! Rust text to the few tokens that paths are made of; comments, strings and characters are left out.

/// A token and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// What a path can be made of; all other text is punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    /// `::`
    Join,
    Mark(char),
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Join | Kind::Mark(_) => None,
        }
    }

    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Splits the text of a file that compiles; what it makes of other text does not matter.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut tokens = Vec::new();
    while let Some(first) = reader.rest.chars().next() {
        let line = reader.line;
        let kind = match first {
            _ if reader.skip_silent() => continue,
            _ if is_word_part(first) => Kind::Word(reader.take_word()),
            ':' if reader.rest.starts_with("::") => {
                reader.advance(2);
                Kind::Join
            }
            mark => {
                reader.advance(mark.len_utf8());
                Kind::Mark(mark)
            }
        };
        tokens.push(Token { kind, line });
    }
    tokens
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn advance(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes);
        self.line += gone.matches('\n').count();
        self.rest = rest;
    }

    /// Skips one piece of white space, comment, string, character or lifetime, if one comes next.
    fn skip_silent(&mut self) -> bool {
        let rest = self.rest;
        let bytes = if rest.starts_with(char::is_whitespace) {
            rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(bytes) = raw_string(rest) {
            bytes
        } else if let Some(prefix) = ["\"", "b\"", "c\""].iter().find(|prefix| rest.starts_with(**prefix)) {
            prefix.len() + quoted(&rest[prefix.len()..], '"')
        } else if let Some(body) = rest.strip_prefix("b'") {
            2 + quoted(body, '\'')
        } else if rest.starts_with('\'') {
            character_or_lifetime(rest)
        } else {
            return false;
        };
        self.advance(bytes);
        true
    }

    fn take_word(&mut self) -> String {
        // `r#type` is the word `type`.
        if self.rest.starts_with("r#") {
            self.advance(2);
        }
        let end = self.rest.find(|c: char| !is_word_part(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.advance(end);
        word
    }
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else if let Some(c) = rest.chars().next() {
            at += c.len_utf8();
        }
        if depth == 0 || at >= text.len() {
            return at;
        }
    }
}

fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].iter().find(|prefix| text.starts_with(**prefix))?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

fn quoted(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == end => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut following = text[1..].chars();
    match (following.next(), following.next()) {
        (Some('\\'), _) => 1 + quoted(&text[1..], '\''),
        (Some(c), Some('\'')) => 1 + c.len_utf8() + 1,
        (Some(_) | None, _) => 1 + text[1..].find(|c: char| !is_word_part(c)).unwrap_or(text.len() - 1),
    }
}

#[test]
fn comments_strings_characters_and_lifetimes_are_no_words() {
    let text = r###"
        // crate::a
        /* crate::b /* crate::c */ crate::d */
        const A: &'static str = "crate::e \" crate::f";
        const B: &[u8] = br#"crate::g " crate::h"#;
        const C: [char; 3] = ['"', '\'', 'x'];
        const D: u8 = b'\'';
        fn r#type<'a>(x: &'a str) {}
        use crate::kept;
    "###;
    let tokens = tokens(text);
    let words: Vec<&str> = tokens.iter().filter_map(Token::word).collect();
    let expect = [
        "const", "A", "str", "const", "B", "u8", "const", "C", "char", "3", "const", "D", "u8", "fn", "type",
        "x", "str", "use", "crate", "kept",
    ];
    assert_eq!(words, expect);
    assert_eq!(tokens.last().map(|token| token.line), Some(9));
}
