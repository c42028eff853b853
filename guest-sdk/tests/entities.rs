//! Entities whose state is a type and whose operations are its methods, run natively: what becomes of
//! the state, and what fails how.

mod entities {
    pub(crate) mod functions;
    pub(crate) mod methods;
    pub(crate) mod orchestrations;
    pub(crate) mod versions;
}
