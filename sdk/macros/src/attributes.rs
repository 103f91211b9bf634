use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, LitStr, Result, Type};

use crate::docs;
use crate::literal::number;

/// What `#[schemars(...)]` says.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) inline: bool,
    /// Described as this.
    pub(crate) with: Option<Type>,
    /// Members of the schema, with those that come from the documentation.
    pub(crate) members: Vec<TokenStream>,
}

impl Attributes {
    pub(crate) fn new(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        let mut told = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("schemars")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("inline") {
                    found.inline = true;
                } else if meta.path.is_ident("with") {
                    found.with = Some(meta.value()?.parse::<LitStr>()?.parse()?);
                } else if meta.path.is_ident("title") || meta.path.is_ident("description") {
                    let key = if meta.path.is_ident("title") { "title" } else { "description" };
                    told.push((key, meta.value()?.parse::<LitStr>()?.value()));
                } else {
                    limits(&meta, &mut found.members)?;
                }
                Ok(())
            })?;
        }
        // The last member of a name counts.
        let told = told.iter().map(|(key, text)| docs::text_member(key, text));
        found.members = docs::members(attributes).into_iter().chain(told).chain(found.members).collect();
        Ok(found)
    }
}

fn limits(meta: &ParseNestedMeta<'_>, members: &mut Vec<TokenStream>) -> Result<()> {
    if meta.path.is_ident("range") {
        bounds(meta, ("minimum", "maximum"), members)
    } else if meta.path.is_ident("length") {
        bounds(meta, ("minLength", "maxLength"), members)
    } else if meta.path.is_ident("regex") {
        meta.parse_nested_meta(|meta| {
            if !meta.path.is_ident("pattern") {
                return Err(meta.error("expected `pattern`"));
            }
            let pattern: Expr = meta.value()?.parse()?;
            members.push(quote! { ("pattern", ::plimsoll_sdk::schema::Value::Text(#pattern)) });
            Ok(())
        })
    } else if meta.path.is_ident("inner") {
        let mut of_elements = Vec::new();
        meta.parse_nested_meta(|meta| limits(&meta, &mut of_elements))?;
        members.push(quote! { ("items", ::plimsoll_sdk::schema::Value::Inner(&[#(#of_elements),*])) });
        Ok(())
    } else {
        Err(meta.error(
            "expected one of `range`, `length`, `regex`, `inner`, `title`, `description`, `with` and `inline`: \
             `JsonSchema` of plimsoll_sdk knows no other",
        ))
    }
}

fn bounds(meta: &ParseNestedMeta<'_>, keys: (&str, &str), members: &mut Vec<TokenStream>) -> Result<()> {
    meta.parse_nested_meta(|meta| {
        let (min, max) = (meta.path.is_ident("min"), meta.path.is_ident("max"));
        let equal = meta.path.is_ident("equal");
        if !(min || max || equal) {
            return Err(meta.error("expected `min`, `max` or `equal`"));
        }
        let value = number(&meta.value()?.parse()?)?;
        for (key, _) in [(keys.0, min || equal), (keys.1, max || equal)].iter().filter(|(_, given)| *given) {
            members.push(quote! { (#key, #value) });
        }
        Ok(())
    })
}
