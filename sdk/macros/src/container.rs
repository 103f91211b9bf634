use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use serde_derive_internals::ast::{Container, Data, Field, Style, Variant};
use serde_derive_internals::attr::{Default as Fallback, TagType};
use serde_derive_internals::{Ctxt, Derive};
use syn::{DeriveInput, Error, Ident, Result};

use crate::attributes::Attributes;
use crate::literal::json;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let cx = Ctxt::new();
    let container = Container::from_ast(&cx, input, Derive::Deserialize, &Ident::new("serde", Span::call_site()));
    cx.check()?;
    let Some(container) = container else { return Err(Error::new_spanned(input, "expected a struct or an enum")) };
    if !input.generics.params.is_empty() {
        let message = "a type with parameters has no schema of its own: implement `JsonSchema` by hand";
        return Err(Error::new_spanned(&input.generics, message));
    }
    let attributes = Attributes::new(&input.attrs)?;
    let ident = &input.ident;
    let schema = match alias(&container, &attributes) {
        Some(other) => quote! { <#other as ::plimsoll_sdk::schema::JsonSchema>::schema() },
        None => {
            let body = body(&container, attributes.members)?;
            let name = &container.attrs.name().deserialize_name().value;
            match attributes.inline {
                true => quote! { ::plimsoll_sdk::schema::Schema::inline(const { #body }) },
                false => quote! {
                    ::plimsoll_sdk::schema::Schema::named(
                        ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)), #name, const { #body }
                    )
                },
            }
        }
    };
    let shown = shown(&container);
    Ok(quote! {
        #[automatically_derived]
        const _: () = {
            impl ::plimsoll_sdk::schema::JsonSchema for #ident {
                fn schema() -> ::plimsoll_sdk::schema::Schema {
                    #schema
                }
            }

            #shown
        };
    })
}

/// The type in whose stead serde reads this one.
fn alias(container: &Container<'_>, attributes: &Attributes) -> Option<TokenStream> {
    let attrs = &container.attrs;
    let other = attributes.with.as_ref().or_else(|| attrs.type_from()).or_else(|| attrs.type_try_from());
    let transparent = || match &container.data {
        Data::Struct(_, fields) if attrs.transparent() => fields.iter().find(|field| field.attrs.transparent()),
        _ => None,
    };
    other.map(ToTokens::to_token_stream).or_else(|| transparent().map(|field| field.ty.to_token_stream()))
}

/// A `Value` that describes the whole type.
fn body(container: &Container<'_>, own: Vec<TokenStream>) -> Result<TokenStream> {
    let attrs = &container.attrs;
    let denies = attrs.deny_unknown_fields();
    let members = match &container.data {
        Data::Struct(Style::Newtype, fields) => return element(&fields[0], own),
        Data::Struct(style, fields) => shape(*style, fields, &Object::of(attrs.default(), denies))?,
        Data::Enum(variants) => {
            let read: Vec<_> = variants.iter().filter(|variant| !variant.attrs.skip_deserializing()).collect();
            match attrs.tag() {
                TagType::External => external(&read, denies)?,
                TagType::None => {
                    let values: Vec<_> = read.iter().map(|v| untagged(v, denies)).collect::<Result<_>>()?;
                    any_of(&values)
                }
                TagType::Internal { tag } => {
                    let values: Vec<_> = read.iter().map(|v| internal(v, tag, denies)).collect::<Result<_>>()?;
                    one_of(&read, &values)
                }
                TagType::Adjacent { tag, content } => {
                    let values: Vec<_> =
                        read.iter().map(|v| adjacent(v, tag, content, denies)).collect::<Result<_>>()?;
                    one_of(&read, &values)
                }
            }
        }
    };
    Ok(object(members.into_iter().chain(own)))
}

