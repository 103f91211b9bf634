//! The plugins that are shipped inside the proxy. They are ordinary plugins, built by the build script; nothing but their
//! place of origin tells them from others.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
