//! The paths that a file uses: `use` trees spread out, `super::` and `self::` resolved, test code left out.

use super::tokens::{Kind, Token, tokens};

/// A path as the file means it: it begins with `crate` if it leads into the own crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsedPath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// What one file uses, and which of its child modules are test code in files of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) paths: Vec<UsedPath>,
    pub(super) test_modules: Vec<String>,
}

/// Reads the uses of the file that is the module `module` (empty for `lib.rs`).
pub(super) fn uses(module: &[String], text: &str) -> Uses {
    let tokens = tokens(text);
    let mut walk = Walk { tokens: &tokens, at: 0, module: module.to_vec(), uses: Uses::default() };
    walk.block();
    walk.uses
}

/// The words before an item that can be followed by a block; a test-only field or expression has none of them.
const ITEM_WORDS: [&str; 15] = [
    "async", "const", "enum", "extern", "fn", "impl", "let", "mod", "pub", "static", "struct", "trait",
    "type", "unsafe", "use",
];

struct Walk<'a> {
    tokens: &'a [Token],
    at: usize,
    module: Vec<String>,
    uses: Uses,
}

impl Walk<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn next_is(&self, ahead: usize, mark: char) -> bool {
        self.peek(ahead).is_some_and(|token| token.is(mark))
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        self.peek(ahead).and_then(Token::word)
    }

    /// Walks to the brace that closes the current block, or to the end of the file.
    fn block(&mut self) {
        while let Some(token) = self.peek(0) {
            if token.is('}') {
                self.at += 1;
                return;
            } else if token.is('{') {
                self.at += 1;
                self.block();
            } else if token.is('#') {
                self.attribute();
            } else if self.word(0) == Some("mod") && self.word(1).is_some() && self.next_is(2, '{') {
                let name = self.word(1).unwrap_or_default().to_owned();
                self.module.push(name);
                self.at += 3;
                self.block();
                self.module.pop();
            } else if self.word(0) == Some("use") {
                self.at += 1;
                self.tree(&[]);
            } else if self.word(0).is_some() {
                self.inline_path();
            } else {
                self.at += 1;
            }
        }
    }

    /// Steps over an attribute, and over the item behind it if it is there for tests only.
    fn attribute(&mut self) {
        let inner = self.next_is(1, '!');
        self.at += 1 + usize::from(inner);
        let start = self.at;
        self.group('[', ']');
        let words: Vec<&str> = self.tokens[start..self.at].iter().filter_map(Token::word).collect();
        let for_tests =
            words == ["test"] || matches!(words[..], ["cfg", "test"] | ["cfg", "all", "test", ..]);
        if for_tests && inner {
            self.at = self.tokens.len();
        } else if for_tests {
            self.test_item();
        }
    }

    fn test_item(&mut self) {
        while self.next_is(0, '#') {
            self.at += 1;
            self.group('[', ']');
        }
        let is_item = self.word(0).is_some_and(|word| ITEM_WORDS.contains(&word));
        while let Some(kind) = self.peek(0).map(|token| token.kind.clone()) {
            if self.word(0) == Some("mod") && self.next_is(2, ';') {
                let name = self.word(1).unwrap_or_default().to_owned();
                self.uses.test_modules.push(name);
            }
            match kind {
                Kind::Mark('{') => {
                    self.group('{', '}');
                    return;
                }
                Kind::Mark('(') => self.group('(', ')'),
                Kind::Mark('[') => self.group('[', ']'),
                Kind::Mark('}') => return,
                Kind::Mark(';') => {
                    self.at += 1;
                    return;
                }
                Kind::Mark(',') if !is_item => return,
                Kind::Mark(_) | Kind::Word(_) | Kind::Join => self.at += 1,
            }
        }
    }

    /// Steps over a group of balanced marks, if one begins here.
    fn group(&mut self, open: char, close: char) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            if token.is(open) {
                depth += 1;
            } else if token.is(close) {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 && !token.is(close) {
                return;
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// One tree of a `use`, behind `prefix`.
    fn tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let line = self.peek(0).map_or(0, |token| token.line);
        while let Some(token) = self.peek(0).cloned() {
            match token.kind {
                Kind::Word(word) if word == "as" => {
                    self.at += 2;
                    break;
                }
                Kind::Word(word) => segments.push(word),
                Kind::Mark('*') => segments.push("*".to_owned()),
                Kind::Join => {}
                Kind::Mark('{') => {
                    self.at += 1;
                    while self.peek(0).is_some() && !self.next_is(0, '}') {
                        self.tree(&segments);
                        self.at += usize::from(self.next_is(0, ','));
                    }
                    self.at += 1;
                    return;
                }
                Kind::Mark(_) => break,
            }
            self.at += 1;
        }
        if segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
            segments.pop();
        }
        self.used(segments, line);
    }

    /// A path in code; a single word is not one, and `crate::name!` is a macro, which has no module.
    fn inline_path(&mut self) {
        let line = self.peek(0).map_or(0, |token| token.line);
        let mut segments = Vec::new();
        while let Some(word) = self.word(0) {
            segments.push(word.to_owned());
            self.at += 1;
            if self.peek(0).is_none_or(|token| token.kind != Kind::Join) {
                break;
            }
            self.at += 1;
        }
        let is_root_macro = self.next_is(0, '!') && segments.len() == 2 && segments[0] == "crate";
        if segments.len() > 1 && !is_root_macro {
            self.used(segments, line);
        }
    }

    fn used(&mut self, segments: Vec<String>, line: usize) {
        let steps = segments.iter().take_while(|segment| *segment == "super" || *segment == "self").count();
        let segments = if steps == 0 {
            segments
        } else {
            let ups = segments[..steps].iter().filter(|segment| *segment == "super").count();
            let base = &self.module[..self.module.len().saturating_sub(ups)];
            let inside = base.iter().chain(&segments[steps..]).cloned();
            std::iter::once("crate".to_owned()).chain(inside).collect()
        };
        self.uses.paths.push(UsedPath { segments, line });
    }
}

