//! What one module says, read from its items: what it defines and imports, which paths and methods it names. What only tests
//! see falls away here, wherever it stands.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ImplItem, Item, ItemImpl, Meta, TraitItem, Type, UseTree,
    visit::{self, Visit},
};

use crate::{
    items::{attributes, defined, is_for_tests},
    tokens::{self, Said},
};

/// `a::b::c`, without what stands in angle brackets.
pub type Path = Vec<String>;

#[derive(Default)]
pub struct Module {
    pub defines: BTreeSet<String>,
    /// The words of macros and of their calls where items stand: one of them may be the name of what is defined so.
    spelled: BTreeSet<String>,
    /// Whether generated code is included: it may define anything.
    includes: bool,
    pub uses: BTreeSet<Use>,
    pub paths: BTreeSet<Path>,
    /// The names of methods called on something whose type is not seen here.
    pub calls: BTreeSet<String>,
    pub methods: Vec<Method>,
    /// Name and lines of each function.
    pub functions: Vec<(String, usize)>,
    /// The type or trait whose functions are being read.
    of_impl: Option<Path>,
}

/// `use path as name`; no name where it is a glob.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub name: Option<String>,
    pub path: Path,
}

/// A function of an `impl`, or of a trait that is declared.
pub struct Method {
    pub of: Path,
    pub name: String,
    pub is_of_trait: bool,
}

fn segments(path: &syn::Path) -> Path {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl Module {
    /// Reads an item that is no module.
    pub fn read(&mut self, item: &Item) {
        self.defines.extend(defined(item));
        if let Item::Macro(item) = item {
            self.includes |= item.mac.path.is_ident("include");
            self.spell(item.mac.tokens.clone());
        }
        self.visit_item(item);
    }

    /// Whether a macro or generated code may define `name` here.
    pub fn may_define(&self, name: &str) -> bool {
        self.includes || self.spelled.contains(name)
    }

    fn spell(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(word) => drop(self.spelled.insert(word.to_string())),
                TokenTree::Group(group) => self.spell(group.stream()),
                _ => {}
            }
        }
    }

    fn import(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(tree) => self.import(&tree.tree, &with(&tree.ident)),
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => drop(self.uses.insert(Use { name: None, path: before.to_vec() })),
            UseTree::Name(tree) if tree.ident == "self" => {
                self.uses.insert(Use { name: before.last().cloned(), path: before.to_vec() });
            }
            UseTree::Name(tree) => {
                self.uses.insert(Use { name: Some(tree.ident.to_string()), path: with(&tree.ident) });
            }
            UseTree::Rename(tree) => {
                let path = if tree.ident == "self" { before.to_vec() } else { with(&tree.ident) };
                self.uses.insert(Use { name: Some(tree.rename.to_string()), path });
            }
        }
    }

    /// Notes a path; `Self` is the type or trait around it.
    fn name(&mut self, mut path: Path) {
        if path[0] == "Self" {
            let Some(of) = &self.of_impl else { return };
            path = [of, &path[1..]].concat();
        }
        self.paths.insert(path);
    }

    /// Notes the call of a method, on `self` or on something else.
    fn call(&mut self, method: String, is_own: bool) {
        if is_own {
            self.name(vec!["Self".to_owned(), method]);
        } else {
            self.calls.insert(method);
        }
    }

    fn read_tokens(&mut self, tokens: &TokenStream) {
        for said in tokens::read(tokens.clone()) {
            match said {
                Said::Path(path) => self.name(path),
                Said::Call { method, is_own } => self.call(method, is_own),
            }
        }
    }

    fn add_method(&mut self, name: &syn::Ident, is_of_trait: bool) {
        if let Some(of) = self.of_impl.clone() {
            self.methods.push(Method { of, name: name.to_string(), is_of_trait });
        }
    }

    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.brace_token.span.close().end().line - signature.fn_token.span.start().line + 1;
        self.functions.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = match &*item.self_ty {
            Type::Path(path) => Some(segments(&path.path)),
            _ => None,
        };
        let around = std::mem::replace(&mut self.of_impl, of);
        for function in &item.items {
            if let ImplItem::Fn(function) = function
                && !is_for_tests(&function.attrs)
            {
                self.add_method(&function.sig.ident, item.trait_.is_some());
            }
        }
        visit::visit_item_impl(self, item);
        self.of_impl = around;
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let around = self.of_impl.replace(vec![item.ident.to_string()]);
        for function in &item.items {
            if let TraitItem::Fn(function) = function {
                self.add_method(&function.sig.ident, true);
            }
        }
        visit::visit_item_trait(self, item);
        self.of_impl = around;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.measure(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_expr_block(&mut self, block: &'ast syn::ExprBlock) {
        if !is_for_tests(&block.attrs) {
            visit::visit_expr_block(self, block);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let is_own = matches!(&*call.receiver, Expr::Path(receiver) if receiver.path.is_ident("self"));
        self.call(call.method.to_string(), is_own);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.name(segments(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.read_tokens(&call.tokens);
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.read_tokens(&list.tokens);
        }
    }
}
