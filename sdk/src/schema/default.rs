use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::json::{push_decimal, push_signed, quote};
use crate::{Duration, Sorted};

/// Values that can be shown as the default of a field.
pub trait WriteJson {
    fn write_json(&self, out: &mut String);
}

/// For the derive macro, which does not know whether a type is [`WriteJson`]: by the order in which the compiler looks
/// for methods, `Show::show` writes what it can and nothing otherwise.
#[doc(hidden)]
#[derive(Debug)]
pub struct Show<'a, T>(pub &'a T);

#[doc(hidden)]
pub trait Shown {
    fn show(&self, out: &mut String);
}

#[doc(hidden)]
pub trait Hidden {
    fn show(&self, out: &mut String);
}

impl<T: WriteJson> Shown for Show<'_, T> {
    fn show(&self, out: &mut String) {
        self.0.write_json(out);
    }
}

impl<T> Hidden for &Show<'_, T> {
    fn show(&self, _: &mut String) {}
}

impl WriteJson for bool {
    fn write_json(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

macro_rules! whole {
    ($($write:ident: $as:ty: $($type:ty)*;)*) => { $( $(
        impl WriteJson for $type {
            fn write_json(&self, out: &mut String) {
                $write(out, *self as $as);
            }
        }
    )* )* };
}

whole! {
    push_decimal: u64: u8 u16 u32 u64 usize;
    push_signed: i64: i8 i16 i32 i64 isize;
}

macro_rules! quoted {
    ($($type:ty)*) => { $(
        impl WriteJson for $type {
            fn write_json(&self, out: &mut String) {
                quote(out, &self.to_string());
            }
        }
    )* };
}

quoted! { char Duration std::net::IpAddr std::net::Ipv4Addr std::net::Ipv6Addr std::net::SocketAddr }

impl WriteJson for f64 {
    /// With nine digits after the point. Writing floats in general takes more code than anything else in a plugin; what
    /// is too large for it is not shown.
    fn write_json(&self, out: &mut String) {
        const SCALE: u64 = 1_000_000_000;
        if self.is_nan() || self.abs() >= 1e9 {
            return;
        }
        let scaled = (self.abs() * SCALE as Self).round() as u64;
        if *self < 0.0 {
            out.push('-');
        }
        (scaled / SCALE).write_json(out);
        out.push('.');
        let (mut rest, mut place) = (scaled % SCALE, SCALE / 10);
        loop {
            out.extend(char::from_digit((rest / place) as u32, 10));
            rest %= place;
            place /= 10;
            if rest == 0 {
                break;
            }
        }
    }
}

impl WriteJson for f32 {
    fn write_json(&self, out: &mut String) {
        f64::from(*self).write_json(out);
    }
}

impl WriteJson for str {
    fn write_json(&self, out: &mut String) {
        quote(out, self);
    }
}

impl WriteJson for String {
    fn write_json(&self, out: &mut String) {
        quote(out, self);
    }
}

impl<T: WriteJson + ?Sized> WriteJson for Box<T> {
    fn write_json(&self, out: &mut String) {
        (**self).write_json(out);
    }
}

impl<T: WriteJson> WriteJson for Option<T> {
    fn write_json(&self, out: &mut String) {
        match self {
            Some(value) => value.write_json(out),
            None => out.push_str("null"),
        }
    }
}

fn list<'a, T: WriteJson + 'a>(elements: impl Iterator<Item = &'a T>, out: &mut String) {
    out.push('[');
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(',');
        }
        element.write_json(out);
    }
    out.push(']');
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn write_json(&self, out: &mut String) {
        list(self.iter(), out);
    }
}

impl<T: WriteJson, const N: usize> WriteJson for [T; N] {
    fn write_json(&self, out: &mut String) {
        list(self.iter(), out);
    }
}

impl<T: WriteJson> WriteJson for BTreeSet<T> {
    fn write_json(&self, out: &mut String) {
        list(self.iter(), out);
    }
}

fn map<'a, T: WriteJson + 'a>(members: impl Iterator<Item = (&'a String, &'a T)>, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(out, key);
        out.push(':');
        value.write_json(out);
    }
    out.push('}');
}

impl<T: WriteJson> WriteJson for BTreeMap<String, T> {
    fn write_json(&self, out: &mut String) {
        map(self.iter(), out);
    }
}

impl<T: WriteJson> WriteJson for Sorted<String, T> {
    fn write_json(&self, out: &mut String) {
        map(self.iter(), out);
    }
}

impl<T: WriteJson> WriteJson for HashMap<String, T> {
    fn write_json(&self, out: &mut String) {
        map(self.iter(), out);
    }
}