#[cfg(test)]
mod tests {
    use super::uses;

    fn check(module: &[&str], text: &str, expect: &[&str]) {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        let paths: Vec<String> = uses(&module, text)
            .paths
            .iter()
            .map(|path| format!("{}:{}", path.line, path.segments.join("::")))
            .collect();
        assert_eq!(paths, expect, "{text}");
    }

    #[test]
    fn spreads_use_trees() {
        check(
            &["a"],
            "pub(crate) use crate::{pid::{Pid, Ref as R}, name::*, exit::{self}};\nuse std::fs;",
            &["1:crate::pid::Pid", "1:crate::pid::Ref", "1:crate::name::*", "1:crate::exit", "2:std::fs"],
        );
    }

    #[test]
    fn finds_paths_in_code_and_in_macros() {
        check(
            &["a"],
            "fn f(x: crate::b::B) { $crate::c::d(tokio::spawn(x)) }",
            &["1:crate::b::B", "1:crate::c::d", "1:tokio::spawn"],
        );
        check(&["a"], "pub(crate) fn f() { crate::note!(1) }", &[]);
    }

    #[test]
    fn resolves_super_through_files_and_inline_modules() {
        check(
            &["a"],
            "use super::b::B; mod inner { use super::c; use super::super::d; } use self::e;",
            &["1:crate::b::B", "1:crate::a::c", "1:crate::d", "1:crate::a::e"],
        );
        check(&["a", "x"], "use super::super::b; use super::y;", &["1:crate::b", "1:crate::a::y"]);
    }

    #[test]
    fn leaves_test_code_out() {
        let text = "
            #[cfg(test)]
            #[path = \"x.rs\"]
            mod tests { use crate::b; fn f() { crate::c::d() } }
            #[cfg(test)]
            use crate::{e, f};
            struct S { #[cfg(test)] seen: crate::g::G, kept: crate::h::H }
            #[test]
            fn t() { crate::i::j() }
            #[cfg(not(test))]
            use crate::k;
            #[cfg(any(test, feature = \"testing\"))]
            use crate::l;
            #[cfg(test)]
            mod support;
        ";
        check(&["a"], text, &["7:crate::h::H", "11:crate::k", "13:crate::l"]);
        assert_eq!(uses(&[], text).test_modules, ["support"]);
        check(&["a"], "#![cfg(test)] use crate::b;", &[]);
    }
}
