//! The only file with generated code. Each module below is a world of one interface, so that a plugin's component type
//! is the union of just the roles it exports, and imports it never calls leave no trace.
#![allow(
    unsafe_code,
    unreachable_pub,
    elided_lifetimes_in_paths,
    missing_debug_implementations,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    clippy::missing_safety_doc,
    reason = "generated from the plugin contract"
)]

pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package plimsoll:sdk;
            world imports {
                import plimsoll:plugin/types@0.2.0;
                import plimsoll:plugin/log@0.2.0;
                import plimsoll:plugin/metrics@0.2.0;
                import plimsoll:plugin/clock@0.2.0;
                import plimsoll:plugin/random@0.2.0;
                import plimsoll:plugin/counters@0.2.0;
                import plimsoll:plugin/keys@0.2.0;
                import plimsoll:plugin/table@0.2.0;
                import plimsoll:plugin/shared-table@0.2.0;
                import plimsoll:plugin/node@0.2.0;
            }
        ",
        path: "wit",
        world: "plimsoll:sdk/imports",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
    });
    pub use plimsoll::plugin::*;
}

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world lifecycle { export plimsoll:plugin/lifecycle@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/lifecycle",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "plimsoll_sdk::__private::wit::lifecycle",
    });
    pub use exports::plimsoll::plugin::lifecycle::*;
}

pub mod router {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world router { export plimsoll:plugin/router@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/router",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_router",
        default_bindings_module: "plimsoll_sdk::__private::wit::router",
    });
    pub use exports::plimsoll::plugin::router::*;
}

pub mod balancer {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world balancer { export plimsoll:plugin/balancer@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/balancer",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_balancer",
        default_bindings_module: "plimsoll_sdk::__private::wit::balancer",
    });
    pub use exports::plimsoll::plugin::balancer::*;
}

pub mod affinity {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world affinity { export plimsoll:plugin/affinity@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/affinity",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_affinity",
        default_bindings_module: "plimsoll_sdk::__private::wit::affinity",
    });
    pub use exports::plimsoll::plugin::affinity::*;
}

pub mod health {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world health { export plimsoll:plugin/health@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/health",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_health",
        default_bindings_module: "plimsoll_sdk::__private::wit::health",
    });
    pub use exports::plimsoll::plugin::health::*;
}

pub mod prober {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world prober { export plimsoll:plugin/prober@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/prober",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_prober",
        default_bindings_module: "plimsoll_sdk::__private::wit::prober",
    });
    pub use exports::plimsoll::plugin::prober::*;
}

pub mod discovery {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world discovery { export plimsoll:plugin/discovery@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/discovery",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_discovery",
        default_bindings_module: "plimsoll_sdk::__private::wit::discovery",
    });
    pub use exports::plimsoll::plugin::discovery::*;
}

pub mod filter {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world filter { export plimsoll:plugin/filter@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/filter",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_filter",
        default_bindings_module: "plimsoll_sdk::__private::wit::filter",
    });
    pub use exports::plimsoll::plugin::filter::*;
}

pub mod partitioner {
    wit_bindgen::generate!({
        inline: "package plimsoll:sdk; world partitioner { export plimsoll:plugin/partitioner@0.2.0; }",
        path: "wit",
        world: "plimsoll:sdk/partitioner",
        with: { "plimsoll:plugin/types@0.2.0": crate::wit::imports::plimsoll::plugin::types },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_partitioner",
        default_bindings_module: "plimsoll_sdk::__private::wit::partitioner",
    });
    pub use exports::plimsoll::plugin::partitioner::*;
}