fn object(members: impl IntoIterator<Item = TokenStream>) -> TokenStream {
    let members = members.into_iter();
    quote! { ::plimsoll_sdk::schema::Value::Object(&[#(#members),*]) }
}

fn text(text: &str) -> TokenStream {
    quote! { ::plimsoll_sdk::schema::Value::Text(#text) }
}

fn any_of(values: &[TokenStream]) -> Vec<TokenStream> {
    vec![quote! { ("anyOf", ::plimsoll_sdk::schema::Value::List(&[#(#values),*])) }]
}

/// As [`any_of`], but no value fits two of them. Untagged variants may.
fn one_of(variants: &[&Variant<'_>], values: &[TokenStream]) -> Vec<TokenStream> {
    if variants.iter().any(|variant| variant.attrs.untagged()) {
        return any_of(values);
    }
    vec![quote! { ("oneOf", ::plimsoll_sdk::schema::Value::List(&[#(#values),*])) }]
}

/// How the fields of an object are described.
struct Object<'a> {
    /// Value of a field that has no default of its own, up to the dot before its name.
    fallback: Option<TokenStream>,
    denies: bool,
    /// Name of the member that tells the variant, and the variant.
    tag: Option<(&'a str, &'a str)>,
}

impl Object<'_> {
    fn of(fallback: &Fallback, denies: bool) -> Self {
        let fallback = match fallback {
            Fallback::None => None,
            Fallback::Default => Some(quote! { <Self as ::core::default::Default>::default() }),
            Fallback::Path(path) => Some(quote! { #path() }),
        };
        Self { fallback, denies, tag: None }
    }

    const fn of_variant(denies: bool) -> Self {
        Self { fallback: None, denies, tag: None }
    }
}

/// Members that describe fields of this style.
fn shape(style: Style, fields: &[Field<'_>], object: &Object<'_>) -> Result<Vec<TokenStream>> {
    let text_type = |name| {
        let name = text(name);
        quote! { ("type", #name) }
    };
    match style {
        Style::Unit => Ok(vec![text_type("null")]),
        Style::Struct => properties(fields, object),
        Style::Newtype | Style::Tuple => {
            let read = fields.iter().filter(|field| !field.attrs.skip_deserializing());
            let elements: Vec<_> = read.map(|field| element(field, Vec::new())).collect::<Result<_>>()?;
            let length = json(&elements.len().to_string());
            Ok(vec![
                text_type("array"),
                quote! { ("prefixItems", ::plimsoll_sdk::schema::Value::List(&[#(#elements),*])) },
                quote! { ("minItems", #length) },
                quote! { ("maxItems", #length) },
            ])
        }
    }
}

fn properties(fields: &[Field<'_>], object: &Object<'_>) -> Result<Vec<TokenStream>> {
    let mut properties = Vec::new();
    let mut required = Vec::new();
    if let Some((tag, variant)) = object.tag {
        let constant = constant(variant);
        properties.push(quote! { (#tag, #constant) });
        required.push(quote! { (#tag, false) });
    }
    for field in fields.iter().filter(|field| !field.attrs.skip_deserializing()) {
        if field.attrs.flatten() {
            let message = "`flatten` is not described: implement `JsonSchema` by hand";
            return Err(Error::new_spanned(field.original, message));
        }
        let attributes = Attributes::new(&field.original.attrs)?;
        let ty = attributes.with.as_ref().unwrap_or(field.ty);
        let name = &field.attrs.name().deserialize_name().value;
        let mut members = attributes.members;
        match default(field, object) {
            Some(value) => members.push(quote! {
                ("default", ::plimsoll_sdk::schema::Value::Default(|out| {
                    use ::plimsoll_sdk::schema::{Hidden as _, Shown as _};
                    (&::plimsoll_sdk::schema::Show(&#value)).show(out);
                }))
            }),
            None => required.push(quote! { (#name, <#ty as ::plimsoll_sdk::schema::JsonSchema>::OPTIONAL) }),
        }
        properties.push(quote! {
            (#name, ::plimsoll_sdk::schema::Value::Of(
                <#ty as ::plimsoll_sdk::schema::JsonSchema>::schema, &[#(#members),*]
            ))
        });
    }
    let object_type = text("object");
    let mut members = vec![quote! { ("type", #object_type) }];
    if !properties.is_empty() {
        members.push(quote! { ("properties", ::plimsoll_sdk::schema::Value::Object(&[#(#properties),*])) });
    }
    if !required.is_empty() {
        members.push(quote! { ("required", ::plimsoll_sdk::schema::Value::Required(&[#(#required),*])) });
    }
    if object.denies {
        let no = json("false");
        members.push(quote! { ("additionalProperties", #no) });
    }
    Ok(members)
}

/// What a field is when it is left out.
fn default(field: &Field<'_>, object: &Object<'_>) -> Option<TokenStream> {
    let (ty, member) = (field.ty, &field.member);
    match field.attrs.default() {
        Fallback::None => object.fallback.as_ref().map(|whole| quote! { #whole.#member }),
        Fallback::Default => Some(quote! { <#ty as ::core::default::Default>::default() }),
        Fallback::Path(path) => Some(quote! { #path() }),
    }
}

/// A field without a name.
fn element(field: &Field<'_>, more: Vec<TokenStream>) -> Result<TokenStream> {
    let attributes = Attributes::new(&field.original.attrs)?;
    let ty = attributes.with.as_ref().unwrap_or(field.ty);
    let members = attributes.members.into_iter().chain(more);
    Ok(quote! {
        ::plimsoll_sdk::schema::Value::Of(<#ty as ::plimsoll_sdk::schema::JsonSchema>::schema, &[#(#members),*])
    })
}

fn constant(name: &str) -> TokenStream {
    let (kind, name) = (text("string"), text(name));
    object([quote! { ("type", #kind) }, quote! { ("const", #name) }])
}

fn variant_name<'a>(variant: &'a Variant<'_>) -> &'a str {
    &variant.attrs.name().deserialize_name().value
}

/// The content of a variant, with `more` about it.
fn content(variant: &Variant<'_>, denies: bool, more: Vec<TokenStream>) -> Result<TokenStream> {
    match variant.style {
        Style::Newtype => element(&variant.fields[0], more),
        style => {
            let members = shape(style, &variant.fields, &Object::of_variant(denies))?;
            Ok(object(members.into_iter().chain(more)))
        }
    }
}

fn untagged(variant: &Variant<'_>, denies: bool) -> Result<TokenStream> {
    content(variant, denies, Attributes::new(&variant.original.attrs)?.members)
}

/// A name by itself, or an object with the name of the variant as its only member.
fn external(variants: &[&Variant<'_>], denies: bool) -> Result<Vec<TokenStream>> {
    let string = text("string");
    let mut plain = Vec::new();
    let mut values = Vec::new();
    for variant in variants {
        let members = Attributes::new(&variant.original.attrs)?.members;
        let name = variant_name(variant);
        if variant.attrs.untagged() {
            values.push(untagged(variant, denies)?);
        } else if !matches!(variant.style, Style::Unit) {
            let (kind, no) = (text("object"), json("false"));
            let content = content(variant, denies, Vec::new())?;
            let wrapping = [
                quote! { ("type", #kind) },
                quote! { ("properties", ::plimsoll_sdk::schema::Value::Object(&[(#name, #content)])) },
                quote! { ("required", ::plimsoll_sdk::schema::Value::Required(&[(#name, false)])) },
                quote! { ("additionalProperties", #no) },
            ];
            values.push(object(wrapping.into_iter().chain(members)));
        } else if members.is_empty() {
            plain.push(text(name));
        } else {
            let name = text(name);
            let constant = [quote! { ("type", #string) }, quote! { ("const", #name) }];
            values.push(object(constant.into_iter().chain(members)));
        }
    }
    let plain_members =
        [quote! { ("type", #string) }, quote! { ("enum", ::plimsoll_sdk::schema::Value::List(&[#(#plain),*])) }];
    if values.is_empty() {
        return Ok(plain_members.to_vec());
    }
    if !plain.is_empty() {
        values.insert(0, object(plain_members));
    }
    Ok(one_of(variants, &values))
}

fn internal(variant: &Variant<'_>, tag: &str, denies: bool) -> Result<TokenStream> {
    if variant.attrs.untagged() {
        return untagged(variant, denies);
    }
    if matches!(variant.style, Style::Newtype | Style::Tuple) {
        let message =
            "newtype variants beside a tag are not described: name the fields, or implement `JsonSchema` by hand";
        return Err(Error::new_spanned(variant.original, message));
    }
    let told = Object { tag: Some((tag, variant_name(variant))), ..Object::of_variant(denies) };
    let members = properties(&variant.fields, &told)?;
    Ok(object(members.into_iter().chain(Attributes::new(&variant.original.attrs)?.members)))
}

fn adjacent(variant: &Variant<'_>, tag: &str, content_key: &str, denies: bool) -> Result<TokenStream> {
    if variant.attrs.untagged() {
        return untagged(variant, denies);
    }
    let (kind, name, no) = (text("object"), constant(variant_name(variant)), json("false"));
    let mut properties = vec![quote! { (#tag, #name) }];
    let mut required = vec![quote! { (#tag, false) }];
    if !matches!(variant.style, Style::Unit) {
        let content = content(variant, denies, Vec::new())?;
        properties.push(quote! { (#content_key, #content) });
        required.push(quote! { (#content_key, false) });
    }
    let mut members = vec![
        quote! { ("type", #kind) },
        quote! { ("properties", ::plimsoll_sdk::schema::Value::Object(&[#(#properties),*])) },
        quote! { ("required", ::plimsoll_sdk::schema::Value::Required(&[#(#required),*])) },
    ];
    if denies {
        members.push(quote! { ("additionalProperties", #no) });
    }
    members.extend(Attributes::new(&variant.original.attrs)?.members);
    Ok(object(members))
}

/// An enum of names can be shown as a default.
fn shown(container: &Container<'_>) -> Option<TokenStream> {
    let Data::Enum(variants) = &container.data else { return None };
    let plain = matches!(container.attrs.tag(), TagType::External)
        && variants.iter().all(|variant| matches!(variant.style, Style::Unit) && !variant.attrs.untagged());
    if !plain || variants.is_empty() {
        return None;
    }
    let ident = &container.ident;
    let arms = variants.iter().map(|variant| {
        let (ident, name) = (&variant.ident, variant_name(variant));
        quote! { Self::#ident => #name }
    });
    Some(quote! {
        impl ::plimsoll_sdk::schema::WriteJson for #ident {
            fn write_json(&self, out: &mut ::std::string::String) {
                ::plimsoll_sdk::schema::WriteJson::write_json(match self { #(#arms),* }, out);
            }
        }
    })
}
