//! How a section of the configuration is declared: each setting once, with its documentation, default and kind.
//!
//! From the one declaration come the field, the default, the commented TOML and the loading, so that none of them can
//! forget a setting. What a kind accepts is in [`super::kind`].

use super::kind::Kind;

/// One setting: its place in the file and its documentation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// The table it is in; empty for the top level.
    pub section: &'static str,
    pub name: &'static str,
    pub docs: &'static [&'static str],
}

impl Setting {
    /// The key in full, such as `limits.max_frame`.
    pub fn key(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

/// Something that goes through every setting, in the order of the declarations.
pub(super) trait Visitor {
    /// The settings that follow are in this table; the top level, which comes first, has an empty name.
    fn section(&mut self, name: &'static str, docs: &'static [&'static str]);
    fn setting<K: Kind>(&mut self, setting: Setting, kind: K, value: &mut K::Value);
}

/// Declares one section: `field: Type = default, kind;` for each setting.
///
/// An optional `sections { field: Type }` at the end names the tables below the top level.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $kind:expr; )+
        }
        $( sections { $($part:ident: $part_type:ident,)+ } )?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[doc = ""]
                #[doc = concat!(" Default `", stringify!($default), "`, allowed `", stringify!($kind), "`.")]
                pub $field: $type,
            )+
            $( $(pub $part: $part_type,)+ )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ $( $($part: $part_type::default(),)+ )? }
            }
        }

        impl $name {
            pub(super) fn visit<V: $crate::config::setting::Visitor>(&mut self, section: &'static str, visitor: &mut V) {
                visitor.section(section, &[$($about),+]);
                $(
                    let setting = $crate::config::setting::Setting {
                        section,
                        name: stringify!($field),
                        docs: &[$($doc),+],
                    };
                    visitor.setting(setting, $kind, &mut self.$field);
                )+
                $( $(
                    self.$part.visit(stringify!($part), visitor);
                )+ )?
            }
        }
    };
}
pub(super) use settings;
