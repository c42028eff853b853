//! The Rust side of the contract in `wit/`: what `bindgen!` makes of the world `app`, and nothing else.
//!
//! A component may export any subset of that world, so the generated world type is not used; each
//! exported interface is looked up on its own (`component.rs`).

#[allow(missing_docs, unreachable_pub, reason = "generated code")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "app",
        imports: {
            "everstate:functions/orchestration.wait-any": async | trappable,
            "everstate:functions/orchestration": trappable,
            "everstate:functions/entity-context": trappable,
            "everstate:functions/client.log": trappable,
            "everstate:functions/client": async | trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use generated::everstate::functions as imports;
pub(crate) use generated::exports::everstate::functions as exports;
