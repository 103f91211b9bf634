//! The macros of `plimsoll-sdk`, which documents them.

mod attributes;
mod container;
mod docs;
mod literal;

use proc_macro::TokenStream;

/// Describes a configuration by JSON Schema: names, defaults and enums as serde's attributes have them, descriptions from
/// the documentation, and limits from `#[schemars(...)]`, in the words of the crate of that name: `range(min = 1, max =
/// 9)`, `length(min = 1)`, `regex(pattern = "...")`, `inner(...)` for the elements of a list, `title`, `description`,
/// `with = "Type"` to describe a field as another type, and `inline` on a type that is used once.
///
/// What it cannot describe (type parameters, `flatten`, internally tagged enums with newtype variants) is an error of the
/// compiler; implement the trait by hand there, with `json_schema!`.
#[proc_macro_derive(JsonSchema, attributes(schemars, serde))]
pub fn derive_json_schema(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    container::derive(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// A schema written as JSON, for types that implement `JsonSchema` by hand. In the place of a value may stand a constant
/// expression of the type `Value`.
#[proc_macro]
pub fn json_schema(input: TokenStream) -> TokenStream {
    let object = syn::parse_macro_input!(input as literal::Object);
    quote::quote! { ::plimsoll_sdk::schema::Schema::inline(const { ::plimsoll_sdk::schema::Value::Object(#object) }) }
        .into()
}
