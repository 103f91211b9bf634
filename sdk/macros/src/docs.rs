use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, Lit, Meta};

/// What the documentation says, as members of a schema: a heading at the front is the title, and the rest describes.
pub(crate) fn members(attributes: &[Attribute]) -> Vec<TokenStream> {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(doc) = &attribute.meta else { continue };
        if !doc.path.is_ident("doc") {
            continue;
        }
        match &doc.value {
            Expr::Lit(literal) => {
                let Lit::Str(line) = &literal.lit else { continue };
                let line = line.value();
                lines.push(line.strip_prefix(' ').unwrap_or(&line).to_owned());
            }
            // Made by another macro, such as `include_str!`.
            text => return vec![quote! { ("description", ::plimsoll_sdk::schema::Value::Text(#text)) }],
        }
    }
    let text = lines.join("\n");
    let text = text.trim();
    let (title, description) = match text.strip_prefix('#') {
        Some(heading) => heading.split_once('\n').unwrap_or((heading, "")),
        None => ("", text),
    };
    let title = title.trim_start_matches('#');
    [("title", title), ("description", description)]
        .into_iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(key, text)| text_member(key, text.trim()))
        .collect()
}

pub(crate) fn text_member(key: &str, text: &str) -> TokenStream {
    quote! { (#key, ::plimsoll_sdk::schema::Value::Text(#text)) }
}
