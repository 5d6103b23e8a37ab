//! What stands in a macro call or an attribute: no code yet, but paths `a::b` and calls `.m(…)` can be told.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::module::Path;

pub enum Said {
    Path(Path),
    Call { method: String, is_own: bool },
}

/// Reads `tokens`, what stands in brackets included.
pub fn read(tokens: TokenStream) -> Vec<Said> {
    let tokens = Tokens(tokens.into_iter().collect());
    let mut said = Vec::new();
    let mut at = 0;
    while at < tokens.0.len() {
        if let TokenTree::Group(group) = &tokens.0[at] {
            said.extend(read(group.stream()));
        }
        at += match tokens.path(at) {
            Some(path) if !tokens.follows_dot(at) => {
                let length = path.len() * 3 - 2;
                said.push(Said::Path(path));
                length
            }
            _ => 1,
        };
        said.extend(tokens.call(at));
    }
    said
}

struct Tokens(Vec<TokenTree>);

impl Tokens {
    fn word(&self, at: usize) -> Option<String> {
        match self.0.get(at)? {
            TokenTree::Ident(word) => Some(word.to_string()),
            _ => None,
        }
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        matches!(self.0.get(at), Some(TokenTree::Punct(found)) if found.as_char() == sign)
    }

    fn is_in_parentheses(&self, at: usize) -> bool {
        matches!(self.0.get(at), Some(TokenTree::Group(found)) if found.delimiter() == Delimiter::Parenthesis)
    }

    /// Whether what is at `at` belongs to something before: `x.m`, but not `0..m`.
    fn follows_dot(&self, at: usize) -> bool {
        at > 0 && self.is_sign(at - 1, '.') && !(at > 1 && self.is_sign(at - 2, '.'))
    }

    /// The path that begins at `at`.
    fn path(&self, mut at: usize) -> Option<Path> {
        let mut path = vec![self.word(at)?];
        while self.is_sign(at + 1, ':') && self.is_sign(at + 2, ':') {
            let Some(next) = self.word(at + 3) else { break };
            path.push(next);
            at += 3;
        }
        Some(path)
    }

    /// The method that is called at `at`.
    fn call(&self, at: usize) -> Option<Said> {
        let method = self.word(at).filter(|_| self.follows_dot(at) && self.is_in_parentheses(at + 1))?;
        let is_own = at > 1 && self.word(at - 2).is_some_and(|word| word == "self");
        Some(Said::Call { method, is_own })
    }
}
