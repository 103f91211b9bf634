use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Lit, LitStr, Result, Token, braced, bracketed, token};

/// An object of JSON among Rust's tokens. As tokens, it is a slice of members.
pub(crate) struct Object(Vec<(LitStr, Value)>);

enum Value {
    Object(Object),
    List(Vec<Self>),
    /// Already a `Value`.
    Tokens(TokenStream),
}

impl Parse for Object {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let content;
        braced!(content in input);
        let member = |input: ParseStream<'_>| {
            let key = input.parse()?;
            input.parse::<Token![:]>()?;
            Ok((key, input.parse()?))
        };
        let members = Punctuated::<_, Token![,]>::parse_terminated_with(&content, member)?;
        Ok(Self(members.into_iter().collect()))
    }
}

impl Parse for Value {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(token::Brace) {
            return input.parse().map(Self::Object);
        }
        if input.peek(token::Bracket) {
            let content;
            bracketed!(content in input);
            let elements = Punctuated::<Self, Token![,]>::parse_terminated(&content)?;
            return Ok(Self::List(elements.into_iter().collect()));
        }
        if input.peek(Ident::peek_any) && input.fork().call(Ident::parse_any)? == "null" {
            input.call(Ident::parse_any)?;
            return Ok(Self::Tokens(json("null")));
        }
        let expression: Expr = input.parse()?;
        Ok(Self::Tokens(match &expression {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => quote! { ::plimsoll_sdk::schema::Value::Text(#text) },
                Lit::Bool(value) => json(if value.value { "true" } else { "false" }),
                _ => number(&expression)?,
            },
            Expr::Unary(_) => number(&expression)?,
            _ => expression.into_token_stream(),
        }))
    }
}

impl ToTokens for Object {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let members = self.0.iter().map(|(key, value)| quote! { (#key, #value) });
        tokens.extend(quote! { &[#(#members),*] });
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Object(object) => quote! { ::plimsoll_sdk::schema::Value::Object(#object) },
            Self::List(elements) => quote! { ::plimsoll_sdk::schema::Value::List(&[#(#elements),*]) },
            Self::Tokens(value) => value.clone(),
        });
    }
}

/// JSON as it is.
pub(crate) fn json(text: &str) -> TokenStream {
    quote! { ::plimsoll_sdk::schema::Value::Json(#text) }
}

/// A number that is a literal, or a constant integer.
pub(crate) fn number(expression: &Expr) -> Result<TokenStream> {
    if let Expr::Unary(unary) = expression
        && let (syn::UnOp::Neg(_), Some(digits)) = (&unary.op, digits(&unary.expr))
    {
        return Ok(json(&format!("-{digits}")));
    }
    match (digits(expression), expression) {
        (Some(digits), _) => Ok(json(&digits)),
        (None, Expr::Lit(_)) => Err(syn::Error::new_spanned(expression, "expected a number")),
        (None, _) => Ok(quote! { ::plimsoll_sdk::schema::Value::Integer((#expression) as i64) }),
    }
}

fn digits(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(int) => Some(int.base10_digits().to_owned()),
            // `1.` is no number of JSON.
            Lit::Float(float) => Some(float.base10_digits().to_owned() + if has_end(float) { "" } else { "0" }),
            _ => None,
        },
        _ => None,
    }
}

fn has_end(float: &syn::LitFloat) -> bool {
    !float.base10_digits().ends_with('.')
}
